"""Read finished skeletons back, and write them for other programs."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from connectomake.atomic import write_text
from connectomake.errors import ConfigError, LayerError
from connectomake.forking import last_file
from connectomake.layers.id_shards import find_value
from connectomake.layers.records import check_place, read_record
from connectomake.layers.shard_file import decompress
from connectomake.skeletons.lattice import SkeletonSpec
from connectomake.skeletons.shards import Skeleton

PathLike = str | os.PathLike[str]


class SkeletonReader:
    """Skeletons of a finished run.

    Parameters
    ----------
    folder
        Where the skeleton shards lie.
    spec
        The skeletons.
    """

    def __init__(self, folder: PathLike, spec: SkeletonSpec) -> None:
        self._folder, self._spec = Path(folder), spec

    def read(self, object_id: int) -> Skeleton:
        """Return the skeleton of an object.

        Raises
        ------
        ConfigError
            If the object has none.
        LayerError
            If the file is missing or damaged.
        """
        sharding = self._spec.sharding
        path = self._folder / sharding.name(int(sharding.shards(np.array([object_id], np.uint64))[0]))
        last_file.reading(path)
        try:
            check_place(read_record(path), path)
            with path.open("rb") as stream:
                found = find_value(stream, sharding, object_id)
                if found is not None:
                    stream.seek(found[0])
                    return Skeleton.decoded(decompress(stream.read(found[1])))
        except ValueError as error:
            raise LayerError(f"{path} is corrupted; delete it and rerun") from error
        raise ConfigError(
            f"object {object_id} has no skeleton: it is unknown, not among skeletons.ids or smaller than skeletons.min_voxels"
        )


def export_swc(reader: SkeletonReader, object_id: int, folder: PathLike) -> Path:
    """Atomically write one object's skeleton as ``ID.swc``, in µm, and return the file.

    SWC has lines ``number type x y z radius parent``. Each piece is a tree that begins with parent -1 at its widest vertex;
    parents come before children; the type is 0, undefined.

    Raises
    ------
    ConfigError, LayerError
        See `SkeletonReader.read`.
    """
    skeleton = reader.read(object_id)
    path = Path(folder) / f"{object_id}.swc"
    head = f"# object {object_id}, written by connectomake\n# x y z radius in micrometres\n"
    write_text(path, head + "".join(swc_lines(skeleton)))
    return path


def swc_lines(skeleton: Skeleton) -> Iterator[str]:
    """Yield the lines of a skeleton in SWC."""
    micrometres = np.column_stack([skeleton.vertices[:, ::-1], skeleton.radius]).astype(np.float64) / 1000
    numbers: dict[int, int] = {-1: -1}
    for vertex, parent in _parents_first(skeleton):
        numbers[vertex] = len(numbers)
        x, y, z, radius = micrometres[vertex].tolist()
        yield f"{numbers[vertex]} 0 {x:.6g} {y:.6g} {z:.6g} {radius:.6g} {numbers[parent]}\n"


def _parents_first(skeleton: Skeleton) -> Iterator[tuple[int, int]]:
    """Yield each vertex with its parent, or -1 for the root of a piece, depth first."""
    around: list[list[int]] = [[] for _ in skeleton.vertices]
    for a, b in skeleton.edges.tolist():
        around[a].append(b)
        around[b].append(a)
    seen = np.zeros(len(around), np.bool_)
    for root in np.argsort(-skeleton.radius, kind="stable").tolist():
        stack = [(root, -1)]
        while stack:
            vertex, parent = stack.pop()
            if seen[vertex]:
                continue
            seen[vertex] = True
            yield vertex, parent
            stack += [(n, vertex) for n in sorted(around[vertex], reverse=True) if n != parent]
