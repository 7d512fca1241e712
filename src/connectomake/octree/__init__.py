"""Exact merging of block components over the octree of blocks: up with equivalences, down with look-up tables."""

from connectomake.octree.contacts import Adjacency, BlockSource, EdgeRule, KeptEdges, MemoryBlocks, lower_neighbours
from connectomake.octree.down import final_ids, tables_for_children
from connectomake.octree.files import (
    FileBlocks,
    down_node,
    read_ids,
    read_passed,
    up_blocks,
    up_nodes,
    write_summary,
)
from connectomake.octree.merge import merge_blocks, merge_nodes
from connectomake.octree.summary import Members, NodeSummary, Passed

__all__ = [
    "Adjacency", "BlockSource", "EdgeRule", "FileBlocks", "KeptEdges", "Members", "MemoryBlocks", "NodeSummary", "Passed",
    "down_node", "final_ids", "lower_neighbours", "merge_blocks", "merge_nodes", "read_ids",
    "read_passed", "tables_for_children", "up_blocks", "up_nodes", "write_summary",
]  # fmt: skip
