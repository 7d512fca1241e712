"""From the labels of one cell to the stored fragments of its objects."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from connectomake.geometry import Vec
from connectomake.layers.precomputed import xyz
from connectomake.meshes.lattice import LOCKED, MeshSpec

_AXIS_BITS = 21
_THIRD_BITS = np.uint64(0x1249249249249249)
_SQUEEZE = tuple(
    (np.uint64(shift), np.uint64(kept))
    for shift, kept in (
        (2, 0x10C30C30C30C30C3),
        (4, 0x100F00F00F00F00F),
        (8, 0x001F0000FF0000FF),
        (16, 0x001F00000000FFFF),
        (32, 0x00000000001FFFFF),
    )
)


@dataclass(frozen=True, slots=True)
class Fragment:
    """One object's surface in one cell, or in a parent of cells, as stored.

    Parameters
    ----------
    object_id
        The object.
    code
        Morton code of its place in the fragment lattice of its level; the format's order.
    data
        Draco bytes; vertices are integers in x, y, z.
    triangles
        How many there are.
    lod
        Level of detail; 0 is the finest.
    """

    object_id: int
    code: int
    data: bytes
    triangles: int
    lod: int = 0


def cell_code(position: Vec, margin: int = 1) -> int:
    """Return the Morton code (lowest bit x, then y, z) of a cell's place in the fragment lattice, `margin` below the region.

    Examples
    --------
    >>> cell_code((-1, -1, 0)), cell_code((0, -1, -1))
    (1, 4)
    """
    z, y, x = (p + margin for p in position)
    code = 0
    for bit in range(_AXIS_BITS):
        low = (x >> bit & 1) | (y >> bit & 1) << 1 | (z >> bit & 1) << 2
        code |= low << 3 * bit
    return code


def code_places(codes: np.ndarray) -> np.ndarray:
    """Return the places in the fragment lattice, (n, 3) uint32 in z, y, x, all at least 0, of Morton codes, (n,) uint64.

    Every third bit is kept, and then groups of one, two, four … bits are moved together, each step halving the gaps.
    """
    bits = codes[:, np.newaxis] >> np.array([2, 1, 0], np.uint64) & _THIRD_BITS
    for shift, kept in _SQUEEZE:
        bits = (bits | bits >> shift) & kept
    return bits.astype(np.uint32)


def marching_cubes(labels: np.ndarray, keep: np.ndarray | None = None) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Yield the surface of every object between the centres of the voxels of an array.

    Method: Lorensen and Cline, *Marching cubes*, SIGGRAPH 1987, as implemented by zmesh.

    Parameters
    ----------
    labels : (z, y, x) uint64
        0 is background. Objects are left open where they touch the array's faces.
    keep : (n,) uint64, optional
        Ascending ids of the objects wanted; default all.

    Yields
    ------
    object_id : int
        Ascending.
    vertices : (n, 3) int32
        z, y, x in half voxels from the centre of the first voxel.
    faces : (m, 3) int32
        Corners, counter-clockwise seen from outside *in z, y, x taken as right-handed axes*.
    """
    import zmesh

    mesher = zmesh.Mesher((2, 2, 2))
    mesher.mesh(np.ascontiguousarray(labels), close=False)
    ids = np.array(sorted(mesher.ids()), np.uint64)
    if keep is not None:
        ids = ids[np.searchsorted(keep, ids, side="right") > np.searchsorted(keep, ids)]
    for object_id in ids.tolist():
        mesh = mesher.get(object_id)
        yield object_id, mesh.vertices.astype(np.int32), mesh.faces.astype(np.int32)


