"""The merge on files: one HDF5 file per node and direction.

========================  ==================================================================================
file                      datasets
========================  ==================================================================================
block (components)        ``table/*``, ``faces/z0`` … ``faces/x1``; of a watershed ``faces/kept_z0`` …
node, up                  ``open/*``, ``members/*``, ``pairs/*`` (read by the parent); ``closed/*`` (objects);
                          ``slots/<child>`` (read on the way down)
node, down                ``ids/<child>``: see `tables_for_children`
========================  ==================================================================================
"""

import functools
import os
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np

from connectomake.geometry import Octree
from connectomake.layers import read_tables, write_tables
from connectomake.octree.contacts import EdgeRule
from connectomake.octree.down import tables_for_children
from connectomake.octree.merge import merge_blocks, merge_nodes
from connectomake.octree.summary import BoundaryState, NodeSummary
from connectomake.tables import ComponentTable

Path: TypeAlias = str | os.PathLike[str]
_PLANES_KEPT = 96


class FileBlocks:
    """Blocks in files, by id; tables and planes are read when asked for, and some planes are kept.

    Parameters
    ----------
    paths
        The file beside the components shard, per block.
    """

    def __init__(self, paths: Mapping[int, Path]) -> None:
        self._paths = dict(paths)
        self.plane = functools.lru_cache(_PLANES_KEPT)(self._plane)
        self.keys = functools.lru_cache(_PLANES_KEPT)(self._keys)

    def table(self, block: int) -> ComponentTable:
        """Return the table of a block."""
        return ComponentTable.from_arrays(read_tables(self._paths[block], ComponentTable.names("table")), "table")

    def _keys(self, block: int) -> np.ndarray:
        return read_tables(self._paths[block], ["table/key"])["table/key"]

    def _plane(self, block: int, name: str) -> np.ndarray:
        return read_tables(self._paths[block], [f"faces/{name}"])[f"faces/{name}"]


def up_blocks(
    output: Path,
    octree: Octree,
    node: int,
    files: Mapping[int, Path],
    rule: EdgeRule,
    min_size: int,
    record: Mapping[str, Any],
) -> NodeSummary:
    """Merge a level-1 node and write its up file.

    Parameters
    ----------
    output
        The up file to write.
    octree, node
        The node.
    files
        Block files of the node's blocks and of `lower_neighbours`.
    rule, min_size
        See `merge_blocks`.
    record
        What to note in the file.
    """
    summary = merge_blocks(octree, node, FileBlocks(files), rule, min_size)
    write_summary(output, octree, 1, summary, record)
    return summary


def up_nodes(
    output: Path,
    octree: Octree,
    level: int,
    node: int,
    files: Mapping[int, Path],
    min_size: int,
    record: Mapping[str, Any],
) -> NodeSummary:
    """Merge a node above level 1 and write its up file; see `merge_nodes`.

    Parameters
    ----------
    output
        Up file to write.
    octree, level, node
        The node; `level` is 2 or more.
    files
        Up files of its children, by id.
    min_size
        Whole objects of fewer voxels get id 0.
    record
        What to note in the file: stage, fingerprint, software.

    Raises
    ------
    LayerError
        If a child's file is missing or damaged.
    """
    children = {child: read_boundary(files[child]) for child in octree.children(level, node)}
    summary = merge_nodes(octree, level, node, children, min_size)
    write_summary(output, octree, level, summary, record)
    return summary


def down_node(
    output: Path, octree: Octree, level: int, node: int, up: Path, parent: Path | None, record: Mapping[str, Any]
) -> None:
    """Write a node's down file; an up file of agglomeration will do as well as one of the merge.

    Parameters
    ----------
    output
        The down file to write.
    octree, level, node
        The node.
    up
        Its own up file.
    parent
        Its parent's down file; None at the top.
    record
        What to note in the file.
    """
    found = read_tables(up, ["open/key", "closed/key", *_slot_names(octree, level, node)])
    slots = {child: found[name] for name, child in _slot_names(octree, level, node).items()}
    name = octree.name(level, node)
    open_ids = np.zeros(0, np.uint64) if parent is None else read_ids(parent, name)
    place = f"node {name} of level {level}"
    tables = tables_for_children(slots, len(found["open/key"]), found["closed/key"], open_ids, place)
    write_tables(output, {f"ids/{octree.name(level - 1, child)}": ids for child, ids in tables.items()}, record)


def _slot_names(octree: Octree, level: int, node: int) -> dict[str, int]:
    """Return the names of the slots of a node's children in its up file, with the children."""
    return {f"slots/{octree.name(level - 1, child)}": child for child in octree.children(level, node)}


def read_ids(path: Path, child: str) -> np.ndarray:
    """Read the look-up table of one child from a down file; see `tables_for_children`.

    Parameters
    ----------
    path
        The down file.
    child
        Name of the block or node.

    Raises
    ------
    LayerError
        If the file is missing or damaged.
    """
    return read_tables(path, [f"ids/{child}"])[f"ids/{child}"]


def read_boundary(path: Path) -> BoundaryState:
    """Read of an up file what the parent needs."""
    return BoundaryState.from_arrays(read_tables(path, BoundaryState.names()))


def write_summary(path: Path, octree: Octree, level: int, summary: NodeSummary, record: Mapping[str, Any]) -> None:
    """Atomically write an up file.

    Parameters
    ----------
    path
        Up file to write.
    octree, level
        The octree, and the level of the node, from 1.
    summary
        The node's result.
    record
        What to note in the file: stage, fingerprint, software.
    """
    slots = {f"slots/{octree.name(level - 1, child)}": slot for child, slot in summary.slots.items()}
    write_tables(path, {**summary.passed.arrays(), **summary.closed.arrays("closed"), **slots}, record)
