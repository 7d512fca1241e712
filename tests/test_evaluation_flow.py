"""Evaluation in the workflow: the same bytes for any blocks, equal to the whole volume's, rerun only where it must."""

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from connectomake.cli import main
from connectomake.evaluation import overlap_of, result_of
from connectomake.geometry import Box
from connectomake.layers import LayerSpec, write_block
from tests.flow import CONFIG, Flow, smooth_noise

pytestmark = pytest.mark.slow
BELOW = {"contingency", "evaluation"}
VALUES: dict[str, Any] = {
    "pyramid__enabled": True,
    "inference": None,
    "meshes__enabled": False,
    "pyramid__scales": 2,
    "segmentation__threshold": 0.6,
    "segmentation__min_size": 10,
    "keep": ["image"],
}
TRUTH: dict[str, Any] = {"ground_truth": "truth.h5", "dataset": "labels", "worst": 7}


def true_labels(shape: tuple[int, int, int]) -> np.ndarray:
    """Unlabelled spots in boxes of 10 voxels a side, each another object."""
    boxes = np.ravel_multi_index(np.indices(shape) // 10, (9, 9, 9)) + 1
    return np.where(smooth_noise(shape, 3) > 90, boxes, 0).astype(np.uint32)


def with_truth(folder: Path, evaluation: dict[str, Any], **values: Any) -> Flow:
    flow = Flow(folder, (24, 40, 44)).make()
    with h5py.File(folder / "truth.h5", "w") as file:
        file["labels"] = true_labels(flow.shape)
        file["crop"] = true_labels(flow.shape)[4:, 3:30, :41]
    flow.config = flow.with_values(**VALUES, evaluation=evaluation, **values)
    flow.write()
    return flow


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Flow:
    flow = with_truth(tmp_path_factory.mktemp("evaluated") / "run", TRUTH)
    flow.run()
    return flow


def expected(flow: Flow, config: dict[str, Any], box: Box, worst: int = 7) -> dict[str, Any]:
    """What the library finds in the whole volume at once."""
    plan, gt = flow.plan(config), true_labels(flow.shape).astype(np.uint64)
    seg = flow.array("segmentation", config)[0]
    reads = (lambda b: np.ascontiguousarray(gt[b.slices()]), lambda b: np.ascontiguousarray(seg[b.slices(plan.roi.start)]))
    return dict(json.loads(json.dumps(result_of(overlap_of(*reads, [box], None, box), box, worst))))


def scores(flow: Flow, config: Any = None) -> dict[str, Any]:
    return dict(json.loads((flow.folder / flow.targets(config).evaluation()["scores"]).read_text()))


def test_scores_are_those_of_the_whole_volume(done: Flow) -> None:
    found = scores(done)
    assert found == expected(done, done.config, Box.of_shape(done.shape))
    assert len(found["worst_splits"]) == len(found["worst_mergers"]) == 7
    assert 0 < found["coverage"] < 1


@pytest.mark.parametrize("values", [
    {"block": [16, 64, 32], "chunk": [16, 64, 32], "merge__fan_out": 2},
    {"block": [64, 64, 64], "chunk": [16, 16, 16]},
])  # fmt: skip
def test_blocks_do_not_matter(done: Flow, tmp_path: Path, values: dict[str, Any]) -> None:
    flow = with_truth(tmp_path / "run", TRUTH, **values)
    flow.run()
    assert flow.digests() == done.digests()


def test_a_placed_crop_is_evaluated_where_it_meets_region_and_box(tmp_path: Path) -> None:
    section = {**TRUTH, "dataset": "crop", "offset": [4, 3, 0], "start": [6, 0, 2], "stop": [99, 99, 30]}
    flow = with_truth(tmp_path / "run", section, source__start=[3, 5, 7], source__stop=[22, 40, 41])
    flow.run()
    box = Box((6, 5, 7), (22, 30, 30))
    assert flow.plan().evaluation_box == box
    assert scores(flow) == expected(flow, flow.config, box)
    assert "Nothing to be done" in flow.run("-n")


def test_a_precomputed_truth_is_read_in_place(
    done: Flow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    flow = with_truth(tmp_path / "run", {"ground_truth": "pre", "worst": 7})
    spec = LayerSpec(
        "pre", "uint32", 1, Box.of_shape(flow.shape), (64, 64, 64), (64, 64, 64), (20.0, 10.0, 10.0), "segmentation"
    )
    (flow.folder / "pre").mkdir()
    (flow.folder / "pre/info").write_text(json.dumps(spec.info()))
    write_block(flow.folder / "pre" / spec.shard_name(0), spec, 0, true_labels(flow.shape))
    flow.run()
    assert "ground_truth" not in flow.plan().layers
    assert flow.digests() == {k: v for k, v in done.digests().items() if not k.startswith("ground_truth")}
    monkeypatch.chdir(flow.folder)
    with pytest.raises(SystemExit):
        main(["evaluate", "pre", "out/segmentation", "--json", "--worst", "7"])
    assert json.loads(capsys.readouterr().out) == scores(flow)


RERUNS = [
    ({"evaluation__worst": 8}, {"evaluation"}),
    ({"evaluation__ignore": [2]}, {"evaluation"}),
    ({"evaluation__start": [1, 0, 0]}, {"ground_truth", "info", "pyramid", "thumbnail", *BELOW}),
    ({"evaluation": None}, set()),
    ({"pyramid__scales": 9}, {"info", "pyramid"}),
    ({"pyramid__labels": "sparse"}, {"pyramid", "thumbnail"}),
    ({"pyramid__enabled": False}, {"info"}),
    ({"objects__properties_limit": 5}, {"objects"}),
    (
        {"segmentation__min_size": 11},
        {"merge", "lookup", "segmentation", "measures", "objects", "pyramid", "thumbnail", *BELOW},
    ),
]


@pytest.mark.parametrize(("values", "rules"), RERUNS, ids=[str(v) for v, _ in RERUNS])
def test_a_changed_key_reruns_what_depends_on_it(done: Flow, values: dict[str, Any], rules: set[str]) -> None:
    assert set(done.would_run(done.with_values(**values))) == rules


def test_an_empty_truth_is_one_sentence(tmp_path: Path) -> None:
    flow = with_truth(tmp_path / "run", TRUTH)
    with h5py.File(flow.folder / "truth.h5", "r+") as file:
        file["labels"][:] = 0
    code, text = flow.run(check=False)
    assert code == 1
    assert "no labelled voxel in z 0:24, y 0:40, x 0:44" in (flow.folder / "out/logs/evaluation.log").read_text()
    assert not (flow.folder / "out/evaluation/scores.json").exists()
    assert CONFIG["outdir"] == "out"
    assert "Traceback" not in text
