"""N5 through TensorStore; its axes are x, y, z and then channels, the first varying fastest."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from connectomake.errors import ConfigError
from connectomake.keys import key
from connectomake.sources import identity, tensor
from connectomake.sources.grid import Grid
from connectomake.sources.layout import given_letters, lay_out
from connectomake.sources.levels import read_levels
from connectomake.sources.n5_array import n5_array
from connectomake.sources.options import DEFAULTS, SourceOptions
from connectomake.sources.paths import is_url
from connectomake.sources.peers import bigdataviewer_n5
from connectomake.sources.source import Source, chunked, read_as

Metadata = dict[str, Any]


def open_n5(path: str, dataset: str | None, voxel_size: Sequence[float] | None, options: SourceOptions = DEFAULTS) -> Source:
    """Open a dataset of an N5 container.

    Axes are x, y, z or x, y, z, c unless attributes of the dataset or of groups above it, or `options`, name them otherwise.
    Voxel size and offset come from the same attributes (see `read_grid`), times ``downsamplingFactors``, or from
    BigDataViewer's XML file beside the container.
    """
    name = (dataset or "").strip("/")
    metadata = tensor.read_json(path, f"{name}/attributes.json" if name else "attributes.json") or {}
    if "dimensions" not in metadata:
        raise _not_there(path, dataset)
    where = f"dataset {name} of {path}" if name else path
    store = n5_array(path, name, metadata)
    given = given_letters(options, store.shape, where)

    def attributes_of(group: str) -> Metadata:
        above = f"{group}/attributes.json" if group else "attributes.json"
        return metadata if group == name else tensor.read_json(path, above) or {}

    grid = read_levels(name, attributes_of, store.shape, True, given).completed(_beside(path, name, attributes_of, store.shape))
    layout = lay_out(store.shape, grid, options, voxel_size, where, {3: "xyz", 4: "xyzc"}.get(len(store.shape)))
    return Source(
        path=path,
        kind="n5",
        **read_as(store.dtype.name, where),
        identity=_identity(path, name, metadata),
        **chunked(store, layout.order, where, options),
        **layout.fields(),
    ).moved(layout.start)


def _beside(path: str, name: str, attributes_of: Callable[[str], Metadata], shape: Sequence[int]) -> Grid:
    """Read the voxel size from BigDataViewer's XML file, times the factors of the scale."""
    size = bigdataviewer_n5(path, name).size
    if not size:
        return Grid()
    sized = {"pixelResolution": {"dimensions": [size[a] for a in "xyz"], "unit": "nm"}}
    setup = name.rpartition("/")[0].rpartition("/")[0]

    def with_size(group: str) -> Metadata:
        return {**attributes_of(group), **sized} if group == setup else attributes_of(group)

    return Grid(size=read_levels(name, with_size, shape, True).size)


def _identity(path: str, name: str, metadata: Metadata) -> str:
    if is_url(path):
        return identity.of_metadata(metadata, "n5", name)
    return identity.of_folder(Path(path) / name, metadata, "n5")


def _not_there(path: str, dataset: str | None) -> ConfigError:
    listing = f", which holds {', '.join(_datasets(path)) or 'no dataset'}" if not is_url(path) else ""
    if not dataset:
        return ConfigError(f"{key('dataset')} is missing for {path}{listing}")
    return ConfigError(f"{key('dataset')} {dataset} is not in {path}{listing}")


def _datasets(path: str, most: int = 20) -> list[str]:
    return sorted(name for name, _ in zip(_walk_datasets(path), range(most), strict=False))


def _walk_datasets(path: str) -> Iterator[str]:
    for root, folders, _ in os.walk(path):
        name = Path(root).relative_to(path).as_posix()
        if "dimensions" in (tensor.read_json(root, "attributes.json") or {}):
            folders.clear()
            yield name