def cell_triangles(labels: np.ndarray, spec: MeshSpec, position: Vec) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Yield the unsimplified surface of every object in a cell, as `marching_cubes` but placed in the region.

    Vertices are in absolute half voxels: twice the position at which Neuroglancer draws, voxel i from i to i + 1. Over all
    cells the triangles are those of the whole region padded by one background voxel.

    Parameters
    ----------
    labels : (z, y, x) uint64
        Voxels of the cell's reach; 0 is background.
    spec
        The lattice of cells.
    position
        Of the cell in it (z, y, x).

    Yields
    ------
    object_id : int
        Ascending.
    vertices : (n, 3) int64
        z, y, x in half voxels.
    faces : (m, 3) int32
        Corners; see `marching_cubes`.
    """
    offset = 2 * np.array(spec.reach(position).start, np.int64) + 1
    for object_id, vertices, faces in marching_cubes(labels):
        yield object_id, vertices + offset, faces


def stored_mesh(vertices: np.ndarray, faces: np.ndarray, spec: MeshSpec) -> tuple[np.ndarray, np.ndarray]:
    """Put a mesh on the grid of stored vertices and simplify it there.

    Vertices on the planes between cells keep their place, and both cells round it alike, so fragments join without cracks.

    Parameters
    ----------
    vertices : (n, 3) int32
        Half voxels from the centre of the cell's first voxel, 0 to twice the cell.
    faces : (m, 3) int32
        Corners.
    spec
        The meshes.

    Returns
    -------
    vertices : (k, 3) int32
        Stored coordinates, 0 to ``spec.top``, z, y, x.
    faces : (j, 3) int32
        Corners.
    """
    extent = 2 * np.array(spec.cell, np.int64)
    stored = ((vertices.astype(np.int64) * (2 * spec.top) + extent) // (2 * extent)).astype(np.int32)
    if not spec.max_error:
        return stored, faces
    from connectomake.meshes.simplify import simplify  # loads numba

    fixed = np.where(((vertices == 0) | (vertices == extent)).any(axis=1), LOCKED, 0).astype(np.uint8)
    options = (spec.step, spec.top, 0, float(spec.factor), spec.error(0))
    simplified: tuple[np.ndarray, np.ndarray] = simplify(stored, faces, fixed, *options)
    return simplified


def encode(vertices: np.ndarray, faces: np.ndarray) -> bytes:
    """Encode stored vertices (z, y, x) and faces as Draco with integer positions in x, y, z.

    Reversing the axes mirrors space, so the corners of the faces are reversed too.
    """
    import DracoPy

    points = np.stack(xyz(list(vertices.T)), axis=1).astype(np.int32)
    return bytes(DracoPy.encode(np.ascontiguousarray(points), np.ascontiguousarray(faces[:, ::-1]).astype(np.uint32)))


def decode(data: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Return the vertices (n, 3) int32, z, y, x, and faces (m, 3) int32 that `encode` got, in Draco's order.

    Raises
    ------
    ValueError
        If the bytes are no such mesh.
    """
    import DracoPy

    try:
        mesh = DracoPy.decode(data)
        points = np.asarray(mesh.points).astype(np.int32)[:, ::-1]
        faces = np.asarray(mesh.faces).astype(np.int32)[:, ::-1]
    except Exception as error:  # whatever it makes of other bytes
        raise ValueError(f"{len(data)} bytes are not a Draco mesh") from error
    if faces.size and not 0 <= int(faces.min()) <= int(faces.max()) < len(points):
        raise ValueError(f"a triangle has a corner {int(faces.max())} of {len(points)} vertices")
    return np.ascontiguousarray(points), np.ascontiguousarray(faces)


def mesh_cell(labels: np.ndarray, spec: MeshSpec, position: Vec, keep: np.ndarray | None = None) -> list[Fragment]:
    """Mesh, simplify and encode every object of one cell.

    Parameters
    ----------
    labels : (z, y, x) uint64
        Voxels of ``spec.reach(position)``; 0 outside the region.
    spec
        The meshes.
    position
        Lattice position of the cell; -1 below the region's start.
    keep : (n,) uint64, optional
        Ascending ids of the objects wanted; default all.

    Returns
    -------
    list of Fragment
        By ascending object id.
    """
    if not labels.any():
        return []
    shift = 2 * (np.array(spec.reach(position).start) - np.array(spec.start(position))).astype(np.int32)
    code = cell_code(position, spec.margin)
    fragments = []
    for object_id, vertices, faces in marching_cubes(labels, keep):
        stored, corners = stored_mesh(vertices + shift, faces, spec)
        fragments.append(Fragment(object_id, code, encode(stored, corners), len(corners)))
    return fragments
