"""Simplification: locked vertices, the bound on the error, topology, and what is stored."""

from collections.abc import Iterator
from typing import Any

import DracoPy
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from connectomake.geometry import Box
from connectomake.meshes import MeshSpec, marching_cubes, stored_mesh
from connectomake.meshes.cells import encode
from tests.test_meshes import blobs, triangle_set


def samples(vertices: np.ndarray, faces: np.ndarray, n: Any) -> Any:
    i, j = np.meshgrid(np.arange(n + 1), np.arange(n + 1))
    inside = i + j <= n
    weights = np.stack([i[inside], j[inside], n - i[inside] - j[inside]], axis=1) / n
    return np.einsum("sk,fkd->fsd", weights, vertices[faces]).reshape(-1, 3)


def euler(faces: np.ndarray) -> Any:
    edges = np.unique(np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1), axis=0)
    return len(np.unique(faces)) - len(edges) + len(faces)


def smooth(seed: int, size: int = 20) -> np.ndarray:
    rng = np.random.default_rng(seed)
    noise = rng.random((size,) * 3)
    for axis in range(3):
        for _ in range(3):
            noise = (np.roll(noise, 1, axis) + noise + np.roll(noise, -1, axis)) / 3
    return (noise > np.median(noise)).astype(np.uint64) * np.uint64(5)


def one(
    labels: np.ndarray,
    bits: int = 16,
    max_error: float = 4.0,
    size: tuple[float, float, float] = (9.0, 4.0, 4.0),
    factor: int = 1000,
) -> Iterator[tuple[MeshSpec, tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]]:
    """Mesh an array as a cell; return spec, the stored mesh and the simplified one."""
    cell = tuple(s - 1 for s in labels.shape)
    spec = MeshSpec(Box.of_shape(cell), cell, size, bits, factor, max_error)
    plain = MeshSpec(Box.of_shape(cell), cell, size, bits)
    for _, vertices, faces in marching_cubes(labels):
        yield spec, stored_mesh(vertices, faces, plain), stored_mesh(vertices, faces, spec)


@pytest.mark.slow
@settings(max_examples=15)
@given(
    seed=st.integers(0, 999), rough=st.booleans(), bits=st.sampled_from([10, 16]), max_error=st.sampled_from([1.0, 4.0, 9.0])
)
def test_error_topology_and_locked_vertices(seed: int, rough: Any, bits: int, max_error: float) -> None:
    labels = blobs((14, 15, 16), seed) if rough else smooth(seed)
    for spec, (v0, f0), (v1, f1) in one(labels, bits, max_error):
        assert len(f1) <= len(f0)
        assert euler(f1) == euler(f0)
        edge0, edge1 = (v[((v == 0) | (v == spec.top)).any(axis=1)] for v in (v0, v1))
        assert set(map(tuple, edge0.tolist())) <= set(map(tuple, edge1.tolist()))
        assert (v1 >= 0).all()
        assert (v1 <= spec.top).all()
        p0, p1 = v0 * spec.step, v1 * spec.step
        normals = np.cross(p1[f1[:, 1]] - p1[f1[:, 0]], p1[f1[:, 2]] - p1[f1[:, 0]])
        assert (np.abs(normals).max(axis=1) > 0).all()
        fine = samples(p1, f1, 16)
        slack = 1.0  # the distance between samples
        assert cKDTree(fine).query(p0)[0].max() <= max_error + slack
        assert cKDTree(samples(p0, f0, 4)).query(fine)[0].max() <= max_error + slack


def test_flat_faces_need_few_triangles() -> None:
    labels = np.zeros((20, 20, 20), np.uint64)
    labels[3:17, 3:17, 3:17] = 1
    ((_, (_, f0), (_, f1)),) = one(labels, max_error=1.0, size=(4.0, 4.0, 4.0))
    assert len(f0) > 2000
    assert len(f1) <= 60


def test_factor_stops_early() -> None:
    ((_, (_, f0), (_, f1)),) = one(smooth(1), factor=2, max_error=20.0)
    assert len(f0) / 2 - 2 <= len(f1) <= len(f0) / 2


@pytest.mark.parametrize("bits", [10, 16])
def test_draco_keeps_every_integer(bits: int) -> None:
    """Stored as integers: no quantisation, which would lose 2 of 16 bits."""
    for _, (vertices, faces), _ in one(blobs((12, 12, 12), 3), bits):
        decoded = DracoPy.decode(encode(vertices, faces))
        points = decoded.points.astype(np.int64)
        assert triangle_set(points[:, ::-1], decoded.faces[:, ::-1].astype(np.int64)) == triangle_set(vertices, faces)
