"""The display range of a layer, from the layer itself, so that 12 bits in uint16 are not shown as black."""

import math
from pathlib import Path

import numpy as np

from connectomake.errors import ConnectomakeError
from connectomake.geometry import Box, Vec
from connectomake.layers import read_box
from connectomake.planning.plan import Plan
from connectomake.sources.probability import ROUNDING, Reader
from connectomake.sources.samples import spread_boxes
from connectomake.viewing.shaders import Span

_WINDOW: Vec = (1, 256, 256)
_PERCENTILES = (0.5, 99.5)


def image_span(plan: Plan) -> Span | None:
    """Return which values of the image are black and white; None for those of its dtype: uint8, or nothing can be read.

    A range that the config names is taken where the source is shown as it is; else most of the values in nine windows spread
    over the region.
    """
    named = plan.source.options.range
    if plan.source.in_place and named is not None:
        return named
    if plan.source.in_place and (plan.source.options.activation != "none" or plan.source.options.filters):
        return _span(_sampled(plan, "image", raw=True))
    if plan.source.dtype == "uint8":
        return None
    values = _sampled(plan, "image")
    probability = plan.inference is None or (named is not None and not plan.source.in_place)
    return (0.0, 1.0) if probability and _within_one(values) else _span(values)


def affinity_span(plan: Plan) -> Span:
    """Return which values of the affinity are black and white: 0 and 1 unless floats lie beyond."""
    if plan.layers["affinity"].dtype == "uint8":
        return 0, 255
    values = _sampled(plan, "affinity")
    return (0, 1) if _within_one(values) else _span(values) or (0, 1)


def contrast_warnings(plan: Plan) -> list[str]:
    """Say which probability that is shown goes beyond 0 to 1."""
    if plan.method.labels:
        return []
    layers = ["affinity"] if plan.inference is not None else ["image"]
    found = []
    for layer in layers:
        values = _sampled(plan, layer)
        if values is not None and values.dtype.kind == "f" and not _within_one(values):
            low, high = float(values.min()), float(values.max())
            text = f"the values of {layer} span {low:g} to {high:g}, but a probability is 0 to 1"
            found.append(f"{text}; is a sigmoid missing, or source.range?")
    return found


def _within_one(values: np.ndarray | None) -> bool:
    return values is None or bool(values.min() >= -ROUNDING and values.max() <= 1 + ROUNDING)


def _span(values: np.ndarray | None) -> Span | None:
    if values is None:
        return None
    low, high = (float(v) for v in np.percentile(values, _PERCENTILES))
    if values.dtype.kind in "iu":
        low, high = math.floor(low), math.ceil(high)
    return (low, high) if low < high else (low, low + 1)


def _sampled(plan: Plan, layer: str, raw: bool = False) -> np.ndarray | None:
    """Return finite values of nine windows of a layer, or of the source in place; None if none can be read."""
    parts = []
    try:
        read = _reader(plan, layer, raw)
    except (ConnectomakeError, OSError):
        return None
    for box in _windows(plan, layer):
        try:
            part = np.asarray(read(box))
        except (ConnectomakeError, OSError):
            continue  # a block that is not made yet
        parts.append(part[np.isfinite(part)])
    values = np.concatenate(parts) if parts else np.empty(0)
    return values if values.size else None


def _windows(plan: Plan, layer: str) -> list[Box]:
    """Return windows over the region, cut at blocks, so that each is there or not."""
    windows = spread_boxes(plan.roi, _WINDOW)
    if layer not in plan.layers:
        return windows
    grid = plan.layers[layer].grid
    return [grid.box(block).intersect(window) for window in windows for block in grid.ids_meeting(window)]


def _reader(plan: Plan, layer: str, raw: bool) -> Reader:
    if layer == "image" and plan.source.in_place:
        source = plan.source.open()
        return (source.stored() if raw else source).read
    place, spec = Path(plan.outdir, layer), plan.layers[layer]
    return lambda box: read_box(place, spec, box)
