"""N5 through TensorStore; its axes are x, y, z and then channels, the first varying fastest."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from connectomake.errors import ConfigError, SourceError
from connectomake.geometry import Box
from connectomake.sources import identity, tensor
from connectomake.sources.axes import Order, axis_order, nanometres
from connectomake.sources.n5_array import n5_array
from connectomake.sources.options import DEFAULTS, SourceOptions
from connectomake.sources.paths import is_url
from connectomake.sources.source import Source, choose_voxel_size, chunked, read_dtype

Metadata = dict[str, Any]


def open_n5(path: str, dataset: str | None, voxel_size: Sequence[float] | None, options: SourceOptions = DEFAULTS) -> Source:
    """Open a dataset of an N5 container.

    Axes are x, y, z or x, y, z, c unless the attribute ``axes`` names them otherwise. The voxel size comes from
    ``resolution`` (with ``units``; nm without) or ``pixelResolution``, times ``downsamplingFactors``.
    """
    name = (dataset or "").strip("/")
    metadata = tensor.read_json(path, f"{name}/attributes.json" if name else "attributes.json") or {}
    if "dimensions" not in metadata:
        raise _not_there(path, dataset)
    where = f"dataset {name} of {path}" if name else path
    store = n5_array(path, name, metadata)
    order = axis_order(metadata.get("axes"), store.shape, "xyzc", where)
    if 0 in store.shape:
        raise SourceError(f"{where} is empty: its dimensions are {list(store.shape)}")
    z, y, x = (int(store.shape[a]) for a in order[1:])
    return Source(
        path=path,
        kind="n5",
        bounds=Box.of_shape((z, y, x)),
        channels=1 if order[0] is None else int(store.shape[order[0]]),
        dtype=read_dtype(store.dtype.name, where),
        voxel_size=choose_voxel_size(voxel_size, _stored_size(metadata, order), where),
        identity=_identity(path, name, metadata),
        **chunked(store, order, where, options),
    )


def _stored_size(metadata: Metadata, order: Order) -> Sequence[float] | None:
    sizes, units = metadata.get("resolution"), metadata.get("units")
    pixel = metadata.get("pixelResolution")
    if sizes is None and isinstance(pixel, dict):
        sizes = pixel.get("dimensions")
        units = [pixel.get("unit", "nm")] * len(sizes or ())
    elif sizes is None and isinstance(pixel, list):
        sizes = pixel
    if not isinstance(sizes, list) or len(sizes) < 3:
        return None
    units = units if isinstance(units, list) and len(units) == len(sizes) else ["nm"] * len(sizes)
    factors = metadata.get("downsamplingFactors", [1] * len(sizes))
    found = [nanometres(float(sizes[a]) * float(factors[a]), units[a]) for a in order[1:]]
    return None if None in found else [v for v in found if v is not None]


def _identity(path: str, name: str, metadata: Metadata) -> str:
    if is_url(path):
        return identity.of_metadata(metadata, "n5", name)
    return identity.of_folder(Path(path) / name, metadata, "n5")


def _not_there(path: str, dataset: str | None) -> ConfigError:
    listing = f", which holds {', '.join(_datasets(path)) or 'no dataset'}" if not is_url(path) else ""
    if not dataset:
        return ConfigError(f"source.dataset is missing for {path}{listing}")
    return ConfigError(f"source.dataset {dataset} is not in {path}{listing}")


def _datasets(path: str, most: int = 20) -> list[str]:
    return sorted(name for name, _ in zip(_walk_datasets(path), range(most), strict=False))


def _walk_datasets(path: str) -> Iterator[str]:
    for root, folders, _ in os.walk(path):
        name = Path(root).relative_to(path).as_posix()
        if "dimensions" in (tensor.read_json(root, "attributes.json") or {}):
            folders.clear()
            yield name
