"""The phantom: the same from the same seed, labels that are true, membranes that separate, looks that any voxel size has."""

import hashlib
from pathlib import Path
from typing import Any

import cc3d
import h5py
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from connectomake.errors import ConfigError
from connectomake.phantom import make_phantom, write_phantom
from connectomake.phantom.centrelines import Tubes, grow_tubes
from connectomake.phantom.noise import Warp, lattice, make_warp, unwarped, voxel_noise, warped
from connectomake.phantom.partition import partition
from connectomake.sources import open_source

pytestmark = pytest.mark.slow  # what makes it takes 15 seconds to compile
SIDE = 64


@pytest.fixture(scope="module")
def phantom() -> tuple[np.ndarray, np.ndarray]:
    return make_phantom((SIDE, SIDE, SIDE), seed=3)


def test_golden() -> None:
    """The demo's volume is part of what users compare: raise VERSION when this changes."""
    raw, labels = make_phantom((24, 32, 40), seed=5)
    assert hashlib.sha256(labels.tobytes()).hexdigest()[:16] == "1e765387d920294f"
    assert raw.mean() == pytest.approx(141.925, abs=0.01)


def test_same_again_and_other_seeds(phantom: tuple[np.ndarray, np.ndarray]) -> None:
    raw, labels = make_phantom((SIDE, SIDE, SIDE), seed=3)
    np.testing.assert_array_equal(raw, phantom[0])
    np.testing.assert_array_equal(labels, phantom[1])
    assert (make_phantom((SIDE, SIDE, SIDE), seed=4)[1] != labels).mean() > 0.5


def test_labels_are_connected_and_numbered(phantom: tuple[np.ndarray, np.ndarray]) -> None:
    labels = phantom[1]
    pieces = cc3d.connected_components(labels, connectivity=6)
    assert pieces.max() == labels.max() >= 10
    values, first = np.unique(labels[labels > 0], return_index=True)
    assert values.tolist() == list(range(1, labels.max() + 1))
    assert (np.diff(first) > 0).all()
    assert 0.12 < (labels == 0).mean() < 0.4


def test_neurites_run_across(phantom: tuple[np.ndarray, np.ndarray]) -> None:
    """Blocks of a demo are crossed: many neurites reach from one face to another."""
    labels = phantom[1]
    faces = [set(np.unique(np.take(labels, end, axis))) - {0} for axis in range(3) for end in (0, -1)]
    crossing = {v for face in faces for v in face if sum(v in other for other in faces) >= 2}
    assert len(crossing) >= 5


def test_membranes_are_dark_and_separate(phantom: tuple[np.ndarray, np.ndarray]) -> None:
    raw, labels = phantom
    assert raw.dtype == np.uint8
    assert raw[labels > 0].mean() - raw[labels == 0].mean() > 30
    grey = raw.astype(np.float32)
    inside = gaussian_filter(grey, 1) - gaussian_filter(grey, 4) > 4
    sizes = np.sort(np.bincount(cc3d.connected_components(inside, connectivity=6).ravel())[1:])[::-1]
    assert (sizes > 100).sum() >= 10
    assert sizes[0] < 0.4 * sizes.sum()


def brute_force(tubes: Tubes, shape: tuple[int, int, int], size: np.ndarray, warp: Warp) -> np.ndarray:
    """Distance of every voxel to the nearest wall of every owner: (voxels, owners)."""
    grid = np.stack(np.meshgrid(*(np.arange(n) * s for n, s in zip(shape, size, strict=True)), indexing="ij"), -1)
    points = np.array([warped(*p, warp.coarse, warp.fine) for p in grid.reshape(-1, 3)])
    out = np.full((len(points), tubes.owner.max() + 1), np.inf)
    for (a, b), (r, q), owner in zip(tubes.ends, tubes.radii, tubes.owner, strict=True):
        t = np.clip((points - a) @ (b - a) / ((b - a) @ (b - a)), 0, 1)[:, None]
        distance = np.linalg.norm(points - a - t * (b - a), axis=1) - (r + t[:, 0] * (q - r))
        out[:, owner] = np.minimum(out[:, owner], distance)
    return out


