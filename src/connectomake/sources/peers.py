"""Conventions that programs do not record in their files: axis order, types and voxel sizes of MATLAB and BigDataViewer."""

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np

from connectomake.keys import key
from connectomake.sources.axes import SPACE, nanometres
from connectomake.sources.grid import Grid, Lengths
from connectomake.sources.paths import is_url

_CELLS = re.compile(r"/?t\d+/s(\d+)/(\d+)/cells")
_BDV_N5 = re.compile(r"setup(\d+)/timepoint\d+/s\d+")
_MOST_XML = 64 << 20
_MATLAB_AXES = {3: "zxy", 4: "czxy"}


def hdf5_dtype(array: Any) -> tuple[np.dtype, str]:
    """Return the dtype in which an HDF5 dataset's voxels are meant, and how to say so where it is not the stored one.

    BigDataViewer stores uint16 as int16, having no unsigned types; MATLAB stores logicals as uint8.
    """
    if array.dtype == np.int16 and _CELLS.fullmatch(str(array.name)):
        return np.dtype(np.uint16).newbyteorder(array.dtype.byteorder), "is BigDataViewer's: its int16 are read as uint16"
    if _matlab_class(array) == "logical" and array.dtype.itemsize == 1:
        return np.dtype(bool), ""
    return array.dtype, ""


def matlab(array: Any) -> Grid:
    """Return the axes of a MATLAB array: rows are y, columns x, then sections and channels; HDF5 lists them backwards."""
    if not _matlab_class(array) or array.ndim not in _MATLAB_AXES:
        return Grid()
    names = _MATLAB_AXES[array.ndim]
    note = (
        f"{array.name} is a MATLAB array of {' × '.join(str(n) for n in array.shape[::-1])}, taken as rows (y), columns (x), "
        f"sections (z){', channels' if array.ndim == 4 else ''}; if its first index is x there, say {key('axes')}: "
        f"{'c' if array.ndim == 4 else ''}zyx"
    )
    return Grid(tuple(names), notes=(note,))


def _matlab_class(array: Any) -> str:
    found = array.attrs.get("MATLAB_class", b"")
    return found.decode("ascii", "replace") if isinstance(found, bytes) else str(found)


def bigdataviewer(file: Any, array: Any, path: str) -> Grid:
    """Return the voxel size of one of BigDataViewer's HDF5 arrays, from the XML file beside it."""
    match = _CELLS.fullmatch(str(array.name))
    if match is None:
        return Grid()
    size = setup_size(path, int(match[1]))
    factors = file.get(f"s{match[1]}/resolutions")
    level = int(match[2])
    if size and factors is not None and getattr(factors, "ndim", 0) == 2 and level < len(factors):
        size = {a: size[a] * float(f) for a, f in zip("xyz", factors[level], strict=True)}
    return Grid(tuple(SPACE), size)


def bigdataviewer_n5(path: str, name: str) -> Grid:
    """Return the voxel size of one of BigDataViewer's N5 arrays at its finest scale, from the XML file beside the container."""
    match = _BDV_N5.fullmatch(name)
    return Grid(size=setup_size(path, int(match[1]))) if match else Grid()


def setup_size(path: str, setup: int) -> Lengths:
    """Return the voxel size of a view setup in BigDataViewer's XML file of the same name; empty if there is none."""
    beside = Path(path).with_suffix(".xml")
    if is_url(path) or not beside.is_file() or beside.stat().st_size > _MOST_XML:
        return {}
    try:
        text = beside.read_bytes()
        if b"<!ENTITY" in text:
            return {}
        setups = ET.fromstring(text).iter("ViewSetup")  # noqa: S314  (without entities there is nothing to expand)
        found = next((s for s in setups if (s.findtext("id") or "").strip() == str(setup)), None)
    except ET.ParseError:
        return {}
    if found is None:
        return {}
    numbers = (found.findtext("voxelSize/size") or "").split()
    lengths = [nanometres(n, found.findtext("voxelSize/unit")) for n in numbers]
    known = [n for n in lengths if n is not None]
    return dict(zip("xyz", known, strict=True)) if len(known) == len(lengths) == 3 else {}
