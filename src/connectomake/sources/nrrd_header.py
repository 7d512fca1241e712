"""The header of an NRRD file (https://teem.sourceforge.net/nrrd/format.html): its fields, and where its voxels lie."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from connectomake.errors import SourceError
from connectomake.keys import key

_TYPES = {
    "i1": "signed char|int8|int8_t", "u1": "uchar|unsigned char|uint8|uint8_t",
    "i2": "short|short int|signed short|signed short int|int16|int16_t",
    "u2": "ushort|unsigned short|unsigned short int|uint16|uint16_t",
    "i4": "int|signed int|int32|int32_t", "u4": "uint|unsigned int|uint32|uint32_t",
    "i8": "longlong|long long|long long int|signed long long|signed long long int|int64|int64_t",
    "u8": "ulonglong|unsigned long long|unsigned long long int|uint64|uint64_t",
    "f4": "float", "f8": "double",
}  # fmt: skip
_DTYPES = {name: kind for kind, names in _TYPES.items() for name in names.split("|")}
_ALIASES = {
    "centerings": "centers", "datafile": "data file", "lineskip": "line skip", "byteskip": "byte skip", "axismins": "axis mins",
}  # fmt: skip
_REQUIRED = ("type", "dimension", "sizes", "encoding")
_LONGEST = 1 << 20
_VECTOR = re.compile(r"none|\([^)]*\)")
_TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"|(\S+)')


@dataclass(frozen=True)
class Header:
    """The fields of a header.

    Parameters
    ----------
    path
        The file.
    fields
        Their texts, by name in small letters.
    files
        Names of detached data files; empty if the voxels follow the header.
    end
        Byte after the header, and its blank line.
    """

    path: Path
    fields: dict[str, str]
    files: tuple[str, ...]
    end: int

    @property
    def sizes(self) -> tuple[int, ...]:
        """Extents, the fastest axis first."""
        found = self._integers("sizes")
        if len(found) != self.dimension or min(found) < 1:
            raise self.fault(f"sizes are {self.fields['sizes']!r}, not {self.dimension} numbers from 1 on")
        return tuple(found)

    @property
    def dimension(self) -> int:
        """Number of axes."""
        (found,) = self._integers("dimension", 1)
        return found

    @property
    def encoding(self) -> str:
        """``raw``, ``gzip`` or another."""
        name = self.fields["encoding"].lower()
        return {"gz": "gzip", "bz2": "bzip2", "txt": "ascii", "text": "ascii"}.get(name, name)

    @property
    def dtype(self) -> np.dtype:
        """Of the voxels, with their byte order."""
        name = " ".join(self.fields["type"].lower().split())
        if name not in _DTYPES:
            raise self.fault(f"type is {name!r}, which is not read; save it as one of the types of numbers")
        kind = np.dtype(_DTYPES[name])
        order = self.fields.get("endian", "").lower()
        if kind.itemsize > 1 and order not in ("little", "big"):
            raise self.fault(f"endian is {order!r}; for voxels of {kind.itemsize} bytes it must say little or big")
        return kind.newbyteorder(">" if order == "big" else "<")

    def skip(self, name: str) -> int:
        """Return ``line skip`` or ``byte skip``."""
        (found,) = self._integers(name, 1) if name in self.fields else (0,)
        if found < (-1 if name == "byte skip" else 0):
            raise self.fault(f"{name} is {found}; it must be 0 or more")
        return found

    def words(self, name: str) -> list[str] | None:
        """Return a field of words that have no spaces in them."""
        return self.fields[name].split() if name in self.fields else None

    def texts(self, name: str) -> list[str] | None:
        """Return a field of quoted texts; plain words are taken, too, as some programs write them."""
        if name not in self.fields:
            return None
        return [quoted or plain for quoted, plain in _TEXT.findall(self.fields[name])]

    def vectors(self, name: str) -> list[tuple[float, ...] | None] | None:
        """Return a field of vectors ``(1,0,0)``, None where it says ``none``."""
        if name not in self.fields:
            return None
        found = _VECTOR.findall(self.fields[name])
        return [None if text == "none" else self._vector(name, text) for text in found]

    def _vector(self, name: str, text: str) -> tuple[float, ...]:
        try:
            return tuple(float(v) for v in text[1:-1].split(","))
        except ValueError:
            raise self.fault(f"{name} has the vector {text}, which is not of numbers") from None

    def numbers(self, name: str) -> list[float] | None:
        """Return a field of numbers, ``nan`` where there is none."""
        words = self.words(name)
        try:
            return None if words is None else [float(v) for v in words]
        except ValueError:
            raise self.fault(f"{name} is {self.fields[name]!r}, which is not of numbers") from None

    def _integers(self, name: str, count: int | None = None) -> list[int]:
        try:
            found = [int(v) for v in self.fields[name].split()]
        except ValueError:
            found = []
        if not found or (count is not None and len(found) != count):
            raise self.fault(f"{name} is {self.fields[name]!r}, which is not of whole numbers")
        return found

    def fault(self, what: str) -> SourceError:
        """Return an error about the header."""
        return SourceError(f"the NRRD header of {self.path} is not understood: {what}; correct it, or write the file anew")


def read_header(path: Path) -> Header:
    """Read the fields of a header.

    Raises
    ------
    SourceError
        If it is none, or lacks a field.
    """
    fields: dict[str, str] = {}
    files: tuple[str, ...] = ()
    with path.open("rb") as stream:
        if not re.fullmatch(rb"NRRD000[1-5]", stream.readline(_LONGEST).strip()):
            raise SourceError(f"{path} is not an NRRD file of version 1 to 5; copy it again")
        while line := stream.readline(_LONGEST):
            text = line.decode("utf-8", "replace").strip()
            if not text:
                break
            name, found, value = text.partition(": ")
            if text.startswith("#") or (":=" in text and (not found or text.index(":=") < text.index(": "))):
                continue
            if not found and text.endswith(":"):
                name = text[:-1]
            name = _ALIASES.get(name.lower().strip(), name.lower().strip())
            if not found and not text.endswith(":"):
                raise SourceError(f"{path} has the line {text[:80]!r} in its NRRD header, which is not a field; copy it again")
            fields[name] = value.strip()
            if name == "data file" and value.split()[:1] == ["LIST"]:
                files = tuple(t for t in (line.decode("utf-8", "replace").strip() for line in stream) if t)
                break
        end = stream.tell()
    header = Header(path, fields, files or _named(fields.get("data file"), path), end)
    for name in _REQUIRED:
        if name not in fields:
            raise header.fault(f"it has no field {name!r}")
    return header


def _named(text: str | None, path: Path) -> tuple[str, ...]:
    """Return the names of data files: one, or those of a pattern with its first number, last number and step."""
    if text is None:
        return ()
    pattern = re.fullmatch(r"(.*%[0-9]*d.*?)\s+(-?\d+)\s+(-?\d+)\s+(-?\d+)(?:\s+\d+)?", text)
    if pattern is None:
        return (text,)
    first, last, step = (int(pattern[i]) for i in (2, 3, 4))
    if step == 0 or (last - first) // step > 10**6 or (last - first) // step < 0:
        raise SourceError(f"the NRRD header of {path} names no data files: {text!r}; correct it")
    numbers = range(first, last + (1 if step > 0 else -1), step)
    place = re.compile(r"%(0?)(\d*)d")
    return tuple(place.sub(lambda m, n=n: f"{n:{m[1]}{m[2]}d}", pattern[1], count=1) for n in numbers)


def data_files(header: Header, refers_to: Sequence[str]) -> tuple[Path, ...]:
    """Return the files that hold the voxels: the header's own, or those that it names, which must lie in its folder or below.

    Raises
    ------
    SourceError
        If one is not there, or lies elsewhere and the user did not name its folder: a header from elsewhere must not decide
        what of this machine is read.
    """
    if not header.files:
        return (header.path,)
    own = header.path.resolve().parent
    allowed = [own, *(Path(place).expanduser().resolve() for place in refers_to)]
    found = []
    for name in header.files:
        place = header.path.parent / name
        if not place.is_file():
            raise SourceError(f"{header.path} names the data file {name}, which is not there; copy that as well")
        if not any(place.resolve().is_relative_to(folder) for folder in allowed):
            raise SourceError(
                f"{header.path} is read from {place.resolve()}, outside its folder, which a file from elsewhere could misuse; "
                f"if that is meant, set {key('refers_to', [str(place.resolve().parent)])}"
            )
        found.append(place)
    return tuple(found)
