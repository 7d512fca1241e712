"""The files beside an HDF5 file in which a dataset's voxels lie: of virtual datasets, external links and external storage."""

import glob
import re
from pathlib import Path
from typing import Any


def referred_files(array: Any, path: str) -> list[Path]:
    """Return the local files that an open dataset is read from, beside the file `path`; missing ones are left out.

    Parameters
    ----------
    array
        An ``h5py.Dataset``.
    path
        The file that the user named.
    """
    own = Path(array.file.filename)
    found = {own, *_virtual(array, own), *(_place(name, own) for name, *_ in array.external or ())}
    here = Path(path).resolve()
    return sorted(p for p in found if p.is_file() and p.resolve() != here)


def _virtual(array: Any, own: Path) -> set[Path]:
    """The sources of a virtual dataset; ``%b`` in a name stands for numbers from 0 on."""
    if not array.is_virtual:
        return set()
    names = {str(source.file_name) for source in array.virtual_sources()}
    found = set()
    for name in names - {"."}:
        place = _place(name, own)
        if "%b" in name:
            pattern = re.sub(r"%b", "*", glob.escape(str(place)))
            found |= {Path(match) for match in glob.glob(pattern)}  # noqa: PTH207  (absolute patterns)
        else:
            found.add(place)
    return found


def _place(name: str | bytes, own: Path) -> Path:
    path = Path(name.decode() if isinstance(name, bytes) else name)
    if path.is_absolute() and path.exists():
        return path
    return own.parent / (path.name if path.is_absolute() else path)
