"""Folders of 2-D images, one per section, in the order of the numbers in their names."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from connectomake.errors import SourceError
from connectomake.forking import last_file
from connectomake.geometry import Box
from connectomake.keys import key
from connectomake.sources.numbering import Numbering, UnclearNamesError, number_names
from connectomake.sources.options import DEFAULTS, SourceOptions
from connectomake.sources.reasons import TRUNCATED, reason, way_out

_HEADERS_CHECKED = 2000
_PROBED = 3
_MOST_MISSING = 10
"""Missing sections for each that is there, at most: beyond it the number is none of sections."""


@dataclass(frozen=True, slots=True)
class Header:
    """The header of a section.

    Parameters
    ----------
    shape
        Rows and columns.
    dtype
        NumPy name of what is decoded.
    coloured
        Whether only its pixels show that it is grey.
    stretch
        See `Source`.
    """

    shape: tuple[int, int]
    dtype: str
    coloured: bool = field(default=False, compare=False)
    stretch: int = field(default=1, compare=False)

    def __str__(self) -> str:
        """Return shape and dtype."""
        return f"{self.shape} {self.dtype}"


@dataclass(frozen=True, slots=True)
class Sections:
    """The files of a stack at their places along z.

    Parameters
    ----------
    files
        One per section; None where it is missing and read as zeros.
    remarks, notes
        Sentences for ``connectomake check``: the order; what is odd about it.
    """

    files: tuple[Path | None, ...]
    remarks: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def present(self) -> list[Path]:
        """The files that are there, in their order."""
        return [f for f in self.files if f is not None]

    @property
    def blank(self) -> int:
        """How many sections are read as zeros."""
        return self.files.count(None)


def find_sections(path: str, suffixes: Sequence[str], options: SourceOptions = DEFAULTS) -> Sections:
    """Return the sections in a folder, in the order of their numbers; or the file itself if `path` is one.

    Raises
    ------
    SourceError
        If the order is not clear from the names, two files have one number, or one is missing and ``missing_sections`` is
        ``error``.
    """
    place = Path(path)
    if place.is_file():
        return Sections((place,))
    files = [f for f in place.iterdir() if f.suffix.lower() in suffixes and not f.name.startswith(".") and f.is_file()]
    files.sort(key=lambda f: f.name)
    if not files:
        raise SourceError(f"the folder {path} holds no file named {' or '.join(suffixes)}; name the folder of the sections")
    try:
        numbering = number_names([f.name for f in files])
    except UnclearNamesError as error:
        raise SourceError(f"the folder {path}: {error}") from error
    by_number = dict(sorted(zip(numbering.numbers, files, strict=True)))
    step = math.gcd(*(b - a for a, b in pairwise(by_number))) or 1
    _check_gaps(path, by_number, numbering, step, options)
    numbers = range(min(by_number), max(by_number) + 1, step)
    sections = tuple(by_number.get(n) for n in numbers)
    return Sections(sections, (_order(path, list(by_number.values())),), tuple(_notes(path, numbering.how, step, sections)))


def _order(path: str, files: list[Path]) -> str:
    names = [f.name for f in files]
    shown = names if len(names) <= 4 else [*names[:2], "…", names[-1]]
    return f"the sections of {path} in their order: {', '.join(shown)} ({len(names):,} {'files' if len(names) > 1 else 'file'})"


def _notes(path: str, how: str, step: int, sections: Sequence[Path | None]) -> Iterator[str]:
    if how:
        yield f"the sections of {path} are ordered by their names: {how}"
    if step > 1:
        yield f"the sections of {path} are numbered in steps of {step}: nothing is taken as missing between them"
    if blank := sections.count(None):
        found = f"{blank:,} of {len(sections):,} sections of {path} missing"
        yield f"{found}, read as zeros ({key('missing_sections', 'blank')})"


def _check_gaps(path: str, by_number: dict[int, Path], numbering: Numbering, step: int, options: SourceOptions) -> None:
    gaps = [(a + step, b - step) for a, b in pairwise(by_number) if b - a > step]
    if not gaps:
        return
    missing = sum((b - a) // step + 1 for a, b in gaps)
    text = numbering.text
    listed = ", ".join(text(a) if a == b else f"{text(a)} to {text(b)}" for a, b in gaps[:4]) + (", …" if len(gaps) > 4 else "")
    before, after = next((by_number[a], by_number[b]) for a, b in pairwise(by_number) if b - a > step)
    how = f"; {numbering.how}" if numbering.how else ""
    found = f"the sections of {path} have gaps: {listed} missing ({before.name} is followed by {after.name}{how})"
    if missing > _MOST_MISSING * len(by_number):
        raise SourceError(
            f"{found}, {missing:,} for {len(by_number):,} files; is this the number of the section? rename the files"
        )
    if options.missing_sections == "error":
        raise SourceError(f"{found}; add them, or set {key('missing_sections', 'blank')} to read zeros in their place")


def common_header(files: Sequence[Path], header: Callable[[Path], Header], decode: Callable[[Path], np.ndarray]) -> Header:
    """Return shape (y, x) and dtype of all sections; of more than 2000 files, 2000 are looked at now.

    Raises
    ------
    SourceError
        If a section differs from the first, or one of the first three that have colours is not grey; the others are checked
        when they are read.
    """
    first = header(files[0])
    step = max(1, -(-len(files) // _HEADERS_CHECKED))
    probed, stretch = 0, first.stretch
    for path in dict.fromkeys((*files[::step], files[-1])):
        found = header(path)
        if found != first:
            raise SourceError(f"{path} is {found}, but {files[0].name} is {first}; all must be alike")
        stretch = found.stretch if found.stretch == stretch else 1  # of different depths, the grey is what they have in common
        if found.coloured and probed < _PROBED:
            probed += 1
            _decoded(path, decode)
    return replace(first, stretch=stretch)


def section_reader(
    files: Sequence[Path | None], decode: Callable[[Path], np.ndarray], expected: Header
) -> Callable[[Box], np.ndarray]:
    """Return a reader of boxes (1, z, y, x) for a `Source`, which decodes the sections that it needs, one at a time."""

    def read(box: Box) -> np.ndarray:
        out = np.zeros((1, *box.shape), expected.dtype)
        _, rows, columns = box.slices()
        for i, path in enumerate(files[box.start[0] : box.stop[0]]):
            if path is not None:
                out[0, i] = _section(path, decode, expected)[rows, columns]
        return out

    return read


def _section(path: Path, decode: Callable[[Path], np.ndarray], expected: Header) -> np.ndarray:
    last_file.reading(path)
    section = _decoded(path, decode)
    if (section.shape, section.dtype.name) != (expected.shape, expected.dtype):
        found = f"{section.shape} {section.dtype.name}"
        raise SourceError(f"{path} is {found}, but the first section is {expected}; all must be alike")
    return section


def _decoded(path: Path, decode: Callable[[Path], np.ndarray]) -> np.ndarray:
    try:
        return decode(path)
    except SourceError:
        raise
    except Exception as error:
        raise SourceError(f"{path} cannot be decoded ({reason(error)}); {way_out(error, TRUNCATED)}") from error
