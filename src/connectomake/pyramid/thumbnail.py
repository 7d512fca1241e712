"""The thumbnail of a layer: its middle section at a coarse scale, as a small PNG."""

import io
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from connectomake.atomic import atomic_path
from connectomake.geometry import Box
from connectomake.layers import LayerSpec, read_box
from connectomake.layers.records import append_record

SMALLEST_SIDE = 128
LARGEST_SIDE = 512
_MIX = np.uint64(0x9E3779B97F4A7C15)


def thumbnail_scale(scales: Sequence[LayerSpec]) -> int:
    """Return the coarsest scale whose section has a side of 128 voxels or more; the finest if there is none."""
    large = [i for i, s in enumerate(scales) if max(s.roi.shape[1:]) >= SMALLEST_SIDE]
    return large[-1] if large else 0


def section_of(spec: LayerSpec) -> Box:
    """Return the middle section of a layer, its middle 512 voxels where it is larger."""
    start, stop = list(spec.roi.start), list(spec.roi.stop)
    start[0] += spec.roi.shape[0] // 2
    stop[0] = start[0] + 1
    for axis in (1, 2):
        spare = max(spec.roi.shape[axis] - LARGEST_SIDE, 0)
        start[axis] += spare // 2
        stop[axis] = min(start[axis] + LARGEST_SIDE, stop[axis])
    return Box((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))


def write_thumbnail(path: str | os.PathLike[str], spec: LayerSpec, shards: Mapping[int, str], record: dict[str, Any]) -> None:
    """Draw the middle section of a layer as a PNG, the same bytes for the same voxels, with a record behind it.

    Parameters
    ----------
    path
        The picture.
    spec
        The layer at the scale to draw.
    shards
        Those that meet `section_of`, by block.
    record
        What to note in the file.
    """
    from PIL import Image

    section = read_box(shards, spec, section_of(spec))[:, 0]
    stream = io.BytesIO()
    Image.fromarray(_drawn(section, spec)).save(stream, "PNG", optimize=True)
    with atomic_path(path) as temporary:
        temporary.write_bytes(stream.getvalue())
        append_record(temporary, record, temporary.stat().st_size)


def _drawn(section: np.ndarray, spec: LayerSpec) -> np.ndarray:
    if spec.kind == "segmentation":
        return coloured(section[0])
    return shaded(section, stretch=spec.name == "image")


def shaded(section: np.ndarray, stretch: bool = False) -> np.ndarray:
    """Return a section (c, y, x) as uint8: three channels or more as red, green and blue, else the first in grey.

    Floats are black at 0 and white at 1; with `stretch`, those that go beyond at their lowest and highest finite value.
    """
    if section.dtype.kind == "f":
        low, high = _ends(section) if stretch else (0.0, 1.0)
        grey = np.clip((np.nan_to_num(section, posinf=high, neginf=low) - low) / (high - low), 0, 1) * 255
    elif section.dtype == np.uint8:
        grey = section
    else:
        low, high = int(section.min()), int(section.max())
        grey = (section.astype(np.float64) - low) * (255 / max(high - low, 1))
    bytes_ = grey.astype(np.uint8)
    return np.ascontiguousarray(np.moveaxis(bytes_[:3], 0, -1)) if len(bytes_) >= 3 else bytes_[0]


def _ends(section: np.ndarray) -> tuple[float, float]:
    finite = section[np.isfinite(section)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    return (low, high) if (low < 0 or high > 1) and low < high else (0.0, 1.0)


def coloured(labels: np.ndarray) -> np.ndarray:
    """Return labels (y, x) as uint8 (y, x, 3): a colour that follows from the label alone; 0 is black."""
    mixed = labels.astype(np.uint64) * _MIX
    mixed ^= mixed >> np.uint64(29)
    parts = np.stack([(mixed >> np.uint64(s)) & np.uint64(0xFF) for s in (8, 24, 40)], axis=-1)
    return np.where((labels == 0)[..., None], 0, 64 + parts * 3 // 4).astype(np.uint8)
