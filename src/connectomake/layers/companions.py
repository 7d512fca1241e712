"""Files that have no place for a record, such as JSON and CSV: their checksums stand in the record of a file of the same job.

A record is written last, so a job that was killed in between leaves an old record, or none, and is run again.
"""

import os
import zlib
from pathlib import Path
from typing import Any

from connectomake.bounded_text import read_json
from connectomake.errors import LayerError

KEY = "beside"
_PIECE = 1 << 20


def companion_checksums(path: str | os.PathLike[str], *others: str | os.PathLike[str]) -> dict[str, Any]:
    """Return what the record of `path` says of other files of its job, which are written already.

    Returns
    -------
    dict
        One key, to be merged into the record: size and CRC-32 of each file, by its name as seen from the folder of `path`.
    """
    return {KEY: {_name(path, other): list(_measured(other)) for other in others}}


def check_companion(path: str | os.PathLike[str], record: dict[str, Any], other: str | os.PathLike[str]) -> None:
    """Compare a file with what the record of `path` says of it.

    Parameters
    ----------
    path
        The file with the record.
    record
        Its record; one that was written before such checksums were says nothing, then the form of the file is looked at.
    other
        The file without a record.

    Raises
    ------
    LayerError
        If it is not the file that the job wrote.
    OSError
        If it cannot be read.
    """
    expected = record.get(KEY, {}).get(_name(path, other))
    if expected is None:
        check_form(other)
    elif list(_measured(other)) != expected:
        raise LayerError(f"{other} does not fit the checksum that was noted with it; delete it and rerun")


def check_form(path: str | os.PathLike[str]) -> None:
    """Look whether a text file is evidently not whole: empty, no UTF-8, no JSON, a last line of CSV that breaks off.

    Raises
    ------
    LayerError
        If so.
    OSError
        If it cannot be read.
    """
    try:
        text = Path(path).read_bytes().decode()
        whole = text.endswith("\n") if Path(path).suffix == ".csv" else read_json(text) is not None
    except ValueError:
        whole = False
    if not whole:
        raise LayerError(f"{path} is truncated or damaged; delete it and rerun")


def _name(path: str | os.PathLike[str], other: str | os.PathLike[str]) -> str:
    return Path(os.path.relpath(other, Path(path).parent)).as_posix()


def _measured(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Return size and CRC-32 of a file."""
    size, found = 0, 0
    with Path(path).open("rb") as stream:
        while piece := stream.read(_PIECE):
            size, found = size + len(piece), zlib.crc32(piece, found)
    return size, found
