"""How many children a node of the merge octree has: as many as the config allows, as long as a job's memory holds them.

The result does not depend on it, so it may follow the block: a node of 64 blocks of 512³ voxels would take 68 GB to agglomerate
by the estimates here, one of 8 such blocks 9 GB.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from connectomake.planning.plan import Plan

MB = 1 << 20
TABLE_BYTES = 0.02
"""Per voxel, of component tables: about 200 components in a million voxels."""
GRAPH_BYTES, DENSE_GRAPH_BYTES, MANY_BASINS = 8, 40, 0.999
"""Per voxel of a node, of region graphs with all that solving them takes: measured 7 and 36; and `t_high` of the latter."""


def octree_bits(plan: "Plan") -> int:
    """Return the binary logarithm of the fan-out: of `merge.fan_out`, or of what `merge.memory_mb` has room for, at least 1."""
    bits, most = fan_out_bits(plan), plan.config["merge"].get("memory_mb")  # plans of older versions allowed for anything
    while most is not None and bits > 1 and node_bytes(plan, bits) > most * MB:
        bits -= 1
    return bits


def fan_out_bits(plan: "Plan") -> int:
    """Return the binary logarithm of `merge.fan_out`: how many files any job may gather."""
    return int(plan.config["merge"]["fan_out"]).bit_length() - 1


def node_bytes(plan: "Plan", bits: int) -> int:
    """Return about how much memory the largest job of an octree node with so many children takes, beside its process."""
    return agglomeration_bytes(plan, bits) if plan.agglomerates else merge_bytes(plan, bits)


def merge_bytes(plan: "Plan", bits: int) -> int:
    """Return the bytes of tables and face planes of a node's blocks."""
    z, y, x = (min(b, r) for b, r in zip(plan.block, plan.roi.shape, strict=True))
    faces, children = 2 * (z * y + z * x + y * x), min(1 << bits, plan.grid.count)
    return int(children * (faces * 4 + TABLE_BYTES * z * y * x))


def agglomeration_bytes(plan: "Plan", bits: int) -> int:
    """Return the bytes of the region graph of a node's blocks, being solved; many basins if only the highest affinity joins."""
    many = float(plan.config["segmentation"]["t_high"]) >= MANY_BASINS
    z, y, x = (min(b, r) for b, r in zip(plan.block, plan.roi.shape, strict=True))
    node = min(z * y * x << bits, plan.roi.volume)
    return 2 * merge_bytes(plan, bits) + (DENSE_GRAPH_BYTES if many else GRAPH_BYTES) * node