@pytest.mark.parametrize("size", [(16.0, 16.0, 16.0), (40.0, 8.0, 12.0)])
def test_partition_is_that_of_all_tubes(size: tuple[float, float, float]) -> None:
    shape, rng = (14, 25, 19), np.random.default_rng(2)
    extent = np.array(shape) * size
    tubes, warp = grow_tubes(tuple(extent), rng), make_warp(extent, rng)
    owner, wall = partition(tubes, shape, size, warp)
    distances = brute_force(tubes, shape, np.array(size), warp)
    nearest, second = np.sort(distances, axis=1)[:, :2].T
    clear = second - nearest > 1e-6
    assert clear.mean() > 0.99
    np.testing.assert_array_equal(owner.ravel()[clear], distances.argmin(1)[clear])
    slope = (second - nearest) / np.maximum(wall.ravel(), 1e-9)
    assert slope[clear].min() > 0.349
    assert slope[clear].max() < 2.001


def test_unwarped_inverts() -> None:
    extent, rng = np.array([800.0, 900.0, 700.0]), np.random.default_rng(0)
    warp = make_warp(extent, rng)
    places = 200 + rng.random((50, 3)) * (extent - 400)
    back = unwarped(places, warp.coarse, warp.fine, extent)
    again = np.array([warped(*p, warp.coarse, warp.fine) for p in back])
    np.testing.assert_allclose(again, places, atol=8)


@pytest.mark.parametrize("passes", [0, 1, 2])
def test_noise_has_deviation_one(passes: int) -> None:
    noise = voxel_noise((40, 40, 40), passes, np.random.default_rng(0))
    assert noise.dtype == np.float32
    assert noise[5:-5, 5:-5, 5:-5].std() == pytest.approx(1, abs=0.06)


def test_lattice_covers() -> None:
    assert lattice(np.array([100.0, 200.0, 50.0]), 100.0, np.random.default_rng(0)).shape == (3, 3, 4, 3)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 30, 40), (5, 3, 2)])
def test_small_shapes(shape: tuple[int, int, int]) -> None:
    raw, labels = make_phantom(shape)
    assert raw.shape == labels.shape == shape


def test_other_voxel_sizes() -> None:
    """The tissue is the same in nm: coarser sections of the same box hold as much membrane."""
    fine = make_phantom((40, 40, 40), 1, (16, 16, 16))[1]
    coarse = make_phantom((16, 80, 80), 1, (40, 8, 8))[1]
    assert (coarse == 0).mean() == pytest.approx((fine == 0).mean(), abs=0.03)


def test_file(tmp_path: Path) -> None:
    for name in ("a.h5", "b.h5"):
        write_phantom(tmp_path / name, (20, 24, 28), 7, (30, 8, 8))
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.h5", "b.h5"]
    raw, labels = make_phantom((20, 24, 28), 7, (30, 8, 8))
    for dataset, array in (("raw", raw), ("labels", labels)):
        source = open_source(str(tmp_path / "a.h5"), dataset)
        assert source.voxel_size == (30, 8, 8)
        np.testing.assert_array_equal(source.read(source.bounds)[0], array)
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["raw"].attrs["resolution"].tolist() == [30, 8, 8]


@pytest.mark.parametrize(("shape", "size"), [
    ((0, 4, 4), (8, 8, 8)), ((4, 4), (8, 8, 8)), ((4.5, 4, 4), (8, 8, 8)), ((4, 4, 4), (8, 8)), ((4, 4, 4), (8, 0, 8)),
    ((4, 4, 4), (8, float("nan"), 8)),
])  # fmt: skip
def test_errors(shape: tuple[Any, ...], size: tuple[Any, ...], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="three positive"):
        write_phantom(tmp_path / "p.h5", shape, 0, size)
    assert list(tmp_path.iterdir()) == []
