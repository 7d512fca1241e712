"""Neuroglancer precomputed: local, in a bucket or on a web server, sharded or not."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from connectomake.errors import ConfigError, SourceError
from connectomake.geometry import Box
from connectomake.keys import key
from connectomake.layers.precomputed import xyz
from connectomake.sources import identity, plausibility, tensor
from connectomake.sources.layout import refuse_axes
from connectomake.sources.metadata_checks import check_chunk, check_info
from connectomake.sources.options import DEFAULTS, SourceOptions
from connectomake.sources.paths import is_url
from connectomake.sources.precomputed_array import PrecomputedArray
from connectomake.sources.source import UNSIZED, Source, choose_voxel_size, chunked, read_dtype


def open_precomputed(
    path: str, scale: int | str | None, voxel_size: Sequence[float] | None, options: SourceOptions = DEFAULTS
) -> Source:
    """Open one scale, by index (0 is the finest, the default) or by key; the voxel offset is that of the scale."""
    refuse_axes(options, path, "precomputed")
    info = tensor.read_json(path, "info")
    if info is None:
        raise SourceError(f"{path} has no info file, so it is not precomputed; correct {key('path')}")
    check_info(path, info)
    try:
        scales = info["scales"]
        index = _scale_index([str(s["key"]) for s in scales], scale, path)
        return _open_scale(path, info, index, voxel_size, options)
    except (KeyError, TypeError, IndexError) as error:
        raise SourceError(
            f"the info file of {path} lacks or has a wrong value for {error}; correct it, or {key('path')}"
        ) from error


def _open_scale(
    path: str, info: dict[str, Any], index: int, voxel_size: Sequence[float] | None, options: SourceOptions
) -> Source:
    chosen = info["scales"][index]
    where = f"scale {chosen['key']} of {path}"
    dtype = read_dtype(info["data_type"], where)
    z, y, x = (int(v) for v in xyz(chosen["size"]))
    oz, oy, ox = (int(v) for v in xyz(chosen.get("voxel_offset", [0, 0, 0])))
    resolution = chosen.get("resolution")
    if not isinstance(resolution, list) or len(resolution) != 3:
        raise SourceError(f"{where} has no voxel size (resolution: {resolution}); write [x, y, z] in nm into its info file")
    array = PrecomputedArray(path, info, index)
    check_chunk([min(c, n) for c, n in zip(array.grid.chunk, array.grid.shape, strict=True)], array.dtype.itemsize, where)
    size = choose_voxel_size(voxel_size, xyz(resolution), where)
    return Source(
        path=path,
        kind="precomputed",
        bounds=Box.of_shape((z, y, x), (oz, oy, ox)),
        channels=int(info["num_channels"]),
        dtype=dtype,
        voxel_size=size,
        identity=_identity(path, info, chosen),
        **chunked(array, (3, 2, 1, 0), path, options),
        notes=() if voxel_size is UNSIZED else plausibility.check_voxel_size(voxel_size, xyz(resolution), size, where),
        place="named" if options.offset is None else "given",
    ).moved(options.offset or (0, 0, 0))


def _identity(path: str, info: dict[str, Any], chosen: dict[str, Any]) -> str:
    what = {key: info[key] for key in ("data_type", "num_channels")}
    folder = Path(path) / str(chosen["key"])
    if is_url(path) or not folder.is_dir():
        return identity.of_metadata([what, chosen], "precomputed")
    return identity.of_folder(folder, [what, chosen], "precomputed")


def _scale_index(keys: list[str], scale: int | str | None, path: str) -> int:
    if scale is None:
        return 0
    if isinstance(scale, str) and scale in keys:
        return keys.index(scale)
    if isinstance(scale, int) and 0 <= scale < len(keys):
        return scale
    listing = ", ".join(f"{i}: {key}" for i, key in enumerate(keys))
    raise ConfigError(f"{key('scale')} {scale} is not in {path}, whose scales are {listing}")
