"""Where images come from: all formats (`connectomake.sources.formats`) are read as boxes in z, y, x."""

from collections.abc import Sequence

from connectomake.credentials import hidden
from connectomake.errors import ConfigError, ConnectomakeError, SourceError
from connectomake.keys import key
from connectomake.sources.filtering import filtered
from connectomake.sources.formats import BY_NAME, Format
from connectomake.sources.ingest import filled_fact, ingest_block
from connectomake.sources.mapping import mapped
from connectomake.sources.options import DEFAULTS, SourceOptions
from connectomake.sources.paths import find_kind, is_url, resolve_local, split_kind
from connectomake.sources.probability import probabilities
from connectomake.sources.reasons import reason
from connectomake.sources.source import Source
from connectomake.sources.urls import archive_root, split_archive

__all__ = [
    "Source", "SourceOptions", "filled_fact", "find_kind", "ingest_block", "is_url", "open_source", "probabilities",
    "resolve_local",
]  # fmt: skip


def open_source(
    path: str,
    dataset: str | None = None,
    voxel_size: Sequence[float] | None = None,
    scale: int | str | None = None,
    options: SourceOptions = DEFAULTS,
) -> Source:
    """Open a source and read its metadata, not its voxels.

    Parameters
    ----------
    path
        Local path, ``file://``, or URL (s3, gs, http, https). A format may be put in front where it is not clear from the name:
        ``zarr://s3://bucket/volume``. A remote path is Zarr, N5 or HDF5 if it (or, of Zarr
        and N5, a part of it) ends so, else precomputed.
    dataset
        Name within an HDF5 file or a Zarr or N5 container.
    voxel_size
        Nanometres, z, y, x; wins over the metadata's.
    scale
        Of precomputed and OME-Zarr: index (0, the default, is the finest) or key.
    options
        What the user says of the source beside that.

    Raises
    ------
    ConfigError
        If dataset, scale or voxel size is missing, unknown or wrong.
    SourceError
        If there is nothing at the path, or it cannot be reached or understood.
    """
    if not path:
        raise ConfigError(f"{key('path')} is empty; name the image")
    path = hidden(path)
    kind, place = split_kind(resolve_local(path, "."))
    form = BY_NAME[kind or find_kind(place)]
    if not is_url(place) and split_archive(place):
        place = archive_root(place)[1]
    form.check_keys(dataset, scale, path)
    try:
        return filtered(mapped(_open(form, place, dataset, scale, voxel_size, options), options), options.filters)
    except ConnectomakeError:
        raise
    except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
        what = f"{type(error).__name__}: {reason(error)}"
        raise SourceError(f"the metadata of {path} are not understood ({what}); correct them, or {key('path')}") from error


def _open(
    form: Format,
    place: str,
    dataset: str | None,
    scale: int | str | None,
    voxel_size: Sequence[float] | None,
    options: SourceOptions,
) -> Source:
    """Open a source of a known format; of pictures, axes and offset are as the user says."""
    if not form.stack:
        return form.open(place, dataset, scale, voxel_size, options)
    from connectomake.sources.stack_axes import placed
    from connectomake.sources.tiff_size import stored_size

    stored = stored_size(place) if form.name == "tiff" else None
    source = form.open(place, dataset, scale, stored if voxel_size is None else voxel_size, options)
    return placed(source, options, voxel_size, stored)
