"""Skeletons: centre lines per (object, cell), joined across cells, and the shards that Neuroglancer reads."""

from connectomake.skeletons.blocks import trace_blocks
from connectomake.skeletons.cells import trace_cell
from connectomake.skeletons.files import gather_traces, merge_traces, read_traces, write_traces
from connectomake.skeletons.lattice import SkeletonSpec
from connectomake.skeletons.table import Traces

__all__ = [
    "SkeletonSpec",
    "Traces",
    "gather_traces",
    "merge_traces",
    "read_traces",
    "trace_blocks",
    "trace_cell",
    "write_traces",
]
