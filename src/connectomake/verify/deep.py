"""The slow part: decode every storage chunk, count every object's voxels and compare with the object table."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from connectomake.errors import LayerError
from connectomake.layers import LayerSpec, ShardReader, read_tables
from connectomake.objects.properties import segment_properties
from connectomake.planning.plan import Plan
from connectomake.tables import ComponentTable

PROPERTIES = ("volume_um3", "surface_um2", "skeleton_um")
_ROWS_KEPT = 1 << 22


@dataclass
class Sizes:
    """Voxels per object, summed over all that was added."""

    _ids: list[np.ndarray] = field(default_factory=list)
    _counts: list[np.ndarray] = field(default_factory=list)
    _rows: int = 0

    def add(self, labels: np.ndarray) -> None:
        """Count the voxels of an array of ids."""
        ids, counts = np.unique(labels, return_counts=True)
        self._ids.append(ids)
        self._counts.append(counts)
        self._rows += len(ids)
        if self._rows > _ROWS_KEPT:
            self.totals()

    def totals(self) -> tuple[np.ndarray, np.ndarray]:
        """Return ids (n,) uint64, ascending, without 0, and their voxels (n,) int64."""
        if not self._ids:
            return np.zeros(0, np.uint64), np.zeros(0, np.int64)
        ids, inverse = np.unique(np.concatenate(self._ids), return_inverse=True)
        counts = np.zeros(len(ids), np.int64)
        np.add.at(counts, inverse, np.concatenate(self._counts))
        self._ids, self._counts = [ids], [counts]
        self._rows = min(len(ids), _ROWS_KEPT // 2)
        inside = ids != 0
        return ids[inside], counts[inside]


def decode(spec: LayerSpec, block: int, path: str, sizes: Sizes | None = None) -> None:
    """Decode all storage chunks of a shard, one at a time.

    Parameters
    ----------
    spec, block, path
        The shard.
    sizes
        Where to count the voxels of ids; None: they are not counted.

    Raises
    ------
    LayerError
        If a chunk is missing or damaged, or has a value that is not finite.
    """
    reader = ShardReader(path, spec, block)
    for position in spec.chunks.positions_meeting(spec.grid.box(block)):
        box = spec.chunks.box_at(position)
        voxels = reader.read(box)
        if voxels.dtype.kind == "f" and not np.isfinite(voxels).all():
            raise LayerError(f"storage chunk {box} of {path} holds values that are not finite; delete the file and rerun")
        if sizes is not None:
            sizes.add(voxels)


def compare_halo(plan: Plan, layer: str, block: int, shard: str, halo: str) -> None:
    """Compare a block's halo with the low planes of its shard.

    Raises
    ------
    LayerError
        If they differ.
    """
    reader = ShardReader(shard, plan.layers[layer], block)
    box = plan.grid.box(block)
    planes = read_tables(halo)
    for axis, name in enumerate("zyx"):
        stop = list(box.stop)
        stop[axis] = box.start[axis] + 1
        plane = reader.read(type(box)(box.start, (stop[0], stop[1], stop[2])))[0]
        if not np.array_equal(plane.squeeze(axis), planes[f"halo/{name}"]):
            raise LayerError(f"{halo} is not the halo of {shard}: plane {name} differs; delete both and rerun")


def compare_properties(columns: dict[str, np.ndarray], limit: int, path: str) -> None:
    """Compare the segment properties with those that follow from the object table.

    Raises
    ------
    LayerError
        If they differ.
    """
    start, stop = (np.stack([columns[f"{end}_{a}"] for a in "zyx"], axis=1) for end in ("start", "stop"))
    table = ComponentTable(columns["id"], columns["voxels"], start, stop, np.zeros(start.shape, np.uint64))
    further: dict[str, np.ndarray] = {name: columns[name] for name in PROPERTIES if name in columns}
    if json.loads(Path(path).read_text()) != segment_properties(table, limit, further):
        raise LayerError(f"{path} does not fit the object table; delete it and rerun")


def compare_objects(table: dict[str, np.ndarray], sizes: Sizes, path: str) -> None:
    """Compare the object table with the voxels counted in the segmentation.

    Raises
    ------
    LayerError
        Naming the first object that is in one of them only, or has another size.
    """
    ids, counts = sizes.totals()
    odd = np.setxor1d(ids, table["id"])
    if len(odd):
        place = "segmentation but not in the table" if odd[0] in ids else "table but not in the segmentation"
        raise LayerError(f"{path}: {len(odd):,} object(s) differ; {odd[0]} is in the {place}; delete the table and rerun")
    wrong = np.flatnonzero(counts.astype(np.uint64) != table["voxels"])
    if len(wrong):
        i = wrong[0]
        raise LayerError(
            f"{path}: {len(wrong):,} object(s) have another size; {ids[i]} has {counts[i]:,} voxels in the segmentation and "
            f"{int(table['voxels'][i]):,} in the table; delete the table and rerun"
        )
