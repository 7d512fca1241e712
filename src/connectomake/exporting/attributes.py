"""Voxel size, unit and offset as attributes of an array, the way that funlib, daisy and CREMI's tools read them."""

from typing import Any

from connectomake.exporting.volume import Level


def attributes(level: Level) -> dict[str, Any]:
    """Return the attributes of an array: axes in its order, voxel size and offset in nm, z, y, x."""
    names = list("zyx") if len(level.shape) == 3 else ["c^", *"zyx"]
    return {
        "axis_names": names,
        "units": ["nm"] * 3,
        "voxel_size": list(level.voxel_size),
        "resolution": list(level.voxel_size),
        "offset": list(level.origin),
    }


def multiscales(levels: list[Level], version: str) -> dict[str, Any]:
    """Return OME-Zarr's description of a pyramid whose arrays are named 0, 1, …; lengths are of voxels' centres, in nm.

    The specification: https://ngff.openmicroscopy.org/0.4/ and /0.5/.
    """
    several = len(levels[0].channels) > 1
    axes = [{"name": "c", "type": "channel"}] * several
    axes += [{"name": a, "type": "space", "unit": "nanometer"} for a in "zyx"]
    datasets = [
        {
            "path": str(i),
            "coordinateTransformations": [
                {"type": "scale", "scale": [1.0] * several + list(level.voxel_size)},
                {"type": "translation", "translation": [0.0] * several + _centre(level, levels[0])},
            ],
        }
        for i, level in enumerate(levels)
    ]
    image = {"name": "volume", "axes": axes, "datasets": datasets}
    return {"multiscales": [{**image, "version": version} if version == "0.4" else image]}


def _centre(level: Level, first: Level) -> list[float]:
    sizes = zip(level.origin, level.voxel_size, first.voxel_size, strict=True)
    return [o + (s - f) / 2 for o, s, f in sizes]
