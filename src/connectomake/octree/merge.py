"""The way up: join what touches, close what cannot grow any more, pass up the rest.

::

    elements   what a node starts from: block components on its blocks' faces, or its children's open sets
       │ union-find over the pairs inside the node
    sets ──► open    touch the node's outer boundary (the region's own faces not counted): passed up
         └─► closed  whole objects: final id and size are known; below `min_size` they are dropped
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from connectomake.errors import RunError
from connectomake.geometry import Box, Octree
from connectomake.octree.contacts import BlockSource, EdgeRule
from connectomake.octree.summary import BoundaryMembers, BoundaryState, NodeSummary
from connectomake.tables import ComponentTable, touching, voxel_of_key


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a node lies, and the size below which whole objects are dropped."""

    box: Box
    roi: Box
    min_size: int

    @classmethod
    def of(cls, octree: Octree, level: int, node: int, min_size: int) -> "_Place":
        """Return the place of a node of an octree."""
        return cls(octree.box(level, node), octree.grid.roi, max(min_size, 0))


@dataclass(frozen=True, slots=True)
class _Sets:
    """Sets of elements, numbered: `slot` of each element, the open and the closed table (see `NodeSummary.slots`)."""

    slot: np.ndarray
    open: ComponentTable
    closed: ComponentTable


@dataclass(frozen=True, slots=True)
class _Outer:
    """The components of a block that touch its neighbours: their rows, and the first of them among the elements."""

    name: str
    base: int
    rows: np.ndarray

    def elements(self, labels: np.ndarray) -> np.ndarray:
        """Return the elements that labels (m,) stand for."""
        rows = labels.astype(np.int64) - 1
        places = np.searchsorted(self.rows, rows)
        if not len(self.rows) or (self.rows[np.minimum(places, len(self.rows) - 1)] != rows).any():
            raise RunError(f"faces and table of block {self.name} do not fit each other; delete its files and rerun")
        return self.base + places


def merge_blocks(octree: Octree, node: int, blocks: BlockSource, rule: EdgeRule, min_size: int) -> NodeSummary:
    """Merge the components of the blocks of a level-1 node.

    Parameters
    ----------
    octree, node
        The node, at level 1.
    blocks
        Tables and faces of the node's blocks, keys and faces of their lower neighbours (`lower_neighbours`).
    rule
        Which voxels of neighbouring blocks belong together.
    min_size
        Whole objects of fewer voxels get id 0.

    Raises
    ------
    RunError
        If faces do not fit each other.
    """
    children = octree.children(1, node)
    place = _Place.of(octree, 1, node, min_size)
    outer, kept_rows = {}, {}
    elements, kept = [], []
    base = 0
    for block in children:
        table = blocks.table(block)
        on_face = table.touches(octree.grid.box(block), place.roi)
        rows = np.flatnonzero(on_face)
        inner = np.flatnonzero(~on_face & (table.voxels >= place.min_size))
        outer[block], kept_rows[block] = _Outer(octree.grid.name(block), base, rows), (len(table), inner)
        elements.append(table.take(rows))
        kept.append(table.take(inner))
        base += len(rows)
    pairs, out_element, out_key = _compare_blocks(octree, outer, blocks, rule)
    table = ComponentTable.concat(elements)
    sets = _close(place, table, pairs, ComponentTable.concat(kept))
    members = _member_table(sets, table, place)
    return NodeSummary(_passed(sets, members, out_element, out_key), sets.closed, _block_slots(sets, outer, kept_rows))


def merge_nodes(octree: Octree, level: int, node: int, children: Mapping[int, BoundaryState], min_size: int) -> NodeSummary:
    """Merge what the children of a node above level 1 pass up.

    Parameters
    ----------
    octree, level, node
        The node, at level 2 or above.
    children
        What each child passes up.
    min_size
        Whole objects of fewer voxels get id 0.

    Raises
    ------
    RunError
        If a child names a component that its sibling does not know: the files are not of the same run.
    """
    order = octree.children(level, node)
    parts = [children[child] for child in order]
    bases = np.cumsum([0] + [len(p.open) for p in parts])
    table = ComponentTable.concat(p.open for p in parts)
    members = _join_members(parts, bases)
    element = np.concatenate([p.pair_set + b for p, b in zip(parts, bases[:-1], strict=True)])
    key = np.concatenate([p.pair_key for p in parts])
    place = _Place.of(octree, level, node, min_size)
    inside = _inside(key, place.box, place.roi)
    partner = _find(members, key[inside], octree.name(level, node), level)
    pairs = np.stack([element[inside], partner], axis=-1)
    sets = _close(place, table, pairs, ComponentTable.empty())
    on_face = touching(members.start, members.stop, place.box, place.roi)
    row = sets.slot[members.set[on_face]].astype(np.int64) - 1
    kept = BoundaryMembers(members.key[on_face], row, members.start[on_face], members.stop[on_face])
    slots = {child: sets.slot[a:b] for child, a, b in zip(order, bases[:-1], bases[1:], strict=True)}
    return NodeSummary(_passed(sets, kept, element[~inside], key[~inside]), sets.closed, slots)


