"""Exact merging of block components over the octree of blocks: up with equivalences, down with look-up tables."""

from connectomake.octree.contacts import (
    Adjacency,
    BlockSource,
    EdgeRule,
    EqualLabels,
    KeptEdges,
    MemoryBlocks,
    lower_neighbours,
)
from connectomake.octree.down import final_ids, tables_for_children
from connectomake.octree.files import FileBlocks, down_node, read_boundary, read_ids, up_blocks, up_nodes, write_summary
from connectomake.octree.merge import merge_blocks, merge_nodes
from connectomake.octree.summary import BoundaryMembers, BoundaryState, NodeSummary

__all__ = [
    "Adjacency", "BlockSource", "BoundaryMembers", "BoundaryState", "EdgeRule", "EqualLabels",
    "FileBlocks", "KeptEdges", "MemoryBlocks",
    "NodeSummary", "down_node", "final_ids", "lower_neighbours", "merge_blocks", "merge_nodes", "read_boundary", "read_ids",
    "tables_for_children", "up_blocks", "up_nodes", "write_summary",
]  # fmt: skip
