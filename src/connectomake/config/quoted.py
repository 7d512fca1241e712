"""Numbers and words that arrive as texts: in quotes, or within the braces of Snakemake's ``--config``, where all are texts."""

import re
from typing import Any

_WORDS = {"true": True, "false": False, "null": None}
_KINDS = {bool: "boolean", type(None): "null", int: "integer", float: "number"}


def meant(text: str, part: dict[str, Any]) -> Any:
    """Return what a text stands for where the schema wants no text; the text itself if that is not beyond doubt.

    Parameters
    ----------
    text
        As the config has it.
    part
        Of the schema: the key's type or enum.

    Examples
    --------
    >>> meant("8", {"enum": ["none", 8]}), meant("0.3", {"type": "number"}), meant("0.3", {"type": "string"})
    (8, 0.3, '0.3')
    """
    if "anyOf" in part:
        values = [v for v in (meant(text, p) for p in part["anyOf"]) if v is not text]
        return values[0] if values else text
    value = _plain(text)
    if "enum" in part:
        fits = [m for m in part["enum"] if m == value and type(m) is type(value)]
        return text if text in part["enum"] or not fits else fits[0]
    kinds = part.get("type", "object" if "$ref" in part else "string")
    kinds = kinds if isinstance(kinds, list) else [kinds]
    kind = _KINDS.get(type(value))
    fitting = kind in kinds or (kind == "integer" and "number" in kinds)
    return value if fitting and "string" not in kinds else text


def _plain(text: str) -> Any:
    """Return the number, true, false or null that a text is letter by letter; other spellings, as 1e3, stay texts."""
    if text in _WORDS:
        return _WORDS[text]
    if re.fullmatch(r"-?(0|[1-9]\d{0,17})", text, re.ASCII):
        return int(text)
    if re.fullmatch(r"-?(0|[1-9]\d{0,17})\.\d{1,17}", text, re.ASCII):
        return float(text)
    return text
