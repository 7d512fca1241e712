"""The formats that volumes are written in: each is declared here once, and written by a module of this package."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from connectomake.errors import ConfigError
from connectomake.exporting.volume import Level, Options, Writer

INTEGERS = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64")
ALL = (*INTEGERS, "float32")


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
    """

    name: str
    module: str
    text: str
    suffixes: tuple[str, ...] = ()
    dtypes: tuple[str, ...] = ALL
    channels: bool = True
    pyramid: bool = False

    def check(self, level: Level) -> None:
        """Raise a ConfigError if the format has no place for such voxels."""
        if level.dtype.name not in self.dtypes:
            raise ConfigError(
                f"{self.text} holds {', '.join(self.dtypes)}, not the {level.dtype.name} of {level.source.path} without loss; "
                "choose another --format, such as zarr3, hdf5 or nrrd"
            )
        if len(level.channels) > 1 and not self.channels:
            raise ConfigError(
                f"{self.text} holds one channel, {level.source.path} has {len(level.channels)}; choose one with --channel"
            )

    def create(self, path: Path, levels: Sequence[Level], options: Options) -> list[Writer]:
        """Begin a file or folder; return what each level is written with."""
        function: Callable[..., Any] = getattr(import_module(f"connectomake.exporting.{self.module}"), f"create_{self.name}")
        return cast("list[Writer]", function(path, levels, options))


FORMATS = {
    form.name: form
    for form in (
        ExportFormat("tiff", "mapped", "TIFF", (".tif", ".tiff")),
        ExportFormat("tiffs", "sections", "a folder of TIFF sections", channels=False),
        ExportFormat("png", "sections", "a folder of PNG sections", dtypes=("uint8", "uint16"), channels=False),
        ExportFormat("hdf5", "hdf5", "HDF5", (".h5", ".hdf5", ".hdf")),
        ExportFormat("zarr2", "arrays", "Zarr 2"),
        ExportFormat("zarr3", "arrays", "Zarr 3", (".zarr",)),
        ExportFormat("ome4", "arrays", "OME-Zarr 0.4", pyramid=True),
        ExportFormat("ome5", "arrays", "OME-Zarr 0.5", (".ome.zarr",), pyramid=True),
        ExportFormat("n5", "arrays", "N5", (".n5",)),
        ExportFormat("npy", "mapped", "NPY", (".npy",)),
        ExportFormat("nrrd", "mapped", "NRRD", (".nrrd",)),
        ExportFormat(
            "mrc", "mapped", "MRC", (".mrc", ".rec", ".map"), ("uint8", "int8", "int16", "uint16", "float32"), channels=False
        ),
        ExportFormat(
            "precomputed", "arrays", "precomputed", (".precomputed",), ALL, pyramid=True
        ),
    )
}  # fmt: skip
"""All formats by name."""


def format_of(name: str | None, destination: str) -> ExportFormat:
    """Return the format of a name or, without one, of a destination's suffix.

    Raises
    ------
    ConfigError
        If there is no such format, or the suffix tells none.
    """
    if name is not None:
        if name not in FORMATS:
            raise ConfigError(f"there is no --format {name} for volumes; there are: {', '.join(FORMATS)}")
        return FORMATS[name]
    found = {s: form for form in FORMATS.values() for s in form.suffixes if destination.rstrip("/").lower().endswith(s)}
    if not found:
        raise ConfigError(f"the name {destination} tells no format; name one with --format: {', '.join(FORMATS)}")
    return found[max(found, key=len)]
