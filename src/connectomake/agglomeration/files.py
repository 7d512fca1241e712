"""Agglomeration on files: one HDF5 file per node, and one Parquet table of all merges.

An up file has ``open/*``, ``edges/*`` (read by the parent), ``merges/*``, and as those of the merge ``closed/*`` (objects) and
``slots/<child>`` (read on the way down, which is the merge's).
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, TypeAlias

import numpy as np

from connectomake.agglomeration.blocks import GraphBlocks
from connectomake.agglomeration.graph import Edges
from connectomake.agglomeration.history import merges_in_order
from connectomake.agglomeration.node import OpenSegments, Up, agglomerate_blocks, agglomerate_nodes
from connectomake.agglomeration.rule import Rule
from connectomake.agglomeration.solve import MEAN, SMALL, Merges, concat
from connectomake.geometry import Octree
from connectomake.layers import read_columns, read_tables, write_batches, write_tables

Path: TypeAlias = str | os.PathLike[str]
_COLUMNS = [f.name for f in fields(Merges)]


def up_blocks(
    output: Path, octree: Octree, node: int, blocks: GraphBlocks, rule: Rule, min_size: int, record: Mapping[str, Any]
) -> Up:
    """Agglomerate a level-1 node and write its up file; see `agglomerate_blocks`.

    Parameters
    ----------
    output
        Up file to write.
    octree, node
        The node, at level 1.
    blocks, rule, min_size
        See `agglomerate_blocks`.
    record
        What to note in the file: stage, fingerprint, software.
    """
    up = agglomerate_blocks(octree, node, blocks, rule, min_size)
    _write(output, octree, 1, up, record)
    return up


def up_nodes(
    output: Path,
    octree: Octree,
    level: int,
    node: int,
    files: Mapping[int, Path],
    rule: Rule,
    min_size: int,
    record: Mapping[str, Any],
) -> Up:
    """Agglomerate a node above level 1 and write its up file; see `agglomerate_nodes`.

    Parameters
    ----------
    output
        Up file to write.
    octree, level, node
        The node; `level` is 2 or more.
    files
        Up files of its children, by id.
    rule, min_size
        See `agglomerate_nodes`.
    record
        What to note in the file: stage, fingerprint, software.

    Raises
    ------
    LayerError
        If a child's file is missing or damaged.
    """
    children = {child: read_open(files[child]) for child in octree.children(level, node)}
    up = agglomerate_nodes(octree, level, node, children, rule, min_size)
    _write(output, octree, level, up, record)
    return up


def read_open(path: Path) -> tuple[OpenSegments, Edges]:
    """Read of an up file what the parent needs."""
    arrays = read_tables(path, [*OpenSegments.names(), *Edges.names("edges")])
    return OpenSegments.from_arrays(arrays), Edges.from_arrays(arrays, "edges")


def _write(path: Path, octree: Octree, level: int, up: Up, record: Mapping[str, Any]) -> None:
    slots = {f"slots/{octree.name(level - 1, child)}": slot for child, slot in up.slots.items()}
    merges = {f"merges/{name}": getattr(up.merges, name) for name in _COLUMNS}
    write_tables(
        path, {**up.open.arrays(), **up.edges.arrays("edges"), **up.closed.arrays("closed"), **slots, **merges}, record
    )


def canonical(merges: Merges) -> Merges:
    """Put the merges of a whole volume, gathered in any order from any nodes, into the one form that tables have.

    First come small supervoxels that were joined: the smallest key of each joined one with every other key in it. Then merges
    by mean, by the smallest index of their edges; then absorbed segments.
    """
    from connectomake.union_find import unite

    small, rest = merges.take(merges.kind == SMALL), merges.take(merges.kind >= MEAN)
    keys = np.unique(np.concatenate([small.a, small.b]))
    pairs = np.stack([np.searchsorted(keys, side) for side in (small.a, small.b)], axis=-1)
    first = keys[unite(len(keys), pairs)]
    joined = first != keys
    none = np.zeros(int(joined.sum()), np.uint64)
    small = Merges(np.full(len(none), SMALL, np.uint8), first[joined], keys[joined], none, none, none)
    _, once = np.unique(np.stack([rest.kind.astype(np.uint64), rest.index]), axis=1, return_index=True)
    rest = rest.take(once)  # two segments that absorb each other may be noted in two nodes
    return concat([small, rest])


def write_history(path: Path, files: Sequence[Path], record: Mapping[str, Any] | None = None) -> None:
    """Write the merges of all nodes as one table, columns as in `Merges`, rows as `canonical` has them; in bounded memory.

    Parameters
    ----------
    path
        The Parquet file; equal merges and records give equal bytes.
    files
        Up files of all nodes, in any order.
    record
        What to note in the file's metadata.
    """
    batches = ({name: getattr(part, name) for name in _COLUMNS} for part in merges_in_order(files, path))
    write_batches(path, batches, lambda: record or {})


def read_merges(path: Path) -> Merges:
    """Read a table of merges.

    Raises
    ------
    LayerError
        If the file is missing or damaged.
    """
    columns = read_columns(path)
    return Merges(*(columns[name] for name in _COLUMNS))
