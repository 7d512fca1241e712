"""Coarser levels of detail: joined seams, planes that no triangle crosses, the stated error."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from connectomake.errors import ConfigError
from connectomake.geometry import Box
from connectomake.meshes import MeshSpec, mesh_cell
from connectomake.meshes.cells import Fragment, decode
from connectomake.meshes.parents import complete, make_parent
from tests.test_meshes import blobs
from tests.test_meshes_simplify import euler, samples, smooth

CELL = 8


def spec_of(
    labels: np.ndarray,
    bits: int = 16,
    max_error: float = 4.0,
    size: tuple[float, float, float] = (9.0, 4.0, 4.0),
    lods: int = 2,
) -> MeshSpec:
    return MeshSpec(Box.of_shape(labels.shape), (CELL,) * 3, size, bits, 1000, max_error, lods)


def fragments_of(labels: np.ndarray, spec: MeshSpec) -> dict[int, list[Fragment]]:
    """Fragments of level 0, by object."""
    padded = np.pad(labels, 1)
    found: dict[Any, Any] = {}
    for position in spec.positions(spec.roi):
        part = np.ascontiguousarray(padded[spec.reach(position).slices((-1, -1, -1))])
        for fragment in mesh_cell(part, spec, position):
            found.setdefault(fragment.object_id, []).append(fragment)
    return found


def parents_of(fragments: list[Fragment], spec: MeshSpec, lod: int) -> list[Fragment]:
    groups: dict[Any, Any] = {}
    for fragment in sorted(fragments, key=lambda f: f.code):
        groups.setdefault(fragment.code >> 3, []).append((fragment.code & 7, fragment.data))
    return [make_parent(spec, lod, fragments[0].object_id, code, children) for code, children in groups.items()]


def in_region(fragments: list[Fragment], spec: Any) -> Any:
    """One mesh of all fragments of a level, in nm, welded where vertices coincide."""
    from connectomake.meshes.cells import code_places

    points, faces, count = [], [], 0
    for fragment in fragments:
        vertices, corners = decode(fragment.data)
        place = code_places(np.array([fragment.code], np.uint64)).astype(np.int64)
        points.append((vertices + spec.top * place) << fragment.lod)
        faces.append(corners + count)
        count += len(vertices)
    unique, names = np.unique(np.concatenate(points), axis=0, return_inverse=True)
    return unique * spec.step, names.reshape(-1)[np.concatenate(faces)]


def odd_edges(faces: np.ndarray) -> int:
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    return int((np.unique(edges, axis=0, return_counts=True)[1] % 2).sum())


@pytest.mark.slow
@settings(max_examples=12)
@given(seed=st.integers(0, 999), rough=st.booleans(), bits=st.sampled_from([10, 16]), max_error=st.sampled_from([2.0, 9.0]))
def test_levels_are_closed_partitioned_and_near(seed: int, rough: Any, bits: int, max_error: float) -> None:
    labels = blobs((14, 15, 16), seed, 3) if rough else smooth(seed, 18)
    spec = spec_of(labels, bits, max_error, lods=3)
    exact = spec_of(labels, bits, 0.0, lods=3)
    truth = fragments_of(labels, exact)
    middle = (spec.top + 1) // 2
    for object_id, finest in fragments_of(labels, spec).items():
        fragments = finest
        p0, f0 = in_region(truth[object_id], exact)
        before = None
        for lod in range(3):
            if lod:
                fragments = parents_of(fragments, spec, lod)
            p1, f1 = in_region(fragments, spec)
            assert odd_edges(f1) == 0
            if lod:
                for fragment in fragments:
                    vertices, faces = decode(fragment.data)
                    low, high = vertices[faces].min(axis=1), vertices[faces].max(axis=1)
                    assert ((high <= middle) | (low >= middle)).all()
                assert len(f1) <= len(f0) if before is None else len(f1) <= before
            if not rough:
                assert euler(f1) == euler(f0)
            before = len(f1)
            longest = max(np.linalg.norm(p1[f1[:, i]] - p1[f1[:, i - 1]], axis=1).max() for i in range(3))
            slack = 1.0 + longest / 16 + np.linalg.norm(spec.step * 2.0**lod)  # between samples, and rounding
            fine = samples(p1, f1, 16)
            assert cKDTree(fine).query(p0)[0].max() <= spec.error(lod) + slack
            assert cKDTree(samples(p0, f0, 4)).query(fine)[0].max() <= spec.error(lod) + slack


def test_seams_are_simplified() -> None:
    """A slab through eight cells: its seams between them lose their vertices a level up."""
    labels = np.zeros((16, 16, 16), np.uint64)
    labels[5:11, 2:14, 2:14] = 1
    spec = spec_of(labels, max_error=2.0, size=(4.0, 4.0, 4.0), lods=2)
    level = fragments_of(labels, spec)[1]
    count = sum(f.triangles for f in level)
    parents = parents_of(level, spec, 1)
    assert len(parents) == 1
    assert parents[0].triangles < count / 3


def test_complete_parents() -> None:
    spec = MeshSpec(Box.of_shape((20, 8, 8)), (4, 8, 8), (1, 1, 1), lods=2)
    assert (spec.margin, spec.lattice.shape) == (2, (5, 1, 1))
    codes = np.array([0, 4, 32, 36], np.uint64)  # z places 0 to 3: cells -2 to 5
    codes = codes | np.uint64(3)  # y and x places 1: cells 0 and 1
    assert complete(spec, 1, codes, ((-1, -1, -1), (5, 1, 1))).tolist() == [True] * 4
    assert complete(spec, 1, codes, ((-1, -1, -1), (3, 1, 1))).tolist() == [True, True, False, False]
    assert complete(spec, 1, codes, ((2, -1, -1), (5, 1, 1))).tolist() == [False, False, True, True]


def test_levels_need_bits() -> None:
    good: dict[str, Any] = {"roi": Box.of_shape((8, 8, 8)), "cell": (128, 128, 128), "voxel_size": (1, 1, 1), "bits": 10}
    assert MeshSpec(**good, lods=2).error(1) == 0.0
    with pytest.raises(ConfigError, match="63 voxels per axis"):
        MeshSpec(**good, lods=4)
    with pytest.raises(ConfigError, match="1 to 8, got 9"):
        MeshSpec(**good, lods=9)
