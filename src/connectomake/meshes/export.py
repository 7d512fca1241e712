"""Chosen meshes of a finished run as files for other programs."""

import os
from pathlib import Path

from connectomake.atomic import atomic_path, write_json
from connectomake.errors import ConfigError
from connectomake.meshes.formats import FORMATS, legacy_fragment
from connectomake.meshes.reading import MeshReader

LEGACY = "legacy"


def export_mesh(reader: MeshReader, object_id: int, folder: str | os.PathLike[str], kind: str, lod: int = 0) -> list[Path]:
    """Atomically write each file of one object's mesh.

    Parameters
    ----------
    reader
        The run's meshes.
    object_id
        The object.
    folder
        Where to write ``ID.obj`` and so on.
    kind
        ``obj``, ``ply``, ``stl``, ``glb``: the whole mesh in one file, in memory too. ``legacy``: Neuroglancer's format of
        one resolution, ``ID:0`` and one file per fragment, one in memory at a time; the folder can be a layer's mesh folder.
    lod
        Level of detail; 0 is the finest.

    Returns
    -------
    list of Path
        What was written.

    Raises
    ------
    ConfigError
        If there is no such object, level or format.
    LayerError
        If a file of meshes is missing or damaged.
    """
    if kind == LEGACY:
        return _export_legacy(reader, object_id, Path(folder), lod)
    if kind not in FORMATS:
        raise ConfigError(f"there is no mesh format {kind!r}; there are {', '.join([*FORMATS, LEGACY])}")
    vertices, faces = reader.mesh(object_id, lod)
    path = Path(folder) / f"{object_id}.{kind}"
    _write(path, FORMATS[kind](vertices[:, ::-1], faces[:, ::-1]))
    return [path]


def _export_legacy(reader: MeshReader, object_id: int, folder: Path, lod: int) -> list[Path]:
    paths = []
    for place, vertices, faces in reader.fragments(object_id, lod):
        paths.append(folder / f"{object_id}.{lod}.{'_'.join(map(str, place))}")
        _write(paths[-1], legacy_fragment(reader.positions(place, vertices, lod)[:, ::-1], faces[:, ::-1]))
    manifest = folder / f"{object_id}:0"
    write_json(manifest, {"fragments": [path.name for path in paths]})
    write_json(folder / "info", {"@type": "neuroglancer_legacy_mesh"})
    return [*paths, manifest, folder / "info"]


def _write(path: Path, data: bytes) -> None:
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)
