"""Agglomeration: supervoxels to segments by mean affinity, exact across blocks."""

from connectomake.agglomeration.blocks import FileGraph, MemoryGraph, graph_tables
from connectomake.agglomeration.files import read_merges, up_blocks, up_nodes, write_history
from connectomake.agglomeration.graph import Edges, region_graph
from connectomake.agglomeration.node import OpenSegments, Up, agglomerate_blocks, agglomerate_nodes
from connectomake.agglomeration.rule import Rule
from connectomake.agglomeration.solve import Merges
from connectomake.agglomeration.whole import agglomerate, agglomerate_graph, segments_at, segments_over

__all__ = [
    "Edges", "FileGraph", "MemoryGraph", "Merges", "OpenSegments", "Rule", "Up", "agglomerate", "agglomerate_blocks",
    "agglomerate_graph", "agglomerate_nodes", "graph_tables", "read_merges", "region_graph", "segments_at", "segments_over",
    "up_blocks", "up_nodes", "write_history",
]  # fmt: skip
