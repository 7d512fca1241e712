"""HDF5: one dataset of a file, local or by URL."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from connectomake.errors import ConfigError, SourceError
from connectomake.keys import key
from connectomake.sources import identity, peers
from connectomake.sources.grid import Attributes, Grid
from connectomake.sources.hdf5_array import broken_link, hdf5_array
from connectomake.sources.hdf5_files import referred_files
from connectomake.sources.hdf5_reach import check_reach
from connectomake.sources.layout import given_letters, lay_out
from connectomake.sources.levels import read_levels
from connectomake.sources.options import DEFAULTS, SourceOptions
from connectomake.sources.paths import is_url
from connectomake.sources.reasons import TRUNCATED, reason, way_out
from connectomake.sources.source import Source, chunked, read_as
from connectomake.storage.opening import open_url
from connectomake.storage.ranges import RangedFile


def open_hdf5(path: str, dataset: str | None, voxel_size: Sequence[float] | None, options: SourceOptions = DEFAULTS) -> Source:
    """Open `dataset` of an HDF5 file; of one at a URL, only the pieces that are needed are fetched.

    Axes are z, y, x or c, z, y, x unless attributes, labels of dimensions or `options` name them otherwise; a MATLAB file's
    are rows, columns, sections. Voxel size and offset are read from attributes of the dataset or of groups above it
    (see `read_grid`), or from BigDataViewer's XML file beside it. Filters are those of h5py and hdf5plugin.

    Raises
    ------
    ConfigError, SourceError
        See `open_source`.
    """
    stream = open_url(path) if is_url(path) else None
    file = _opened(path, stream)
    array = _dataset(file, dataset, path)
    check_reach(array, None if stream else path, options.refers_to)
    where = f"dataset {dataset} of {path}"
    _check_filters(array, where)
    given = given_letters(options, array.shape, where)
    layout = lay_out(array.shape, _grid(file, array, path, given), options, voxel_size, where)
    dtype, said = peers.hdf5_dtype(array)
    if said:
        layout = replace(layout, notes=(*layout.notes, f"{where} {said}"))
    return Source(
        path=path,
        kind="hdf5",
        **read_as(dtype, where),
        identity=_identity(stream or Path(path), array),
        **chunked(hdf5_array(array, path, dtype), layout.order, where, options),
        **layout.fields(),
    ).moved(layout.start)


def _grid(file: Any, array: Any, path: str, given: Sequence[str] | None) -> Grid:
    name, own = str(array.name or "").strip("/"), array.file  # a link may lead to another file

    def attributes_of(group: str) -> Attributes:
        found = dict((own[group] if group else own).attrs)
        return found if group != name else {**found, **_labels(array)}

    grid = read_levels(name, attributes_of, array.shape, given=given)
    return grid.completed(peers.matlab(array)).completed(peers.bigdataviewer(file, array, path))


def _labels(array: Any) -> dict[str, list[str]]:
    """Return the labels of the dimensions, or the names of the scales attached to them."""
    try:
        labels = [d.label or next(iter(d.keys()), "") for d in array.dims]
    except (RuntimeError, OSError, UnicodeDecodeError):
        return {}
    return {"DIMENSION_LABELS": [str(label).rpartition("/")[2] for label in labels]} if any(labels) else {}


def _check_filters(array: Any, where: str) -> None:
    """Raise a SourceError that names the filter if the voxels are packed with one that is not here."""
    import h5py

    properties = array.id.get_create_plist()
    for i in range(properties.get_nfilters()):
        code, _, _, name = properties.get_filter(i)
        if not h5py.h5z.filter_avail(code):
            called = f" ({name.decode('utf-8', 'replace')})" if name else ""
            raise SourceError(
                f"{where} is packed with the HDF5 filter {code}{called}, which neither h5py nor hdf5plugin has; rewrite it "
                "with another one, such as h5repack -f GZIP=1, or set HDF5_PLUGIN_PATH to the folder of that filter"
            )


def _identity(place: RangedFile | Path, array: Any) -> identity.Identity:
    found = identity.of_file(place, "hdf5", array.name)
    return found.with_files(referred_files(array, str(place))) if isinstance(place, Path) else found


def _opened(path: str, stream: RangedFile | None) -> Any:
    """Open a file for reading; without a lock where locks are refused, as on some network file systems."""
    import h5py
    import hdf5plugin  # noqa: F401  (registers its filters)

    try:
        try:
            return h5py.File(stream or path, "r")
        except OSError as error:
            if "lock" not in str(error):
                raise
            return h5py.File(path, "r", locking=False)
    except OSError as error:
        raise SourceError(f"{path} cannot be opened as HDF5 ({reason(error)}); {way_out(error, TRUNCATED)}") from error


def _dataset(file: Any, dataset: str | None, path: str) -> Any:
    import h5py

    try:
        found = file.get(dataset) if dataset else None
        if isinstance(found, h5py.Dataset):
            return found
        if dataset and (fault := broken_link(file, dataset)):
            raise SourceError(f"{key('dataset')} {dataset} of {path} is not there: {fault}; copy that as well")
        there = _listing(file)
    except (OSError, RuntimeError, KeyError) as error:
        raise SourceError(f"{path} cannot be read as HDF5 ({reason(error)}); {way_out(error, TRUNCATED)}") from error
    listing = ", ".join(there) or "no dataset"
    if not dataset:
        raise ConfigError(f"{key('dataset')} is missing; {path} holds {listing}")
    raise ConfigError(f"{key('dataset')} {dataset} is not in {path}, which holds {listing}")


def _listing(file: Any, most: int = 20) -> list[str]:
    import h5py

    names: list[str] = []

    def visit(name: str, item: Any) -> bool | None:
        if isinstance(item, h5py.Dataset):
            names.append(f"{name} {tuple(item.shape or ())} {item.dtype}")
        return True if len(names) >= most else None

    file.visititems(visit)
    return names
