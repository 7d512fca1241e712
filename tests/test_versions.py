"""Every stage has a golden hash, by which a changed output is seen; those of most stages are in tests/test_planning.py."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from connectomake.agglomeration import Rule, agglomerate_graph, region_graph, segments_over
from connectomake.components import WatershedRule, watershed_block
from connectomake.evaluation import curve_of, curve_rows, overlap_of, thresholds_of
from connectomake.evaluation.curve import csv_text
from connectomake.geometry import Box
from connectomake.layers import LayerSpec, read_box, read_tables, write_block
from connectomake.pipeline.registry import Stages
from connectomake.pyramid.block import write_parent
from connectomake.pyramid.scales import scales_of
from connectomake.pyramid.thumbnail import coloured, shaded
from connectomake.segment_table import sorted_table, write_table
from connectomake.sources.labels import open_labels
from tests.flow import smooth_noise
from tests.test_planning import GOLDEN, PARTS, digest, make_plan

SHAPE = (12, 20, 28)
VERSIONS = {stage.name: stage.version for stage in Stages(make_plan()).every.values() if stage.listed}
ROI = Box((3, 5, 1), (15, 25, 29))
FURTHER = {
    ("ground_truth", 1): "331df0ca1cd30515",
    ("curve", 1): "d7a3f462bece3328",
    ("segment_table", 1): "102227c64f71d636",
    ("pyramid_image", 2): "b7963cda797d579c",
    ("pyramid_affinity", 2): "b42b55dffa2b52f5",
    ("pyramid_ground_truth", 1): "62e1db806e02c472",
}


def ground_truth(folder: Path) -> Any:
    """What is read of labels of any type, and the bytes of their shard."""
    truth = (smooth_noise(SHAPE) // 32).astype(np.int16)
    with h5py.File(folder / "truth.h5", "w") as file:
        file["labels"] = truth
    labels = open_labels(str(folder / "truth.h5"), "labels", offset=ROI.start).read(ROI)
    spec = LayerSpec("ground_truth", "uint64", 1, ROI, (16, 32, 32), (8, 16, 16), (20.0, 10.0, 10.0), "segmentation",
                     "compressed_segmentation")  # fmt: skip
    write_block(folder / "0.shard", spec, 0, labels[None])
    return labels, np.frombuffer((folder / "0.shard").read_bytes(), np.uint8)


def curve(folder: Path) -> Any:
    """The table of scores over thresholds; the picture shows the same numbers."""
    image = smooth_noise(SHAPE)
    edges, roi = np.stack([image, image[::-1], image[:, ::-1]]), Box.of_shape(SHAPE)
    marked = np.ascontiguousarray(watershed_block(edges, (None, None, None), WatershedRule(0.3, 0.9), roi, roi).labels)
    rule = Rule(0.3, "uint8", t_low=0.3, min_supervoxel=5)
    _, merges = agglomerate_graph(region_graph(marked, edges), np.bincount(marked.ravel()), rule)
    truth, basins = (image // 64).astype(np.uint64), marked.astype(np.uint64)
    overlap = overlap_of(lambda box: truth[box.slices()], lambda box: basins[box.slices()], [roi], SHAPE, roi)
    points = curve_of(overlap.pairs, segments_over(merges, thresholds_of(0.3, 0.5), "uint8"))
    assert len({p.where_segmented.voi for p in points}) > 1
    return (np.frombuffer(csv_text(curve_rows(points)).encode(), np.uint8),)


def segment_table(folder: Path, noise: Any) -> Any:
    """The columns of a sorted table, through its file."""
    segment = noise.ravel().astype(np.uint64) + np.uint64(1)
    supervoxel = np.arange(1, noise.size + 1, dtype=np.uint64)[::-1]
    for pairs in (False, True):
        write_table(folder / "table.h5", *sorted_table("t", supervoxel, segment, pairs=pairs))
        yield from read_tables(folder / "table.h5").values()


def pyramid(folder: Any, name: Any, voxels: Any, how: Any, *thumbnails: Any) -> Any:
    """A coarser scale of a layer, through its files, and a section as it is drawn."""
    kind = "segmentation" if how == "mode" else "image"
    encoding = "compressed_segmentation" if how == "mode" else "raw"
    fine = LayerSpec(name, str(voxels.dtype), len(voxels), ROI, (16, 32, 32), (8, 16, 16), (20.0, 10.0, 10.0), kind, encoding)
    write_block(folder / "fine.shard", fine, 0, voxels)
    coarse = scales_of(fine, 1)[1]
    write_parent(folder / "coarse.shard", fine, coarse, 0, {0: folder / "fine.shard"}, how, {})
    made = read_box({0: folder / "coarse.shard"}, coarse, coarse.roi)
    return made, *(draw(made[:, 0]) for draw in thumbnails)


def further_outputs(folder: Any) -> dict[str, Any]:
    noise = smooth_noise(SHAPE)
    channels = np.stack([noise, noise[::-1], noise[:, ::-1]])
    floats = channels.astype(np.float32) / 255
    truth = (noise // 32).astype(np.uint64)[None]
    beyond = 4 * floats[:1] - 1
    return {
        "ground_truth": digest(*ground_truth(folder)),
        "curve": digest(*curve(folder)),
        "segment_table": digest(*segment_table(folder, noise)),
        "pyramid_image": digest(
            *pyramid(folder, "image", channels[:1], "mean", shaded),
            *pyramid(folder, "image", beyond, "mean", lambda section: shaded(section, stretch=True)),
        ),
        "pyramid_affinity": digest(
            *pyramid(folder, "affinity", channels, "mean", shaded), *pyramid(folder, "affinity", floats, "mean", shaded)
        ),
        "pyramid_ground_truth": digest(*pyramid(folder, "ground_truth", truth, "mode", lambda section: coloured(section[0]))),
    }


@pytest.mark.slow
def test_a_changed_output_needs_a_raised_version(tmp_path: Path) -> None:
    """If this fails because a stage's output is meant to change: raise its version and note the new hash here."""
    assert {(name, VERSIONS[name]): value for name, value in further_outputs(tmp_path).items()} == FURTHER


def test_every_stage_has_a_golden_hash() -> None:
    assert {PARTS.get(stage, stage) for stage, _ in GOLDEN | FURTHER} == set(VERSIONS)


@pytest.mark.slow
def test_the_hashes_see_a_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few voxels of the input are others, and so is each hash."""
    before, noise = further_outputs(tmp_path), smooth_noise(SHAPE)
    noise[5:8, 5:9, 5:9] ^= 255
    monkeypatch.setattr("tests.test_versions.smooth_noise", lambda shape: noise)
    assert not set(further_outputs(tmp_path).items()) & set(before.items())
