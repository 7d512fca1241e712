"""Addresses as Neuroglancer and TensorStore write them, and archives within paths."""

import re
import zipfile
from pathlib import Path

from connectomake.errors import ConfigError, SourceError
from connectomake.keys import key

ADAPTERS = {"zarr": "zarr", "zarr2": "zarr", "zarr3": "zarr", "n5": "n5", "neuroglancer-precomputed": "precomputed"}
"""What stands after ``|`` in a pipeline of Neuroglancer, and the kind that it means."""

_PIPE = re.compile(r"\|([a-zA-Z0-9_-]+):([^|]*)")
_ARCHIVE = re.compile(r"(.*?\.zip)(?:/+(.*))?$", re.IGNORECASE | re.DOTALL)
_ROOTS = (".zgroup", ".zarray", ".zattrs", "zarr.json", "attributes.json")


def split_pipeline(url: str) -> tuple[str | None, str]:
    """Split ``s3://bucket/x.zarr/|zarr3:raw`` into the kind, or None, and the plain path, ``s3://bucket/x.zarr/raw``.

    Raises
    ------
    ConfigError
        If it names an adapter that is not known.
    """
    if not _PIPE.search(url):
        return None, url
    base, kind = url[: url.index("|")], None
    for name, within in _PIPE.findall(url):
        if name == "zip":
            if not base.rstrip("/").lower().endswith(".zip"):
                raise ConfigError(f"{key('path')} {url} names the archive {base}; its name must end in .zip")
        elif name in ADAPTERS:
            kind = ADAPTERS[name]
        else:
            known = ", ".join(f"{known}:" for known in ("zip", *ADAPTERS))
            raise ConfigError(f"{key('path')} {url} has the unknown adapter {name}: after a |; use {known}")
        base = "/".join(part for part in (base.rstrip("/"), within.strip("/")) if part)
    return kind, base


def split_archive(path: str) -> tuple[str, str] | None:
    """Split a path into a zip file and the place in it; None if there is no zip file on the way.

    Of a local path a part that ends in ``.zip`` must be a file.
    """
    found = _ARCHIVE.match(path.rstrip("/"))
    if found is None or ("://" not in path and not Path(found[1]).is_file()):
        return None
    return found[1], (found[2] or "").strip("/")


def archive_root(path: str) -> tuple[str, str]:
    """Return the kind of container in a local zip file (``zarr`` or ``n5``), and its path: the archive, and the folder in it.

    Raises
    ------
    SourceError
        If it is no zip file, or holds neither.
    """
    archive, within = split_archive(path) or (path, "")
    try:
        with zipfile.ZipFile(archive) as file:
            names = [name for name in file.namelist() if name.startswith(f"{within}/" if within else "")]
    except (OSError, zipfile.BadZipFile) as error:
        raise SourceError(f"{archive} cannot be opened as a zip file ({error}); copy it again") from error
    roots = sorted(
        (name.count("/"), name.rpartition("/")[0], name.rpartition("/")[2])
        for name in names
        if name.rpartition("/")[2] in _ROOTS
    )
    if not roots:
        raise SourceError(f"the zip file {path} holds no Zarr or N5 (.zgroup, .zarray, zarr.json, attributes.json); unpack it")
    _, folder, marker = roots[0]
    return ("n5" if marker == "attributes.json" else "zarr"), "/".join(part for part in (archive, folder) if part)
