"""Ground truth, segmentation and training volumes are compared where they lie, or not at all."""

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from connectomake.cli import main
from connectomake.errors import ConfigError
from connectomake.planning.resolve import prepare_plan, resolve
from connectomake.train_from_config import open_volumes
from connectomake.training.volumes import TrainingVolume

SIZE = [40.0, 8.0, 4.0]
SHAPE = (16, 32, 32)
LABELS = np.asarray(np.ravel_multi_index(np.indices(SHAPE) // 8, (2, 4, 4)) + 1, np.uint64)
CROP = (slice(2, 10), slice(4, 20), slice(8, 28))
AT = [2 * 40.0, 4 * 8.0, 8 * 4.0]


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(name: str, array: Any, offset: Any = None, size: list[Any] | None = SIZE) -> str:
    with h5py.File("v.h5", "a") as file:
        data = file.create_dataset(name, data=array)
        if size is not None:
            data.attrs["resolution"] = size
        if offset is not None:
            data.attrs["offset"] = offset
    return name


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main([*arguments])
    assert ended.value.code == 0
    return capsys.readouterr().out


def scores(capsys: pytest.CaptureFixture[str], *options: str, gt: str = "gt") -> dict[str, Any]:
    return dict(
        json.loads(said(capsys, "evaluate", "v.h5", "v.h5", "--dataset-gt", gt, "--dataset-seg", "seg", "--json", *options))
    )


def refusal(capsys: pytest.CaptureFixture[str], *options: str) -> str:
    with pytest.raises(SystemExit):
        main(["evaluate", "v.h5", "v.h5", "--dataset-gt", "gt", "--dataset-seg", "seg", *options])
    return capsys.readouterr().err


def shifted(labels: Any) -> np.ndarray:
    """Return the same labels with their first voxel at 0, 0, 4."""
    return np.roll(labels, -4, axis=2)


def test_evaluate_where_both_say_where_they_lie(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write("gt", shifted(LABELS), [0, 0, 16])
    write("seg", LABELS, [0, 0, 0])
    found = scores(capsys)
    assert (found["box"]["start"], found["box"]["stop"]) == ([0, 0, 4], [16, 32, 32])
    assert found["where_segmented"]["voi"] == 0


def test_evaluate_where_the_crop_says_where_it_lies(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As in CREMI's files: raw without offset, labels of a part of it with one."""
    write("gt", LABELS[CROP], AT)
    write("seg", LABELS)
    found = scores(capsys)
    assert (found["box"]["start"], found["where_segmented"]["voi"]) == ([2, 4, 8], 0)


def test_evaluate_takes_axes_and_says_where_volumes_lie(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write("gt", LABELS.transpose(2, 1, 0), [16, 0, 0], SIZE[::-1])
    write("seg", LABELS, [0, 0, 16])
    main_said = said(
        capsys, "evaluate", "v.h5", "v.h5", "--dataset-gt", "gt", "--dataset-seg", "seg", "--axes-gt", "xyz", "--json"
    )
    found = json.loads(main_said)
    assert (found["box"]["start"], found["where_segmented"]["voi"]) == ([0, 0, 4], 0)
    assert "--axes-gt 'zy' must name" in refusal(capsys, "--axes-gt", "zy")


@pytest.mark.parametrize("one", ["gt", "seg"])
def test_evaluate_refuses_one_shape_at_two_places(files: Path, capsys: pytest.CaptureFixture[str], one: str) -> None:
    for name in ("gt", "seg"):
        write(name, LABELS, [0, 0, 16] if name == one else None)
    error = refusal(capsys)
    assert "the same shape, and only one says where it lies" in error
    other = "seg" if one == "gt" else "gt"
    assert f"--offset-{other}" in error
    assert scores(capsys, f"--offset-{other}", "0", "0", "4")["where_segmented"]["voi"] == 0
    assert scores(capsys, f"--offset-{one}", "0", "0", "0")["where_segmented"]["voi"] == 0


def test_evaluate_where_nobody_says_where_they_lie(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write("gt", LABELS)
    write("seg", LABELS)
    assert scores(capsys)["where_segmented"]["voi"] == 0
    write("gt2", LABELS[CROP])
    with pytest.raises(SystemExit):
        main(["evaluate", "v.h5", "v.h5", "--dataset-gt", "gt2", "--dataset-seg", "seg"])
    assert "--offset-gt and --offset-seg" in capsys.readouterr().err
    placed = scores(capsys, "--offset-gt", "2", "4", "8", "--offset-seg", "0", "0", "0", gt="gt2")
    assert placed["where_segmented"]["voi"] == 0


def test_evaluate_refuses_an_offset_that_is_no_whole_number_of_voxels(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write("gt", LABELS, [0, 0, 6])
    write("seg", LABELS)
    assert "not a whole number of voxels" in refusal(capsys)
    assert scores(capsys, "--offset-gt", "0", "0", "0")["where_segmented"]["voi"] == 0


def config(**evaluation: Any) -> dict[str, Any]:
    return {
        "outdir": "out", "source": {"path": "v.h5", "dataset": "raw"}, "block": [16, 32, 32], "chunk": [8, 16, 16],
        "meshes": {"enabled": False}, "evaluation": {"ground_truth": "v.h5", "dataset": "gt", **evaluation},
    }  # fmt: skip


RAW = np.zeros(SHAPE, np.uint8)
# name: (image's offset, ground truth, its offset, evaluation, where region and ground truth begin, or the error)
TRUTHS = {
    "both named": ([0, 0, 80], LABELS, [0, 0, 96], {}, (0, 0, 20), (0, 0, 24)),
    "both named alike": ([0, 0, 80], LABELS, [0, 0, 80], {}, (0, 0, 20), (0, 0, 20)),
    "a crop of CREMI's": (None, LABELS[CROP], AT, {}, (0, 0, 0), (2, 4, 8)),
    "none named": (None, LABELS, None, {}, (0, 0, 0), (0, 0, 0)),
    "explicit": (None, LABELS, [0, 0, 16], {"offset": [0, 0, 3]}, (0, 0, 0), (0, 0, 3)),
    "explicit in a named image": ([0, 0, 80], LABELS, None, {"offset": [0, 0, 24]}, (0, 0, 20), (0, 0, 24)),
    "one named": (None, LABELS, [0, 0, 16], {}, None, "the same shape, and only one says where it lies … source.offset"),
    "the image named": ([0, 0, 16], LABELS, None, {}, None, "the same shape … evaluation.offset"),
    "the image named, a crop": ([0, 0, 16], LABELS[CROP], None, {}, None, "only one says where it lies … evaluation.offset"),
    "a crop not named": (None, LABELS[CROP], None, {}, None, "say where the first voxel lies … evaluation.offset"),
    "no whole number": (None, LABELS, [0, 0, 6], {}, None, "not a whole number of voxels … evaluation.offset"),
}  # fmt: skip


@pytest.mark.parametrize("name", TRUTHS)
def test_a_runs_ground_truth(files: Path, name: str) -> None:
    at, labels, offset, section, region, start = TRUTHS[name]
    write("raw", RAW, at)
    write("gt", labels, offset)
    if region is None:
        with pytest.raises(ConfigError) as caught:
            resolve(config(**section))
        assert isinstance(start, str)
        assert all(part.strip() in str(caught.value) for part in start.split("…")), caught.value
        return
    plan = resolve(config(**section))
    assert plan.roi.start == region
    assert plan.truth is not None
    assert (plan.truth.bounds.start, plan.truth.bounds.shape) == (start, labels.shape)


def test_what_is_odd_is_said_by_plan_and_run(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write("raw", RAW, [0, 0, 80], [0.04, 0.008, 0.004])
    write("gt", LABELS, None, None)
    values = config(offset=[0, 0, 20000])
    warning = prepare_plan(values)
    assert warning is not None
    assert "is it in µm?" in warning
    assert "the region begins at voxel [0, 0, 20000]" in warning
    Path("c.yaml").write_text(json.dumps(values))
    assert "is it in µm?" in " ".join(said(capsys, "plan", "c.yaml").split())


def volume(image: dict[str, Any] | None = None, labels: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    arrays = {
        "image": {"path": "v.h5", "dataset": "raw", **(image or {})},
        "labels": {"path": "v.h5", "dataset": "gt", **(labels or {})},
    }
    from connectomake.config import normalise
    from connectomake.config.load import TRAINING

    values = {"outdir": "o", "volumes": [{**arrays, **more}], "patch": [8, 16, 16], "steps": 1}
    return normalise(values, TRAINING)


def check_fit(found: TrainingVolume) -> None:
    """Check that each object has a grey of its own, as in the image that they were made with."""
    pairs = np.unique(np.stack([found.image.ravel(), found.labels.ravel()]), axis=1)
    assert pairs.shape[1] == len(np.unique(found.image)) == len(np.unique(found.labels)) > 1


def test_training_volumes_meet_where_they_lie(files: Path) -> None:
    raw = (LABELS % 200).astype(np.uint8)
    write("raw", raw)
    write("gt", LABELS[CROP], AT)
    (found,) = open_volumes(volume())
    assert found.image.shape == found.labels.shape == LABELS[CROP].shape
    check_fit(found)
    (part,) = open_volumes(volume(start=[2, 4, 8], stop=[10, 12, 16]))
    check_fit(part)
    write("turned", LABELS.transpose(2, 1, 0), None, SIZE[::-1])
    (found,) = open_volumes(volume(labels={"dataset": "turned", "axes": "xyz"}))
    check_fit(found)
    write("moved", LABELS, [0, 0, 16])
    with pytest.raises(ConfigError, match=r"same shape, and only one says .*volumes\[0\]\.image\.offset"):
        open_volumes(volume(labels={"dataset": "moved"}))
    (found,) = open_volumes(volume(labels={"dataset": "moved", "offset": [0, 0, 0]}))
    check_fit(found)
    with pytest.raises(ConfigError, match=r"volumes\[0\]\.labels\.axes"):
        open_volumes(volume(labels={"axes": "xy"}))


def test_labels_of_another_voxel_size_are_no_labels_of_the_image(files: Path) -> None:
    write("raw", RAW)
    write("gt", LABELS, None, [40.0, 16.0, 8.0])
    with pytest.raises(ConfigError, match="voxels of"):
        open_volumes(volume())
