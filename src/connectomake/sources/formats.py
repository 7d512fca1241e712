"""The formats of images: each is declared here once, and read by a module of this package."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from connectomake.errors import ConfigError
from connectomake.keys import key

if TYPE_CHECKING:
    from connectomake.sources.options import SourceOptions
    from connectomake.sources.source import Source


@dataclass(frozen=True, slots=True)
class Format:
    """A format of images.

    Parameters
    ----------
    name
        As it stands before ``://`` of a path, and in `Source.kind`.
    module
        Of this package; its function ``open_NAME(path, [dataset], [scale], voxel_size, options)`` returns the `Source`.
    text
        How errors list it.
    suffixes
        Of files and folders, in small letters, with the dot.
    magic, magic_at
        How a file begins, and the bytes at which that may be.
    markers
        Files whose presence identifies a folder of this format.
    dataset, scale
        Whether a path may hold several arrays by name, or by resolution: whether these keys of the config have a meaning.
    stack
        Whether it is of pictures, a section each, so that sections are read whole.
    container
        Whether any part of a URL that ends in a suffix is such a folder.
    file_url
        Whether a single file is read from a URL.
    """

    name: str
    module: str
    text: str
    suffixes: tuple[str, ...] = ()
    magic: tuple[bytes, ...] = ()
    magic_at: tuple[int, ...] = (0,)
    markers: tuple[str, ...] = ()
    dataset: bool = False
    scale: bool = False
    stack: bool = False
    container: bool = False
    file_url: bool = False

    def begins(self, head: bytes) -> bool:
        """Whether the first bytes of a file are those of this format."""
        return any(head[at : at + len(magic)] == magic for magic in self.magic for at in self.magic_at)

    def check_keys(self, dataset: str | None, scale: int | str | None, path: str) -> None:
        """Raise a ConfigError for a key that does not apply to the format."""
        if dataset and not self.dataset:
            raise ConfigError(f"{key('dataset')} {dataset} does not apply to {path}, which is {self.name}; leave it out")
        if scale is not None and not self.scale:
            raise ConfigError(f"{key('scale')} {scale} does not apply to {path}, which is {self.name}; leave it out")

    def open(
        self,
        place: str,
        dataset: str | None,
        scale: int | str | None,
        voxel_size: Sequence[float] | None,
        options: "SourceOptions",
    ) -> "Source":
        """Open a source of this format."""
        which = {k: v for k, v, has in (("dataset", dataset, self.dataset), ("scale", scale, self.scale)) if has}
        function: Callable[..., Any] = getattr(import_module(f"connectomake.sources.{self.module}"), f"open_{self.name}")
        return cast("Source", function(place, **which, voxel_size=voxel_size, options=options))


FORMATS = (
    Format("precomputed", "precomputed", "precomputed (info)", markers=("info",), scale=True),
    Format(
        "zarr", "zarr", "Zarr (.zarray, zarr.json)", (".zarr",), markers=(".zarray", "zarr.json", ".zgroup", ".zattrs"),
        dataset=True, scale=True, container=True,
    ),
    Format("n5", "n5", "N5 (attributes.json)", (".n5",), markers=("attributes.json",), dataset=True, container=True),
    Format(  # may begin after a block of the user's; MATLAB's is of 512 bytes
        "hdf5", "hdf5", "HDF5", (".h5", ".hdf5", ".hdf", ".mat"), (b"\x89HDF\r\n\x1a\n",), (0, 512, 1024, 2048, 4096, 8192),
        dataset=True, file_url=True,
    ),
    Format("npy", "npy", "NPY", (".npy",), (b"\x93NUMPY",)),
    Format("nrrd", "nrrd", "NRRD", (".nrrd", ".nhdr"), (b"NRRD000",)),
    Format("mrc", "mrc", "MRC", (".mrc", ".rec", ".map", ".ccp4", ".st", ".ali"), (b"MAP ",), (208,)),
    Format("tiff", "tiff", "TIFF", (".tif", ".tiff"), (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), stack=True),
    Format("png", "pictures", "PNG", (".png",), (b"\x89PNG\r\n\x1a\n",), stack=True),
    Format("jpeg", "pictures", "JPEG", (".jpg", ".jpeg"), (b"\xff\xd8\xff",), stack=True),
)  # fmt: skip
"""All formats, in the order in which folders are looked at."""
BY_NAME = {form.name: form for form in FORMATS}
BY_SUFFIX = {suffix: form for form in FORMATS for suffix in form.suffixes}
KNOWN = f"{', '.join(form.text for form in FORMATS)} or a folder of one of these"
