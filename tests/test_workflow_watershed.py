"""The real workflow on affinities: the same basins and neurons as the whole volume in memory, for any blocks."""

import copy

import h5py
import numpy as np
import pytest

from connectomake.agglomeration import Rule, agglomerate_graph, read_merges, region_graph
from connectomake.agglomeration.files import canonical
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


def in_memory(affinity, rule):
    """Ids of the segments of a whole volume, and its merges by supervoxel ids."""
    labels = watershed(affinity, 0.1, 0.98)
    segments, merges = agglomerate_graph(region_graph(labels, affinity), np.bincount(labels.ravel()), rule)
    merges = canonical(merges)
    keys = np.unique(np.append(ids_of(labels), np.uint64(0)))
    rows = zip(merges.kind.tolist(), keys[merges.a].tolist(), keys[merges.b].tolist(), merges.index.tolist(), strict=True)
    return ids_of(segments[labels], 10), set(rows)


LAYOUTS = {
    "one": {"block": [64, 64, 64], "chunk": [16, 16, 16]},
    "many": {"block": [16, 16, 16], "chunk": [16, 16, 16], "merge__fan_out": 8},
    "offset": {"source__start": [3, 5, 7], "source__stop": [34, 40, 41], "merge__fan_out": 2},
}


def test_segments_of_any_blocks(flow):
    """Small basins joined, agglomerated, small segments absorbed: as in memory; the history of merges is the same file."""
    with h5py.File(flow.folder / "affinity.h5") as file:
        affinity = file["affinity"][:]
    rule = Rule(0.45, str(affinity.dtype), t_low=0.1, min_supervoxel=12, absorb=40)
    histories = {}
    for name, values in LAYOUTS.items():
        joined = {"agglomeration": {"threshold": 0.45, "absorb": 40}, "segmentation__min_supervoxel": 12}
        config = flow.with_values(outdir=f"{name}-joined", meshes__enabled=False, **joined, **values)
        flow.write(config)
        flow.run()
        roi = flow.plan(config).roi
        want, merges = in_memory(np.ascontiguousarray(affinity[(slice(None), *roi.slices())]), rule)
        assert len(np.unique(want)) > 20
        np.testing.assert_array_equal(flow.array("segmentation", config)[0], want)
        found = read_merges(flow.folder / flow.targets(config).history)
        rows = zip(found.kind.tolist(), found.a.tolist(), found.b.tolist(), found.index.tolist(), strict=True)
        assert set(rows) == merges
        histories[name] = [getattr(found, column).tobytes() for column in ("kind", "a", "b", "total", "count", "index")]
    assert histories["one"] == histories["many"]


def test_another_threshold_remakes_agglomeration_and_what_follows(flow):
    joined = {"agglomeration": {"threshold": 0.45, "absorb": 40}, "segmentation__min_supervoxel": 12}
    config = flow.with_values(outdir="one-joined", meshes__enabled=False, **joined, **LAYOUTS["one"])
    assert flow.would_run(config) == {}
    below = {"agglomerate", "assign", "history", "segmentation", "measures", "objects", "pyramid", "thumbnail"}
    for change in ({"threshold": 0.5}, {"absorb": 41}, {"large": {"voxels": 50, "threshold": 0.6}}):
        other = copy.deepcopy(config)
        other["agglomeration"].update(change)
        assert set(flow.would_run(other)) == below
    other = copy.deepcopy(config)
    other["segmentation"]["t_low"] = 0.11
    assert set(flow.would_run(other)) == {"components", "merge", "lookup", *below}
