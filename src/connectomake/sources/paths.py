"""Where a source lies and what kind of thing lies there."""

import re
from pathlib import Path
from urllib.parse import unquote, urlparse

from connectomake.errors import ConfigError, SourceError
from connectomake.sources.urls import archive_root, split_archive, split_pipeline
from connectomake.storage.address import REMOTE

STACKS = ("tiff", "png", "jpeg")
_CALLED = {"zarr2": "zarr", "zarr3": "zarr"}
KINDS = ("precomputed", "hdf5", *STACKS, "zarr", "n5")
_KNOWN = (
    "precomputed (info), Zarr (.zarray, zarr.json), N5 (attributes.json), HDF5, TIFF, PNG, JPEG or a folder of one of these"
)
_MAGIC = (
    (b"\x89HDF\r\n\x1a\n", "hdf5"), (b"II*\0", "tiff"), (b"MM\0*", "tiff"), (b"II+\0", "tiff"), (b"MM\0+", "tiff"),
    (b"\x89PNG\r\n\x1a\n", "png"), (b"\xff\xd8\xff", "jpeg"),
)  # fmt: skip
_HEAD = 8200
_USER_BLOCKS = (512, 1024, 2048, 4096, 8192)  # HDF5 may begin after a block of the user's; MATLAB's is of 512 bytes
_MATLAB_5 = b"MATLAB 5.0 MAT-file"
_SUFFIXES = {
    ".h5": "hdf5", ".hdf5": "hdf5", ".hdf": "hdf5", ".tif": "tiff", ".tiff": "tiff", ".png": "png", ".jpg": "jpeg",
    ".jpeg": "jpeg", ".zarr": "zarr", ".n5": "n5", ".mat": "hdf5",
}  # fmt: skip
_MARKERS = (
    ("info", "precomputed"), (".zarray", "zarr"), ("zarr.json", "zarr"), (".zgroup", "zarr"), (".zattrs", "zarr"),
    ("attributes.json", "n5"),
)  # fmt: skip


def split_kind(path: str) -> tuple[str | None, str]:
    """Split ``precomputed://gs://…`` or ``gs://…|neuroglancer-precomputed:`` into kind and path.

    The kind is None where the path does not name it.

    Raises
    ------
    ConfigError
        If a pipeline names an adapter that is not known.
    """
    head, found, rest = path.partition("://")
    kind = _CALLED.get(head, head)
    named, place = split_pipeline(rest if found and kind in KINDS else path)
    return (named or (kind if found and kind in KINDS else None)), place


def is_url(path: str) -> bool:
    """Whether `path` lies in a bucket or on a web server (s3, gs, http, https); ``file://`` does not count."""
    return urlparse(split_kind(path)[1]).scheme in REMOTE


def resolve_local(path: str, base: str | Path) -> str:
    """Return `path` as an absolute path, relative ones taken from the folder `base`; a URL is returned as it is.

    ``file://`` is taken off; ``~`` is the home folder; a kind in front, as in ``zarr://``, stays.
    """
    kind, rest = split_kind(path)
    if rest.startswith("file://"):
        rest = unquote(urlparse(rest).path)
    elif "://" in rest:
        return f"{kind}://{rest}" if kind else rest
    absolute = str(Path(base).expanduser().absolute() / Path(rest).expanduser())
    return f"{kind}://{absolute}" if kind else absolute


def find_kind(path: str) -> str:
    """Tell the format at `path`: from the bytes of a file, from what lies in a folder, from the name of a URL.

    Raises
    ------
    SourceError
        If there is nothing, or nothing known.
    ConfigError
        If the scheme of a URL is not known.
    """
    scheme, found, _ = path.partition("://")
    if found:
        if scheme not in REMOTE:
            raise ConfigError(f"source.path {path} has the unknown scheme {scheme}; use file, {', '.join(REMOTE)} or a path")
        return _SUFFIXES.get(_remote_suffix(path), "precomputed")
    place = Path(path)
    if split_archive(path):
        return archive_root(path)[0]
    if place.is_dir():
        return _kind_of_folder(place)
    if not place.exists():
        raise SourceError(
            f"source.path {path} does not exist; a relative path counts from the working directory, not the config's folder"
        )
    return _kind_of_file(place)


def _remote_suffix(path: str) -> str:
    """Suffix of a URL that names an HDF5 file, or of the last part of its path that is a Zarr or N5 container."""
    suffixes = [Path(re.sub(r"(?i)\.zip$", "", part)).suffix.lower() for part in urlparse(path).path.rstrip("/").split("/")]
    if _SUFFIXES.get(suffixes[-1]) == "hdf5":
        return suffixes[-1]
    return next((s for s in reversed(suffixes) if s in (".zarr", ".n5")), "")


def _kind_of_folder(place: Path) -> str:
    for name, kind in _MARKERS:
        if (place / name).is_file():
            return kind
    webknossos = [place / "header.wkw", place / "datasource-properties.json", *place.glob("*/header.wkw")]
    if any(file.is_file() for file in webknossos):
        raise SourceError(
            f"{place} is webKnossos's; of its layers, those in Zarr and N5 are read: name the folder of one; "
            "WKW must be converted to Zarr first, which the webknossos package does"
        )
    suffix = _SUFFIXES.get(place.suffix.lower())
    if suffix in ("zarr", "n5"):
        return suffix
    named = {_SUFFIXES.get(f.suffix.lower()) for f in place.iterdir() if not f.name.startswith(".")}
    kinds = [kind for kind in STACKS if kind in named]
    if len(kinds) > 1:
        both = " and ".join(kind.upper() for kind in kinds)
        raise SourceError(f"the folder {place} holds both {both} files; leave only the sections of one volume there")
    if not kinds:
        raise SourceError(f"the folder {place} is of no known format; it must be {_KNOWN}")
    return kinds[0]


def _kind_of_file(place: Path) -> str:
    try:
        with place.open("rb") as stream:
            head = stream.read(_HEAD)
    except OSError as error:
        raise SourceError(f"{place} cannot be opened ({error.strerror}); check its permissions") from error
    if place.name == "info" or place.stat().st_size == 0:
        fault = "is empty; copy it again" if place.name != "info" else "is a file; name the folder that holds it"
        raise SourceError(f"source.path {place} {fault}")
    named = _SUFFIXES.get(place.suffix.lower())
    for magic, kind in _MAGIC:
        if head.startswith(magic) or (kind == "hdf5" and any(head[at : at + len(magic)] == magic for at in _USER_BLOCKS)):
            return kind
    if head.startswith(_MATLAB_5):
        raise SourceError(f"{place} is a MATLAB file of a version before 7.3; save it there with save(…, '-v7.3')")
    if named:
        raise SourceError(f"{place} is named like {named} but does not begin like it; copy it again, or name it as what it is")
    raise SourceError(f"{place} is of no known format; it must be {_KNOWN}")
