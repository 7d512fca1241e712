"""Zarr v2 and v3, plain or OME-Zarr, through TensorStore."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from connectomake.errors import ConfigError, SourceError
from connectomake.geometry import Box
from connectomake.sources import identity, tensor
from connectomake.sources.axes import axis_order, nanometres
from connectomake.sources.options import DEFAULTS, SourceOptions
from connectomake.sources.paths import is_url
from connectomake.sources.source import Source, choose_voxel_size, chunked, read_dtype
from connectomake.sources.zarr_array import zarr_array

_SIZE_ATTRIBUTES = ("resolution_nm", "voxel_size", "resolution")
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

    Axes are z, y, x or c, z, y, x unless ``multiscales`` or ``dimension_names`` say otherwise. The voxel size comes
    from ``multiscales``, or the array's attribute ``resolution_nm``, ``voxel_size`` or ``resolution`` (nm, z y x).
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
    labels = entry["labels"] if entry else metadata.get("dimension_names")
    order = axis_order(labels, store.shape, "czyx", where)
    if 0 in store.shape:
        raise SourceError(f"{where} is empty: its shape is {list(store.shape)}")
    stored = [entry["size"][a] for a in order[1:]] if entry and entry["size"] else _attribute_size(metadata)
    z, y, x = (int(store.shape[a]) for a in order[1:])
    return Source(
        path=path,
        kind="zarr",
        bounds=Box.of_shape((z, y, x)),
        channels=1 if order[0] is None else int(store.shape[order[0]]),
        dtype=read_dtype(store.dtype.name, where),
        voxel_size=choose_voxel_size(voxel_size, stored, where),
        identity=_identity(path, name, metadata),
        **chunked(store, order, where, options, _WHY),
    )


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
    raise ConfigError(f"source.scale {scale} is not in {path}, whose scales are {listing}")


def _entry(multiscale: Metadata | None, name: str) -> Metadata | None:
    """Return labels and voxel size (nm per axis, or None) of one scale of an OME-Zarr image."""
    match = [d for d in (multiscale or {}).get("datasets", []) if str(d.get("path")) == name]
    if multiscale is None or not match:
        return None
    axes = [a if isinstance(a, dict) else {"name": a} for a in multiscale.get("axes", [])]
    factors = [1.0] * len(axes)
    transforms = (*match[0].get("coordinateTransformations", []), *multiscale.get("coordinateTransformations", []))
    scales = [t["scale"] for t in transforms if t.get("type") == "scale"]
    for scale in scales:
        factors = [f * float(s) for f, s in zip(factors, scale, strict=True)]
    size = [
        nanometres(f, a.get("unit")) or (1.0 if a.get("type") != "space" else None) for f, a in zip(factors, axes, strict=True)
    ]
    return {"labels": [a.get("name") for a in axes] or None, "size": size if scales and None not in size else None}


def _attribute_size(metadata: Metadata) -> Sequence[float] | None:
    attributes = metadata.get("attributes") or {}
    return next((attributes[name] for name in _SIZE_ATTRIBUTES if name in attributes), None)


def _not_there(path: str, dataset: str | None, kind: str) -> ConfigError:
    listing = f", which holds {', '.join(_arrays(path)) or 'no array'}" if not is_url(path) else ""
    if not dataset:
        return ConfigError(f"source.dataset is missing for {path}{listing}")
    found = "is a group, not an array, in" if kind == "group" else "is not in"
    return ConfigError(f"source.dataset {dataset} {found} {path}{listing}")


def _arrays(path: str, most: int = 20) -> list[str]:
    found = _walk_arrays(path)
    return sorted(name for name, _ in zip(found, range(most), strict=False))


def _walk_arrays(path: str) -> Iterator[str]:
    for root, folders, _ in os.walk(path):
        name = Path(root).relative_to(path).as_posix()
        if _node(path, "" if name == "." else name)[0] == "array":
            folders.clear()
            yield name
