r"""Coarser levels of detail: one fragment from the up to 2 x 2 x 2 fragments below it.

A parent is a function of its children's stored bytes alone, so it does not matter which job makes it::

    level 0   +---+---+     the seams between the children are joined   +-------+   level 1
              | a | b |     and simplified, but no triangle comes to    |       |
              +---+---+ ->  cross them (the format demands it); the     |   p   |
              | c | d |     vertices on the parent's own faces stay,    |       |
              +---+---+     so parents fit each other without cracks    +-------+

A parent is made by the first job that has all its children: that of a group of blocks, one that gathers packs, or the one that
writes the file of meshes.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol, TypeAlias

import numpy as np

from connectomake.geometry import Vec
from connectomake.meshes.cells import Fragment, code_places, decode, encode
from connectomake.meshes.lattice import LOCKED, MeshSpec

Cells: TypeAlias = tuple[Vec, Vec]
_OCTANTS = 3


class Fragments(Protocol):
    """Fragments of one shard by ascending id, level and code, with their bytes."""

    index: np.ndarray

    def data(self, start: int, stop: int) -> Iterator[bytes]:
        """Yield the bytes of a range of the fragments."""


def join_children(spec: MeshSpec, children: Sequence[tuple[int, bytes]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Put the fragments of a level side by side on the grid of the next one.

    Parameters
    ----------
    spec
        The meshes.
    children
        Low three bits of the Morton code, and bytes.

    Returns
    -------
    vertices : (n, 3) int32
        Stored coordinates of the parent; those on common faces of children are joined.
    faces : (m, 3) int32
        Corners.
    fixed : (n,) uint8
        Coordinates that must stay, see `simplify`.
    """
    parts, corners, count = [], [], 0
    for octant, data in children:
        vertices, faces = decode(data)
        z, y, x = octant >> 2 & 1, octant >> 1 & 1, octant & 1
        parts.append(vertices.astype(np.int64) + spec.top * np.array([z, y, x]))
        corners.append(faces + count)
        count += len(vertices)
    doubled, faces = weld(np.concatenate(parts), np.concatenate(corners), spec.top)
    middle = doubled == spec.top
    outer = (doubled == 0) | (doubled == 2 * spec.top)
    fixed = np.where(outer.any(axis=1), LOCKED, (middle * np.array([1, 2, 4])).sum(axis=1)).astype(np.uint8)
    return _halved(doubled, spec.top), faces.astype(np.int32), fixed


def weld(vertices: np.ndarray, faces: np.ndarray, top: int) -> tuple[np.ndarray, np.ndarray]:
    """Make vertices at the same place one, on planes between fragments alone: where a coordinate is a multiple of `top`.

    Parameters
    ----------
    vertices : (n, 3) int64
        In steps of the grid of stored vertices, from the corner of the first fragment.
    faces : (m, 3) int
        Corners.
    top
        Steps of a fragment.
    """
    seam = np.flatnonzero((vertices % top == 0).any(axis=1))
    if not len(seam):
        return vertices, faces
    extent = vertices.max(axis=0) + 1
    if np.prod(extent.astype(np.float64)) < 2.0**62:
        keys = (vertices[seam, 0] * extent[1] + vertices[seam, 1]) * extent[2] + vertices[seam, 2]
        _, first, group = np.unique(keys, return_index=True, return_inverse=True)
    else:
        _, first, group = np.unique(vertices[seam], axis=0, return_index=True, return_inverse=True)
    name = np.arange(len(vertices))
    name[seam] = seam[first[group.reshape(-1)]]
    used = name == np.arange(len(vertices))
    return vertices[used], (np.cumsum(used) - 1)[name[faces]]


def _halved(vertices: np.ndarray, top: int) -> np.ndarray:
    """Round to the parent's grid; what is between two of its planes stays between them, and both sides of one round alike."""
    middle = (top + 1) // 2
    halved = (vertices + 1) // 2
    inner = (vertices > 0) & (vertices < top)
    upper = (vertices > top) & (vertices < 2 * top)
    halved = np.where(inner, np.clip(halved, 1, middle - 1), halved)
    halved = np.where(upper, np.clip(halved, middle + 1, top - 1), halved)
    return halved.astype(np.int32)


def make_parent(spec: MeshSpec, lod: int, object_id: int, code: int, children: Sequence[tuple[int, bytes]]) -> Fragment:
    """Join, simplify and encode one fragment of level `lod` > 0; `code` is its own, see `join_children` for the rest."""
    vertices, faces, fixed = join_children(spec, children)
    step = spec.step * (1 << lod)
    allowed = spec.error(lod) - spec.error(lod - 1) - float(np.linalg.norm(step)) / 2
    if spec.max_error and allowed > 0:
        from connectomake.meshes.simplify import simplify  # loads numba

        middle = (spec.top + 1) // 2
        vertices, faces = simplify(vertices, faces, fixed, step, spec.top, middle, float(spec.factor), allowed)
    return Fragment(object_id, code, encode(vertices, faces), len(faces), lod)


def new_parents(spec: MeshSpec, lod: int, fragments: Fragments, cells: Cells | None) -> Iterator[Fragment]:
    """Make the parents of a level whose children are all among the fragments, if they are not there yet.

    Parameters
    ----------
    spec
        The meshes.
    lod
        Level of the parents.
    fragments
        Of one shard.
    cells
        Positions of the first cell and of that after the last of a box: no object has a cell in it that `fragments` lacks.
        None: the whole region.
    """
    index = fragments.index
    there = set(_names(index[index["lod"] == lod]))
    rows = np.flatnonzero(index["lod"] == lod - 1)
    codes = index["code"][rows] >> np.uint64(_OCTANTS)
    ids = index["id"][rows]
    bounds = np.flatnonzero(np.concatenate([[True], (codes[1:] != codes[:-1]) | (ids[1:] != ids[:-1]), [True]]))
    if not len(rows):
        return
    inside = np.ones(len(bounds) - 1, bool) if cells is None else complete(spec, lod, codes[bounds[:-1]], cells)
    for i in np.flatnonzero(inside).tolist():
        a, b = int(bounds[i]), int(bounds[i + 1])
        object_id, code = int(ids[a]), int(codes[a])
        if (object_id, code) in there:
            continue
        first = int(rows[a])
        octants = (index["code"][first : first + b - a] & np.uint64(7)).tolist()
        yield make_parent(spec, lod, object_id, code, list(zip(octants, fragments.data(first, first + b - a), strict=True)))


def _names(index: np.ndarray) -> Iterable[tuple[int, int]]:
    return zip(index["id"].tolist(), index["code"].tolist(), strict=True)


def complete(spec: MeshSpec, lod: int, codes: np.ndarray, cells: Cells) -> np.ndarray:
    """Tell of which places of a level, (n,) uint64 codes, all cells that exist lie in a box of cells: (n,) bool."""
    places = code_places(codes).astype(np.int64)
    low = np.maximum((places << lod) - spec.margin, -1)
    high = np.minimum(((places + 1) << lod) - spec.margin, np.array(spec.lattice.shape))
    found: np.ndarray = ((low >= np.array(cells[0])) & (high <= np.array(cells[1]))).all(axis=1)
    return found