def _compare_blocks(
    octree: Octree, outer: Mapping[int, _Outer], blocks: BlockSource, rule: EdgeRule
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return pairs of elements (m, 2), and elements (p,) with the keys (p,) of what they touch outside of the node."""
    grid = octree.grid
    pairs, elements, keys = [np.zeros((0, 2), np.int64)], [np.zeros(0, np.int64)], [np.zeros(0, np.uint64)]
    for near in outer:
        for offset in rule.offsets:
            for far in grid.neighbours(near, [offset]):
                found = rule.pairs(blocks, near, far, offset)
                if not len(found):
                    continue
                element = outer[near].elements(found[:, 0])
                if far in outer:
                    pairs.append(np.stack([element, outer[far].elements(found[:, 1])], axis=-1))
                else:
                    elements.append(element)
                    keys.append(_keys_of(blocks.keys(far), found[:, 1], grid.name(far)))
    return np.concatenate(pairs), np.concatenate(elements), np.concatenate(keys)


def _keys_of(keys: np.ndarray, labels: np.ndarray, name: str) -> np.ndarray:
    if int(labels.max()) > len(keys):
        raise RunError(f"faces and table of block {name} do not fit each other; delete its files and rerun")
    return keys[labels.astype(np.int64) - 1]


def _close(place: _Place, table: ComponentTable, pairs: np.ndarray, inner: ComponentTable) -> _Sets:
    """Join elements, tell open sets from closed ones and number both by key; `inner` are closed and kept already.

    The slots cover the elements of `table`, then those of `inner`.
    """
    group, count = _join(len(table), pairs)
    merged = table.grouped(group, count)
    is_open = merged.touches(place.box, place.roi)
    kept = ~is_open & (merged.voxels >= place.min_size)
    opened = merged.take(is_open)
    closed = ComponentTable.concat([merged.take(kept), inner])
    slots = np.zeros(count + len(inner), np.uint32)
    kept_all = np.concatenate([kept, np.ones(len(inner), bool)])
    open_order, closed_order = np.argsort(opened.key), np.argsort(closed.key)
    slots[:count][is_open] = 1 + _ranks(open_order)
    slots[kept_all] = 1 + len(opened) + _ranks(closed_order)
    element_slots = np.concatenate([slots[:count][group], slots[count:]])
    return _Sets(element_slots, opened.take(open_order), closed.take(closed_order))


def _ranks(order: np.ndarray) -> np.ndarray:
    ranks = np.empty(len(order), np.int64)
    ranks[order] = np.arange(len(order))
    return ranks


def _member_table(sets: _Sets, table: ComponentTable, place: _Place) -> BoundaryMembers:
    """List the elements that touch the node's outer boundary, by key."""
    rows = np.flatnonzero(table.touches(place.box, place.roi))
    rows = rows[np.argsort(table.key[rows])]
    return BoundaryMembers(table.key[rows], sets.slot[rows].astype(np.int64) - 1, table.start[rows], table.stop[rows])


def _block_slots(sets: _Sets, outer: Mapping[int, _Outer], kept: Mapping[int, tuple[int, np.ndarray]]) -> dict[int, np.ndarray]:
    """Spread the slots of elements over the labels of their blocks."""
    slots = {}
    next_inner = sum(len(o.rows) for o in outer.values())
    for block, (count, inner) in kept.items():
        of_label = np.zeros(count + 1, np.uint32)
        of_label[outer[block].rows + 1] = sets.slot[outer[block].base :][: len(outer[block].rows)]
        of_label[inner + 1] = sets.slot[next_inner : next_inner + len(inner)]
        next_inner += len(inner)
        slots[block] = of_label
    return slots


def _passed(sets: _Sets, members: BoundaryMembers, element: np.ndarray, key: np.ndarray) -> BoundaryState:
    """Say the pairs to the outside by set, sorted and each once."""
    row = sets.slot[element].astype(np.int64) - 1
    order = np.lexsort((key, row))
    row, key = row[order], key[order]
    new = np.ones(len(row), bool)
    new[1:] = (row[1:] != row[:-1]) | (key[1:] != key[:-1])
    return BoundaryState(sets.open, members, row[new], key[new])


def _join_members(parts: list[BoundaryState], bases: np.ndarray) -> BoundaryMembers:
    """Put the members of all children together, by key; `set` becomes the element."""
    key = np.concatenate([p.members.key for p in parts])
    element = np.concatenate([p.members.set + b for p, b in zip(parts, bases[:-1], strict=True)])
    start, stop = (np.concatenate([getattr(p.members, f) for p in parts]) for f in ("start", "stop"))
    order = np.argsort(key)
    return BoundaryMembers(key[order], element[order], start[order], stop[order])


def _inside(key: np.ndarray, box: Box, roi: Box) -> np.ndarray:
    """Tell which block components begin inside the box, and so lie in it."""
    voxel = voxel_of_key(key, roi)
    inside = np.logical_and(voxel >= box.start, voxel < box.stop)
    return np.asarray(inside.all(axis=1))


def _find(members: BoundaryMembers, key: np.ndarray, name: str, level: int) -> np.ndarray:
    """Return the elements that block components of these keys belong to."""
    if not len(key):
        return np.zeros(0, np.int64)
    place = np.minimum(np.searchsorted(members.key, key), max(len(members.key) - 1, 0))
    if not len(members.key) or (members.key[place] != key).any():
        raise RunError(
            f"the merge files under node {name} of level {level} do not fit each other: a component named by one is "
            "not in the other; delete the merge folder and rerun"
        )
    return members.set[place]


def _join(count: int, pairs: np.ndarray) -> tuple[np.ndarray, int]:
    """Number the sets that pairs (m, 2) of elements 0 … count - 1 make: (count,) int64 from 0, and how many."""
    from connectomake.union_find import sets

    numbers, sets_made = sets(count, np.ascontiguousarray(pairs, np.int64))
    return numbers, int(sets_made)
