"""Which other files an HDF5 file may be read from.

A dataset may say that its bytes lie in any file at all (external raw storage: ``/etc/passwd`` becomes voxels), or in datasets
of other HDF5 files (external links, virtual datasets). A file that was sent or downloaded must not decide what of this machine
is read, so such files must lie in its own folder, or below it, or in a folder that the user named (``source.refers_to``).
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from connectomake.errors import SourceError
from connectomake.keys import key
from connectomake.sources.hdf5_virtual import mappings_of

_DEEPEST = 16


def check_reach(array: Any, path: str | None, refers_to: Sequence[str] = ()) -> None:
    """Refuse a dataset whose voxels lie in files that its file may not refer to, directly or by what those refer to.

    Parameters
    ----------
    array
        An open ``h5py.Dataset``.
    path
        The local file that the user named; None if it lies at a URL, so that no local file is its own.
    refers_to
        Further folders.

    Raises
    ------
    SourceError
        That names the first such file and the way out.
    """
    own = None if path is None else Path(path).resolve()
    allowed = [Path(place).expanduser().resolve() for place in refers_to] + ([own.parent] if own else [])
    for what, place in _referred(array, set(), _DEEPEST):
        real = place.resolve()
        if real != own and real.exists() and not any(real.is_relative_to(folder) for folder in allowed):
            named = path or "an HDF5 file at a URL"
            raise SourceError(
                f"dataset {array.name} of {named} is read from {real} ({what}), outside the file's folder, which a file from "
                f"elsewhere could misuse; if that is meant, set {key('refers_to', [str(real.parent)])}"
            )


def _referred(array: Any, seen: set[tuple[str, str]], depth: int) -> Iterator[tuple[str, Path]]:
    """Yield what a dataset is read from, and how that is referred to."""
    key = (str(array.file.filename), str(array.name))
    if key in seen or depth == 0:
        return
    seen.add(key)
    at_url = array.file.driver == "fileobj"
    if not at_url:
        yield "an external link or a virtual dataset", Path(os.fsdecode(array.file.filename))
    for name, *_ in array.external or ():
        yield "external raw storage", _raw_place(os.fsdecode(name), array)
    for mapping in mappings_of(array, "" if at_url else os.fsdecode(array.file.filename)) if array.is_virtual else ():
        if mapping.file is not None:
            yield "a virtual dataset", mapping.file
        if mapping.dataset is not None:
            yield from _referred(mapping.dataset, seen, depth - 1)


def _raw_place(name: str, array: Any) -> Path:
    """Return where HDF5 looks for raw storage: below its prefix, or in the working directory."""
    beside = str(Path(os.fsdecode(array.file.filename)).parent) if array.file.driver != "fileobj" else "."
    return Path(os.environ.get("HDF5_EXTFILE_PREFIX", "").replace("${ORIGIN}", beside), name)
