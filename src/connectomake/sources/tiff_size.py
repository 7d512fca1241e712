"""The voxel size that ImageJ and OME write into a TIFF."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from connectomake.sources.axes import SPACE, nanometres
from connectomake.sources.grid import plain


def stored_size(path: str) -> list[float] | None:
    """Return the voxel size in nm, z, y, x; None where a file, or a folder, does not say all three.

    ImageJ's is ``spacing`` (z) and ``unit`` of its description and the tags XResolution and YResolution, in pixels per unit;
    OME's ``PhysicalSizeX``, ``Y``, ``Z`` with units, µm where none is named.
    """
    import tifffile

    if Path(path).is_dir():
        return None
    try:
        with tifffile.TiffFile(path) as file:
            lengths = _of_ome(file.ome_metadata) if file.is_ome else _of_imagej(file) if file.is_imagej else []
    except Exception:  # whoever opens the file for its voxels says what is wrong with it
        return None
    found = [v for v in lengths if v is not None and v > 0]
    return found if len(found) == 3 else None


def _of_ome(text: str | None) -> Sequence[float | None]:
    if not text or "<!ENTITY" in text:
        return []
    pixels = next((e for e in ET.fromstring(text).iter() if e.tag.rpartition("}")[2] == "Pixels"), None)  # noqa: S314
    if pixels is None:
        return []
    axes = SPACE.upper()
    return [nanometres(pixels.get(f"PhysicalSize{a}"), pixels.get(f"PhysicalSize{a}Unit", "µm")) for a in axes]


def _of_imagej(file: Any) -> Sequence[float | None]:
    values = file.imagej_metadata or {}
    unit = str(plain(values.get("unit")) or "").strip()
    tags = file.pages[0].tags
    y, x = (_per_unit(tags.get(name)) for name in ("YResolution", "XResolution"))
    units = [str(values.get(f"{a}unit") or unit) for a in SPACE]
    return [nanometres(v, u) for v, u in zip((values.get("spacing"), y, x), units, strict=True)]


def _per_unit(tag: Any) -> float | None:
    """Return the length of a pixel from a tag that holds the pixels per unit, as a fraction."""
    if tag is None or not tag.value[0]:
        return None
    return float(tag.value[1]) / float(tag.value[0])
