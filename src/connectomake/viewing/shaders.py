"""Neuroglancer's shaders of image layers."""

Span = tuple[float, float]


def grey_shader(span: Span | None) -> str:
    """Return a shader that shows one channel in grey, with a control.

    Parameters
    ----------
    span
        The values that are black and white at first; None: the ends of the dtype, 0 and 1 for floats.
    """
    control = "" if span is None else f"(range={_numbers(span)}, window={_numbers(sorted(span))})"
    return f"#uicontrol invlerp normalized{control}\nvoid main() {{\n  emitGrayscale(normalized());\n}}\n"


def colour_shader(span: Span | None) -> str:
    """Return a shader that shows three channels as red, green and blue; `span` as for `grey_shader`, of floats only."""
    low, high = span or (0, 1)
    values = [f"toNormalized(getDataValue({i}))" for i in range(3)]
    if span is not None:
        values = [f"({v} - float({low:.9g})) / float({high - low:.9g})" for v in values]
    return f"void main() {{\n  emitRGB(vec3({', '.join(values)}));\n}}\n"


def _numbers(values: "Span | list[float]") -> str:
    return f"[{', '.join(str(int(v)) if v == int(v) else f'{v:.9g}' for v in values)}]"
