"""A node of the octree: put the graph of its children together, decide what can be decided, pass up the rest.

::

    level 1   supervoxels in its blocks, their edges within blocks and across faces ─┐
    above     what its children left open, and the edges of that                    ─┴─► solve ─► closed: final ids and sizes
                                                                                            └──► open: passed up, by name
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np

from connectomake.agglomeration.blocks import GraphBlocks, block_edges, face_edges
from connectomake.agglomeration.graph import Edges
from connectomake.agglomeration.rule import Rule
from connectomake.agglomeration.solve import Merges, Regions, Solution, solve
from connectomake.geometry import Box, Octree, lower_offsets
from connectomake.tables import ComponentTable


@dataclass(frozen=True, slots=True)
class OpenSegments:
    """Segments that a node leaves open, by name.

    Parameters
    ----------
    name
        (o,) uint64, ascending: what nodes outside call it: the supervoxel of it that touches the boundary, if any.
    first, size
        (o,) uint64: smallest key and voxels of the segment itself.
    voted
        (o,) bool: whether it is decided, and only here as somebody's neighbour.
    group
        (o,) int64: segments of one number have become one by absorption.
    table
        Voxels, box and sums, with those of segments absorbed by it that are not passed up; row by row.
    """

    name: np.ndarray
    first: np.ndarray
    size: np.ndarray
    voted: np.ndarray
    group: np.ndarray
    table: ComponentTable

    @classmethod
    def names(cls) -> list[str]:
        """Return the names of the columns in a file."""
        return [*ComponentTable.names("open"), *(f"open/{f.name}" for f in fields(cls) if f.name != "table")]

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "OpenSegments":
        """Pick the columns out of named arrays."""
        columns = {f.name: arrays[f"open/{f.name}"] for f in fields(cls) if f.name != "table"}
        return cls(**columns, table=ComponentTable.from_arrays(arrays, "open"))

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the columns by the names they have in a file."""
        columns = {f"open/{f.name}": getattr(self, f.name) for f in fields(self) if f.name != "table"}
        return {**self.table.arrays("open"), **columns}


@dataclass(frozen=True, slots=True)
class Up:
    """Result of a node on the way up.

    Parameters
    ----------
    open, edges
        For its parent: open segments, and the edges between them and to names outside of the node.
    closed
        Whole segments of at least `min_size` voxels that ended here, ascending by key, which is their id.
    slots
        Per child: for each label from 0 (block) or each open row (node) uint32: 0 for background and what is below
        `min_size`, 1 + open row, or 1 + number of open rows + closed row.
    merges
        What was merged here.
    """

    open: OpenSegments
    edges: Edges
    closed: ComponentTable
    slots: dict[int, np.ndarray]
    merges: Merges


@dataclass(frozen=True, slots=True)
class _Elements:
    """What a node starts from; row i is region i."""

    name: np.ndarray
    regions: Regions
    table: ComponentTable
    same: np.ndarray


def agglomerate_blocks(octree: Octree, node: int, blocks: GraphBlocks, rule: Rule, min_size: int) -> Up:
    """Agglomerate the supervoxels of a level-1 node.

    Parameters
    ----------
    octree, node
        The node, at level 1.
    blocks
        Its blocks, and the faces and ids of their neighbours across low faces.
    rule
        What is joined.
    min_size
        Whole segments of fewer voxels get id 0.
    """
    children = octree.children(1, node)
    ids = {block: blocks.ids(block)[1:] for block in children}
    name = np.unique(np.concatenate(list(ids.values())))
    element = {block: np.searchsorted(name, found) for block, found in ids.items()}
    table = ComponentTable.concat(blocks.table(block) for block in children)
    table = table.grouped(np.concatenate(list(element.values())), len(name))
    edges = [block_edges(blocks, block) for block in children]
    for near in children:
        for offset in lower_offsets(6):
            edges += [face_edges(octree.grid, blocks, near, far, offset) for far in octree.grid.neighbours(near, [offset])]
    boundary = table.touches(octree.box(1, node), octree.grid.roi)
    regions = Regions(name, table.voxels, boundary, np.zeros(len(name), bool))
    elements = _Elements(name, regions, table, np.zeros((0, 2), np.int64))
    slots = {block: np.concatenate([[-1], rows]) for block, rows in element.items()}
    return _decide(elements, Edges.concat(edges), slots, rule, min_size)


