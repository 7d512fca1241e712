"""Read finished meshes back: shard index, manifest, fragments of one level of detail."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from connectomake.errors import ConfigError, LayerError
from connectomake.forking import last_file
from connectomake.layers.id_shards import find_value
from connectomake.layers.records import check_content, check_place, read_record
from connectomake.meshes.cells import decode
from connectomake.meshes.lattice import MeshSpec
from connectomake.meshes.parents import weld


class MeshReader:
    """Meshes of a finished run.

    Parameters
    ----------
    folder
        Where the mesh shards lie.
    spec
        The meshes.
    """

    def __init__(self, folder: str | os.PathLike[str], spec: MeshSpec) -> None:
        self._folder, self._spec = Path(folder), spec
        self._whole: set[int] = set()

    def fragments(self, object_id: int, lod: int = 0) -> Iterator[tuple[tuple[int, int, int], np.ndarray, np.ndarray]]:
        """Yield the fragments of an object, one by one.

        Parameters
        ----------
        object_id
            The object.
        lod
            Level of detail; 0 is the finest.

        Yields
        ------
        place : (int, int, int)
            In the fragment lattice of the level, z, y, x.
        vertices : (n, 3) int32
            Stored coordinates, z, y, x.
        faces : (m, 3) int32
            Corners.

        Raises
        ------
        ConfigError
            If there is no such object or level.
        LayerError
            If the file is missing or damaged.
        """
        path = self._checked(object_id)
        try:
            yield from self._fragments(path, object_id, lod)
        except ConfigError:
            raise
        except ValueError as error:
            raise LayerError(f"{path} is corrupted; delete it and rerun") from error

    def _checked(self, object_id: int) -> Path:
        """Return the file of an object's mesh, whose checksum is compared once: fragments have none of their own there."""
        shard = int(self._spec.sharding.shards(np.array([object_id], np.uint64))[0])
        path = self._folder / self._spec.sharding.name(shard)
        last_file.reading(path)
        if shard not in self._whole:
            check_place(read_record(path), path)
            check_content(path)
            self._whole.add(shard)
        return path

    def _fragments(self, path: Path, object_id: int, lod: int) -> Iterator[tuple[tuple[int, int, int], np.ndarray, np.ndarray]]:
        offset, size = self._find(path, object_id)
        with path.open("rb") as stream:
            stream.seek(offset)
            levels = _levels(stream.read(size))
            if not 0 <= lod < len(levels):
                raise ConfigError(f"object {object_id} has levels of detail 0 to {len(levels) - 1}, not {lod}")
            start = offset - sum(int(sizes.sum()) for _, sizes in levels)
            if start < self._spec.sharding.index_bytes:
                raise ValueError("a manifest names more bytes than lie before it")
            start += sum(int(sizes.sum()) for _, sizes in levels[:lod])
            for place, length in zip(*levels[lod], strict=True):
                stream.seek(start)
                start += int(length)
                z, y, x = place.tolist()
                yield (z, y, x), *decode(stream.read(int(length)))

    def _find(self, path: Path, object_id: int) -> tuple[int, int]:
        """Return where the manifest of an object begins, and its bytes."""
        with path.open("rb") as stream:
            found = find_value(stream, self._spec.sharding, object_id)
        if found is None:
            raise ConfigError(f"object {object_id} has no mesh; `connectomake summary` names the largest objects")
        return found

    def positions(self, place: tuple[int, int, int], vertices: np.ndarray, lod: int) -> np.ndarray:
        """Return vertices of a fragment in nm, (n, 3) float64, z, y, x; voxel i reaches from i to i + 1 voxel sizes."""
        spec = self._spec
        steps = vertices + spec.top * np.array(place, np.int64)
        corner = np.array(spec.origin) * np.array(spec.voxel_size)
        found: np.ndarray = corner + steps * spec.step * 2.0**lod
        return found

    def mesh(self, object_id: int, lod: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Return the whole mesh of an object: vertices (n, 3) float64 in nm, z, y, x, and faces (m, 3)."""
        parts, corners, count = [], [], 0
        spec = self._spec
        for place, vertices, faces in self.fragments(object_id, lod):
            parts.append(vertices + spec.top * np.array(place, np.int64))
            corners.append(faces + count)
            count += len(vertices)
        steps, joined = weld(np.concatenate(parts), np.concatenate(corners), spec.top)
        return self.positions((0, 0, 0), steps, lod), joined


def _levels(manifest: bytes) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return per level of detail the places (n, 3), z, y, x, and the sizes (n,) of its fragments, as they lie in the file.

    Raises
    ------
    ValueError
        If the bytes are no manifest.
    """
    (count,) = np.frombuffer(manifest, "<u4", 1, 24).tolist()
    place = 28 + 16 * count
    numbers = np.frombuffer(manifest, "<u4", count, place).tolist()
    place += 4 * count
    levels = []
    for number in numbers:
        places = np.frombuffer(manifest, "<u4", 3 * number, place).reshape(3, number).T[:, ::-1]
        levels.append((places.astype(np.int64), np.frombuffer(manifest, "<u4", number, place + 12 * number).astype(np.int64)))
        place += 16 * number
    if place != len(manifest):
        raise ValueError(f"the manifest has {len(manifest)} bytes, not {place}")
    return levels
