"""The formats that volumes are written in: each is declared here once, and written by a module of this package."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from connectomake.errors import ConfigError
from connectomake.exporting.volume import DTYPES, Level, Options, Writer

OME = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "float32", "float64")
"""Dtypes that OME's metadata of a TIFF can describe."""
PRECOMPUTED = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "float32")
"""Of the format's description; TensorStore writes int64, too, which no viewer shows."""


@dataclass(frozen=True, slots=True)
class ExportFormat:
    """A format that volumes are written in.

    Parameters
    ----------
    name
        As ``--format`` has it.
    module
        Of this package; its function ``create_NAME(path, levels, options)`` returns a `Writer` per level.
    text
        How it is called.
    suffixes
        Of a destination that is written so unless a format is named.
    dtypes
        Voxels that it holds without loss.
    channels
        Whether it holds several channels.
    pyramid
        Whether it holds all scales.
    size, offset
        Axes of which it says the voxel size, and the place of the first voxel.
    dataset
        Whether an array in it has a name.
    encodings
        Whether there are several ways to store its chunks.
    objects
        Whether it is a folder of chunks that may be objects in a bucket.
    """

    name: str
    module: str
    text: str
    suffixes: tuple[str, ...] = ()
    dtypes: tuple[str, ...] = DTYPES
    channels: bool = True
    pyramid: bool = False
    size: str = "zyx"
    offset: str = "zyx"
    dataset: bool = False
    encodings: bool = False
    objects: bool = False

    def check(self, level: Level) -> None:
        """Raise a ConfigError if the format does not support such voxels."""
        if level.dtype.name not in self.dtypes:
            raise ConfigError(
                f"{self.text} holds {', '.join(self.dtypes)}, not the {level.dtype.name} of {level.source.path} without loss; "
                "choose another --format, such as zarr3, hdf5 or nrrd, or another --dtype, such as float32 for float64, which "
                "rounds, or uint32 for ids of 64 bits, where they fit"
            )
        if len(level.channels) > 1 and not self.channels:
            raise ConfigError(
                f"{self.text} holds one channel, {level.source.path} has {len(level.channels)}; choose one with --channel"
            )

    def unsaid(self, level: Level) -> list[str]:
        """Return warnings about properties of the volume that the file does not store, or stores differently."""
        found = []
        size = "yx" if self.name == "tiff" and level.dtype.name not in OME else self.size
        lost = [a for a in "zyx" if a not in size]
        if lost:
            sizes = dict(zip("zyx", level.voxel_size, strict=True))
            said = ", ".join(f"{a} {sizes[a]:g} nm" for a in lost)
            found.append(f"{self.text} has no place for the voxel size in {', '.join(lost)}, which is {said}")
        moved = [a for a, v in zip("zyx", level.box.start, strict=True) if v and a not in self.offset]
        if moved:
            found.append(
                f"{self.text} has no place for the offset in {', '.join(moved)}; the first voxel is z, y, x = "
                f"{', '.join(str(v) for v in level.box.start)}"
            )
        if self.name == "tiff" and level.dtype.itemsize == 8 and level.dtype.kind in "iu":
            found.append(f"ImageJ does not read TIFF of {level.dtype.name}; choose --dtype uint32 if the ids fit")
        if self.name == "mrc" and level.dtype == "uint8":
            found.append("MRC has no uint8 that all programs read alike; the values are written as uint16")
        return found

    def create(self, path: Path, levels: Sequence[Level], options: Options) -> list[Writer]:
        """Begin a file or folder; return a writer for each level."""
        function: Callable[..., Any] = getattr(import_module(f"connectomake.exporting.{self.module}"), f"create_{self.name}")
        return cast("list[Writer]", function(path, levels, options))


FORMATS = {
    form.name: form
    for form in (
        ExportFormat("tiff", "mapped", "TIFF", (".tif", ".tiff"), offset=""),
        ExportFormat("tiffs", "sections", "a folder of TIFF sections", channels=False, size="yx", offset="z"),
        ExportFormat(
            "png", "sections", "a folder of PNG sections", dtypes=("uint8", "uint16"), channels=False, size="", offset="z"
        ),
        ExportFormat("hdf5", "hdf5", "HDF5", (".h5", ".hdf5", ".hdf"), dataset=True),
        ExportFormat("zarr2", "arrays", "Zarr 2", dataset=True, objects=True),
        ExportFormat("zarr3", "arrays", "Zarr 3", (".zarr",), dataset=True, objects=True),
        ExportFormat("ome4", "arrays", "OME-Zarr 0.4", pyramid=True, objects=True),
        ExportFormat("ome5", "arrays", "OME-Zarr 0.5", (".ome.zarr",), pyramid=True, objects=True),
        ExportFormat("n5", "arrays", "N5", (".n5",), dataset=True, objects=True),
        ExportFormat("npy", "mapped", "NPY", (".npy",), size="", offset=""),
        ExportFormat("nrrd", "mapped", "NRRD", (".nrrd",)),
        ExportFormat(
            "mrc", "mapped", "MRC", (".mrc", ".rec", ".map"), ("uint8", "int8", "int16", "uint16", "float32"), channels=False
        ),
        ExportFormat(
            "precomputed", "precomputed", "precomputed", (".precomputed",), PRECOMPUTED, pyramid=True,
            encodings=True, objects=True,
        ),
    )
}  # fmt: skip
"""All formats by name."""


def format_of(name: str | None, destination: str) -> ExportFormat:
    """Return the format of a name or, without one, of a destination's suffix.

    Parameters
    ----------
    name
        Key of `FORMATS`, as given to ``--format``; None: by suffix.
    destination
        Path or URL; the longest suffix that matches decides.

    Raises
    ------
    ConfigError
        If there is no format of that name, or none has the suffix.
    """
    if name is not None:
        if name not in FORMATS:
            raise ConfigError(f"there is no --format {name} for volumes; there are: {', '.join(FORMATS)}")
        return FORMATS[name]
    found = {s: form for form in FORMATS.values() for s in form.suffixes if destination.rstrip("/").lower().endswith(s)}
    if not found:
        raise ConfigError(f"the name {destination} has no known suffix; name a format with --format: {', '.join(FORMATS)}")
    return found[max(found, key=len)]