def agglomerate_nodes(
    octree: Octree, level: int, node: int, children: Mapping[int, tuple[OpenSegments, Edges]], rule: Rule, min_size: int
) -> Up:
    """Agglomerate the segments that the children of a node above level 1 left open.

    Parameters
    ----------
    octree, level, node
        The node; `level` is 2 or more.
    children
        By id, all children of the node: their open segments and the edges of these.
    rule
        What is joined.
    min_size
        Whole segments of fewer voxels get id 0.
    """
    order = octree.children(level, node)
    parts = [children[child][0] for child in order]
    names = np.concatenate([part.name for part in parts])
    name, element = np.unique(names, return_inverse=True)
    table = ComponentTable.concat(part.table for part in parts).grouped(element, len(name))
    first, size = np.full(len(name), np.iinfo(np.uint64).max, np.uint64), np.zeros(len(name), np.uint64)
    np.minimum.at(first, element, np.concatenate([part.first for part in parts]))
    np.add.at(size, element, np.concatenate([part.size for part in parts]))
    voted = np.zeros(len(name), bool)
    voted[element[np.concatenate([part.voted for part in parts])]] = True
    regions = Regions(first, size, ~voted & _touches(table, octree.box(level, node), octree.grid.roi), voted)
    bases = np.cumsum([0, *(len(part.name) for part in parts)])
    slots = {child: element[a:b] for child, a, b in zip(order, bases[:-1], bases[1:], strict=True)}
    same = np.concatenate([_same(slots[child], part.group) for child, part in zip(order, parts, strict=True)])
    elements = _Elements(name, regions, table, same)
    return _decide(elements, Edges.concat(children[child][1] for child in order), slots, rule, min_size)


def _touches(table: ComponentTable, box: Box, roi: Box) -> np.ndarray:
    return table.touches(box, roi)


def _same(element: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Return pairs (m, 2) of elements, each with the first one of its group."""
    _, first, inverse = np.unique(group, return_index=True, return_inverse=True)
    return np.stack([element, element[first[inverse]]], axis=-1)


def _decide(elements: _Elements, edges: Edges, slots: Mapping[int, np.ndarray], rule: Rule, min_size: int) -> Up:
    """Solve the graph of the elements; `edges` are by name, `slots` are elements, -1 for background."""
    u, v = _find(elements.name, edges.u), _find(elements.name, edges.v)
    inside = (u >= 0) & (v >= 0)
    found = solve(edges.take(inside).between(u[inside], v[inside]), elements.regions, rule)
    names = _names(elements, found.cluster, len(found.passed_up))
    group = _groups(elements, found)
    order = np.flatnonzero(found.passed_up)
    order = order[np.argsort(names[order])]
    row = _rows(order, group, len(names))
    closed, slot = _close(elements, found.cluster, group, row, len(order), min_size)
    table = elements.table.take(row[found.cluster] >= 0)
    table = table.grouped(row[found.cluster[row[found.cluster] >= 0]], len(order))
    first, size, decided = (column[order] for column in (found.regions.first, found.regions.voxels, found.regions.decided))
    opened = OpenSegments(names[order], first, size, decided, group[order], table)
    outside = edges.take(~inside)
    passed = Edges.concat([_renamed(found.edges, names), outside.between(outside.u, outside.v)])
    by_label = np.append(slot, np.uint32(0))  # -1 is background
    return Up(opened, passed, closed, {child: by_label[e] for child, e in slots.items()}, found.merges)


def _find(names: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return the places of names (sorted), -1 for those that are not there."""
    if not len(names):
        return np.full(len(wanted), -1)
    place = np.minimum(np.searchsorted(names, wanted), len(names) - 1)
    return np.where(names[place] == wanted, place, -1)


def _names(elements: _Elements, cluster: np.ndarray, count: int) -> np.ndarray:
    """Name clusters after their element on the boundary, or else after the smallest name."""
    names = np.full(count, np.iinfo(np.uint64).max, np.uint64)
    np.minimum.at(names, cluster, elements.name)
    names[cluster[elements.regions.boundary]] = elements.name[elements.regions.boundary]
    return names


def _groups(elements: _Elements, found: Solution) -> np.ndarray:
    """Number clusters that are one segment alike: by votes here, or by votes below."""
    from connectomake.union_find import unite

    pairs = np.concatenate([found.votes, found.cluster[elements.same].reshape(-1, 2)])
    return np.asarray(unite(len(found.passed_up), np.ascontiguousarray(pairs, np.int64)))


def _rows(order: np.ndarray, group: np.ndarray, count: int) -> np.ndarray:
    """Return the open row that each cluster's voxels and id go with: its own or that of an open one of its group; else -1."""
    of_group = np.full(count, -1)
    of_group[group[order[::-1]]] = np.arange(len(order))[::-1]
    row: np.ndarray = of_group[group]
    row[order] = np.arange(len(order))
    return row


def _close(
    elements: _Elements, cluster: np.ndarray, group: np.ndarray, row: np.ndarray, opened: int, min_size: int
) -> tuple[ComponentTable, np.ndarray]:
    """Return the table of whole segments and the slot of each element."""
    ends = row[cluster] < 0
    groups, number = np.unique(group[cluster[ends]], return_inverse=True)
    table = elements.table.take(ends).grouped(number, len(groups))
    kept = table.voxels >= np.uint64(max(min_size, 0))
    order = np.flatnonzero(kept)
    order = order[np.argsort(table.key[order])]
    of_group = np.zeros(len(groups), np.uint32)
    of_group[order] = 1 + opened + np.arange(len(order))
    slot = (row[cluster] + 1).astype(np.uint32)
    slot[ends] = of_group[number]
    return table.take(order), slot


def _renamed(edges: Edges, names: np.ndarray) -> Edges:
    u, v = names[edges.u.astype(np.int64)], names[edges.v.astype(np.int64)]
    return edges.between(u, v)
