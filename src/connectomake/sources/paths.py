"""Where a source lies and what kind of thing lies there."""

import re
from pathlib import Path
from urllib.parse import unquote, urlparse

from connectomake.errors import ConfigError, SourceError
from connectomake.keys import key
from connectomake.sources.formats import BY_NAME, BY_SUFFIX, FORMATS, KNOWN
from connectomake.sources.urls import archive_root, split_archive, split_pipeline
from connectomake.storage.address import REMOTE

_CALLED = {"zarr2": "zarr", "zarr3": "zarr"}
_HEAD = 8200
_MATLAB_5 = b"MATLAB 5.0 MAT-file"


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
    named, place = split_pipeline(rest if found and kind in BY_NAME else path)
    return (named or (kind if found and kind in BY_NAME else None)), place


def is_url(path: str) -> bool:
    """Whether `path` lies in a bucket or on a web server (s3, gs, http, https); ``file://`` does not count."""
    return urlparse(split_kind(path)[1]).scheme in REMOTE


def resolve_local(path: str, base: str | Path) -> str:
    """Return a local path as an absolute one, and a URL as it is.

    ``file://`` is removed; ``~`` is the home folder; a format in front, as in ``zarr://``, stays.

    Parameters
    ----------
    path
        Path or URL, as in the config.
    base
        Folder from which relative paths count.
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
            raise ConfigError(f"{key('path')} {path} has the unknown scheme {scheme}; use file, {', '.join(REMOTE)} or a path")
        return _kind_of_url(path)
    place = Path(path)
    if split_archive(path):
        return archive_root(path)[0]
    if place.is_dir():
        return _kind_of_folder(place)
    if not place.exists():
        raise SourceError(
            f"{key('path')} {path} does not exist; a relative path counts from the working directory, not the config's folder"
        )
    return _kind_of_file(place)


def _kind_of_url(url: str) -> str:
    """Return the format of a single file, or of the last part of the path that is a container; else precomputed."""
    parts = [re.sub(r"(?i)\.zip$", "", part) for part in urlparse(url).path.rstrip("/").split("/")]
    forms = [BY_SUFFIX.get(Path(part).suffix.lower()) for part in parts]
    if forms[-1] is not None and forms[-1].file_url:
        return forms[-1].name
    return next((form.name for form in reversed(forms) if form is not None and form.container), "precomputed")


def _kind_of_folder(place: Path) -> str:
    for form in FORMATS:
        if any((place / name).is_file() for name in form.markers):
            return form.name
    webknossos = [place / "header.wkw", place / "datasource-properties.json", *place.glob("*/header.wkw")]
    if any(file.is_file() for file in webknossos):
        raise SourceError(
            f"{place} is webKnossos's; of its layers, those in Zarr and N5 are read: give the folder of one; "
            "WKW must be converted to Zarr first, which the webknossos package does"
        )
    named = BY_SUFFIX.get(place.suffix.lower())
    if named is not None and named.container:
        return named.name
    inside = {BY_SUFFIX.get(f.suffix.lower()) for f in place.iterdir() if not f.name.startswith(".")}
    kinds = [form.name for form in FORMATS if form.stack and form in inside]
    if len(kinds) > 1:
        both = " and ".join(kind.upper() for kind in kinds)
        raise SourceError(f"the folder {place} holds both {both} files; leave only the sections of one volume there")
    if not kinds:
        raise SourceError(f"the folder {place} has an unknown format; it must be {KNOWN}")
    return kinds[0]


def _kind_of_file(place: Path) -> str:
    try:
        with place.open("rb") as stream:
            head = stream.read(_HEAD)
    except OSError as error:
        raise SourceError(f"{place} cannot be opened ({error.strerror}); check its permissions") from error
    if place.name == "info" or place.stat().st_size == 0:
        fault = "is empty; copy it again" if place.name != "info" else "is a file; name the folder that holds it"
        raise SourceError(f"{key('path')} {place} {fault}")
    for form in FORMATS:
        if form.begins(head):
            return form.name
    if head.startswith(_MATLAB_5):
        raise SourceError(f"{place} is a MATLAB file of a version before 7.3; save it there with save(…, '-v7.3')")
    if named := BY_SUFFIX.get(place.suffix.lower()):
        raise SourceError(
            f"{place} is named like {named.name} but does not start like one; copy it again, give it its format's suffix, or "
            f"say that it is one with {named.name}:// in front"
        )
    raise SourceError(f"{place} has an unknown format; it must be {KNOWN}")
