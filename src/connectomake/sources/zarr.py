"""Zarr v2 and v3, plain or OME-Zarr, through TensorStore."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from connectomake.errors import ConfigError
from connectomake.keys import key
from connectomake.sources import identity, tensor
from connectomake.sources.grid import Attributes, Grid
from connectomake.sources.layout import given_letters, lay_out
from connectomake.sources.levels import read_levels
from connectomake.sources.ome import ome_grid
from connectomake.sources.options import DEFAULTS, SourceOptions
from connectomake.sources.paths import is_url
from connectomake.sources.source import Source, chunked, read_as
from connectomake.sources.webknossos import webknossos
from connectomake.sources.zarr_array import zarr_array

_WHY = " (zarr-python leaves out chunks that hold only the fill value, unless write_empty_chunks is set)"
Metadata = dict[str, Any]


def open_zarr(
    path: str,
    dataset: str | None,
    scale: int | str | None,
    voxel_size: Sequence[float] | None,
    options: SourceOptions = DEFAULTS,
) -> Source:
    """Open an array of a Zarr container; for OME-Zarr the dataset may be left out and `scale` (0: finest) chosen.

    Axes are z, y, x or c, z, y, x unless ``multiscales``, attributes (see `read_grid`), webKnossos's
    ``datasource-properties.json`` or `options` say otherwise; voxel size and offset come from the same places.
    """
    group = (dataset or "").strip("/")
    kind, metadata = _node(path, group)
    multiscale = _multiscale(metadata) if kind == "group" else None
    if multiscale is not None:
        group = "/".join(p for p in (group, _scale_path(multiscale, scale, path)) if p)
        kind, metadata = _node(path, group)
    if kind != "array":
        raise _not_there(path, dataset, kind)
    if multiscale is None and "/" in group + "/" and group:
        multiscale = _multiscale(_node(path, group.rpartition("/")[0])[1])
    return _open_array(path, group, metadata, _entry(multiscale, group.rpartition("/")[2]), voxel_size, options)


def _open_array(
    path: str, name: str, metadata: Metadata, entry: Metadata | None, voxel_size: Sequence[float] | None, options: SourceOptions
) -> Source:
    where = f"dataset {name} of {path}" if name else path
    store = zarr_array(path, name, metadata)
    given = given_letters(options, store.shape, where)
    layout = lay_out(store.shape, _grid(path, name, metadata, entry, store.shape, given), options, voxel_size, where)
    return Source(
        path=path,
        kind="zarr",
        **read_as(store.dtype.name, where),
        identity=_identity(path, name, metadata),
        **chunked(store, layout.order, where, options, _WHY),
        **layout.fields(),
    ).moved(layout.start)


def _grid(
    path: str, name: str, metadata: Metadata, entry: Metadata | None, shape: Sequence[int], given: Sequence[str] | None
) -> Grid:
    """Read what OME-Zarr's list of scales, webKnossos, the array's attributes and those of groups above it say."""

    def attributes_of(group: str) -> Attributes:
        if group != name:
            found = _node(path, group)[1].get("attributes") or {}
            return {key: value for key, value in found.items() if key != "ome"}
        named = {"dimension_names": metadata["dimension_names"]} if metadata.get("dimension_names") else {}
        return {**named, **(metadata.get("attributes") or {})}

    grid = ome_grid(entry, shape) if entry else Grid()
    return grid.completed(read_levels(name, attributes_of, shape, given=given)).completed(webknossos(path, name, shape))


def _identity(path: str, name: str, metadata: Metadata) -> str:
    if is_url(path):
        return identity.of_metadata(metadata, "zarr", name)
    return identity.of_folder(Path(path) / name, metadata, "zarr")


def _node(path: str, name: str) -> tuple[str, Metadata]:
    """Return what lies at `name`: ``array``, ``group`` or ``nothing``; and its metadata with ``attributes``."""
    prefix = f"{name}/" if name else ""
    if (found := tensor.read_json(path, f"{prefix}zarr.json")) is not None:
        return str(found.get("node_type", "nothing")), found
    attributes = tensor.read_json(path, f"{prefix}.zattrs") or {}
    if (found := tensor.read_json(path, f"{prefix}.zarray")) is not None:
        return "array", {**found, "attributes": attributes}
    group = tensor.read_json(path, f"{prefix}.zgroup")
    return ("group" if group is not None or attributes else "nothing"), {"attributes": attributes}


def _multiscale(metadata: Metadata) -> Metadata | None:
    attributes = metadata.get("attributes") or {}
    found = (attributes.get("ome") or attributes).get("multiscales")
    return found[0] if found and isinstance(found, list) and found[0].get("datasets") else None


def _scale_path(multiscale: Metadata, scale: int | str | None, path: str) -> str:
    names = [str(d["path"]) for d in multiscale["datasets"]]
    if isinstance(scale, str) and scale in names:
        return scale
    index = 0 if scale is None else scale
    if isinstance(index, int) and 0 <= index < len(names):
        return names[index]
    listing = ", ".join(f"{i}: {name}" for i, name in enumerate(names))
    raise ConfigError(f"{key('scale')} {scale} is not in {path}, whose scales are {listing}")


def _entry(multiscale: Metadata | None, name: str) -> Metadata | None:
    """Return one scale of an OME-Zarr image, with the image's axes and transformations; None if it is not of that image."""
    match = [d for d in (multiscale or {}).get("datasets", []) if str(d.get("path")) == name]
    if multiscale is None or not match or "transform" in match[0]:
        return None
    steps = [step for part in (match[0], multiscale) for step in part.get("coordinateTransformations") or ()]
    return {"axes": multiscale.get("axes") or (), "transformations": steps}


def _not_there(path: str, dataset: str | None, kind: str) -> ConfigError:
    listing = f", which holds {', '.join(_arrays(path)) or 'no array'}" if not is_url(path) else ""
    if not dataset:
        return ConfigError(f"{key('dataset')} is missing for {path}{listing}")
    found = "is a group, not an array, in" if kind == "group" else "is not in"
    return ConfigError(f"{key('dataset')} {dataset} {found} {path}{listing}")


def _arrays(path: str, most: int = 20) -> list[str]:
    found = _walk_arrays(path)
    return sorted(name for name, _ in zip(found, range(most), strict=False))


def _walk_arrays(path: str) -> Iterator[str]:
    for root, folders, _ in os.walk(path):
        name = Path(root).relative_to(path).as_posix()
        if _node(path, "" if name == "." else name)[0] == "array":
            folders.clear()
            yield name
