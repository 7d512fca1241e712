"""Folders of 2-D images, one per section, in natural order."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from connectomake.errors import SourceError
from connectomake.geometry import Box
from connectomake.sources.paths import natural_key
from connectomake.sources.reasons import reason

_HEADERS_CHECKED = 2000

Header = tuple[tuple[int, int], str]


def stack_files(path: str, suffixes: Sequence[str]) -> list[Path]:
    """Return the sections in a folder, in natural order; or the file itself if `path` is one."""
    place = Path(path)
    if place.is_file():
        return [place]
    files = [f for f in place.iterdir() if f.suffix.lower() in suffixes and not f.name.startswith(".")]
    return sorted(files, key=lambda f: natural_key(f.name))


def common_header(files: Sequence[Path], header: Callable[[Path], Header]) -> Header:
    """Return shape (y, x) and dtype of all sections; of more than 2000 files, 2000 are looked at now.

    Raises
    ------
    SourceError
        If a section differs from the first; the others are checked when they are read.
    """
    first = header(files[0])
    step = max(1, -(-len(files) // _HEADERS_CHECKED))
    for path in (*files[::step], files[-1]):
        found = header(path)
        if found != first:
            raise SourceError(f"{path} is {_words(found)}, but {files[0].name} is {_words(first)}; all must be alike")
    return first


def read_sections(files: Sequence[Path], decode: Callable[[Path], np.ndarray], expected: Header, box: Box) -> np.ndarray:
    """Read the box (1, z, y, x) from the sections that it needs, one at a time."""
    out = np.empty((1, *box.shape), expected[1])
    _, rows, columns = box.slices()
    for i, z in enumerate(range(box.start[0], box.stop[0])):
        section = _decoded(files[z], decode)
        if (section.shape, section.dtype.name) != expected:
            found = f"{section.shape} {section.dtype.name}"
            raise SourceError(f"{files[z]} is {found}, but the first section is {_words(expected)}; all must be alike")
        out[0, i] = section[rows, columns]
    return out


def section_reader(
    files: Sequence[Path], decode: Callable[[Path], np.ndarray], expected: Header
) -> Callable[[Box], np.ndarray]:
    """Return a reader of boxes for a `Source`."""
    return partial(read_sections, files, decode, expected)


def _decoded(path: Path, decode: Callable[[Path], np.ndarray]) -> np.ndarray:
    try:
        return decode(path)
    except SourceError:
        raise
    except Exception as error:
        raise SourceError(f"{path} cannot be decoded ({reason(error)}); it may be truncated: copy it again") from error


def _words(header: Header) -> str:
    return f"{header[0]} {header[1]}"
