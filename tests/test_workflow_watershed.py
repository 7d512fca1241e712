"""The real workflow on affinities: the same basins and neurons as the whole volume in memory, for any blocks."""

import copy

import h5py
import numpy as np
import pytest

from connectomake.components import watershed
from tests.flow import CONFIG, Flow

pytestmark = pytest.mark.slow
SHAPE = (36, 40, 44)
WATERSHED = {
    **{key: copy.deepcopy(CONFIG[key]) for key in ("outdir", "block", "chunk", "meshes", "keep")},
    "source": {"path": "affinity.h5", "dataset": "affinity", "voxel_size": [20, 10, 10]},
    "segmentation": {"method": "watershed", "t_low": 0.1, "t_high": 0.98, "min_size": 10},
}


def smooth_affinity(shape=SHAPE, seed=0, dtype="uint8"):
    """Affinities of blobs of some voxels; uint8, so that ties abound."""
    from scipy.ndimage import gaussian_filter

    noise = np.random.default_rng(seed).random(shape)
    cells = gaussian_filter(noise, 2)
    cells = (cells - cells.min()) / np.ptp(cells)
    inside = np.clip(3 * np.abs(cells - 0.5), 0, 1)
    affinity = np.stack([np.minimum(inside, np.roll(inside, 1, axis)) for axis in range(3)])
    return np.floor(255 * affinity + 0.5).astype(np.uint8) if dtype == "uint8" else affinity.astype(np.float32)


@pytest.fixture(scope="module", params=["uint8", "float32"])
def flow(request, tmp_path_factory):
    """A folder with affinities as source."""
    flow = Flow(tmp_path_factory.mktemp(request.param) / "run", SHAPE, copy.deepcopy(WATERSHED))
    flow.folder.mkdir(parents=True)
    with h5py.File(flow.folder / "affinity.h5", "w") as file:
        file["affinity"] = smooth_affinity(dtype=request.param)
    return flow


def ids_of(labels, min_size=0):
    """Turn labels into 1 + raster index of the first voxel; 0 below `min_size`."""
    values, first, count = np.unique(labels, return_index=True, return_counts=True)
    ids = np.where((values == 0) | (count < min_size), 0, first + 1).astype(np.uint64)
    return ids[np.searchsorted(values, labels)]


def test_basins_of_any_blocks(flow):
    with h5py.File(flow.folder / "affinity.h5") as file:
        affinity = file["affinity"][:]
    for name, values in {
        "one": {"block": [64, 64, 64], "chunk": [16, 16, 16]},
        "some": {},
        "flat": {"block": [16, 32, 16], "chunk": [16, 32, 16], "merge__fan_out": 2},
        "offset": {"source__start": [3, 5, 7], "source__stop": [34, 40, 41], "merge__fan_out": 4},
    }.items():
        config = flow.with_values(outdir=name, meshes__enabled=False, **values)
        flow.write(config)
        flow.run()
        roi = flow.plan(config).roi
        cut = np.ascontiguousarray(affinity[(slice(None), *roi.slices())])
        want = ids_of(watershed(cut, 0.1, 0.98), 10)
        assert len(np.unique(want)) > 100
        np.testing.assert_array_equal(flow.array("segmentation", config)[0], want)
