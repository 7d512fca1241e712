"""Evaluation: equal to scikit-image's metrics, the same bytes for every cut, and places where the faults are."""

import json
import math
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from skimage.metrics import adapted_rand_error, variation_of_information

from connectomake.cli import main
from connectomake.errors import RunError, SourceError
from connectomake.evaluation import (
    Contingency,
    Overlap,
    blocks_of,
    csv_text,
    curve_of,
    curve_rows,
    kernels,
    overlap_of,
    relabelled,
    result_of,
    scores_of,
    tile_of_chunks,
    tiles_of,
    worst_rows,
    write_picture,
)
from connectomake.geometry import Box
from connectomake.planning.truth import open_truth
from connectomake.sources.labels import open_labels
from tests.flow import smooth_noise

STARTS = st.tuples(*[st.integers(-70, 70)] * 3)
SHAPES = st.tuples(*[st.integers(1, 9)] * 3)


@st.composite
def volumes(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, tuple[int, int, int]]:
    """Ground truth, segmentation and where they lie: blobs, noise, all one, all zero."""
    shape, seed = draw(SHAPES), draw(st.integers(0, 10**6))
    rng = np.random.default_rng(seed)
    kinds = (
        lambda: rng.integers(0, draw(st.integers(1, 6)), shape),
        lambda: smooth_noise((9, 9, 9), seed)[tuple(map(slice, shape))] // 50,
        lambda: np.full(shape, draw(st.integers(0, 2))),
        lambda: np.arange(math.prod(shape)).reshape(shape),
    )
    gt, seg = (draw(st.sampled_from(kinds))().astype(np.uint64) for _ in range(2))
    return gt, seg * np.uint64(draw(st.sampled_from([1, 2**40]))), draw(STARTS)


def overlap(
    gt: np.ndarray,
    seg: np.ndarray,
    start: tuple[int, int, int] = (0, 0, 0),
    block: Box | None = None,
    tile: tuple[int, int, int] | None = None,
) -> Overlap:
    """Of a whole volume, or of one block of it."""
    box = Box.of_shape(gt.shape, start)

    def reader(values: np.ndarray) -> Callable[[Box], np.ndarray]:
        return lambda b: np.ascontiguousarray(values[b.slices(start)])

    return overlap_of(reader(gt), reader(seg), [block or box], tile, box)


def reference(gt: np.ndarray, seg: np.ndarray, ignore: tuple[int]) -> tuple[np.float64, ...]:
    """scikit-image's scores: split, merge, and where there are pairs of voxels the error with its two shares."""
    gt, seg = (np.unique(a, return_inverse=True)[1].reshape(a.shape) + (a.min() > 0) for a in (gt, seg))
    split, merge = variation_of_information(gt, seg, ignore_labels=ignore)  # type: ignore[no-untyped-call]
    with np.errstate(invalid="ignore", divide="ignore"):
        return split, merge, *adapted_rand_error(gt, seg, ignore_labels=ignore)  # type: ignore[no-untyped-call]


@given(volumes())
def test_scores_are_those_of_scikit_image(case: tuple[np.ndarray, np.ndarray, tuple[int, int, int]]) -> None:
    gt, seg, start = case
    pairs = overlap(gt, seg, start).pairs
    for given_pairs, truth in ((pairs, gt), (pairs.take(pairs.keys[:, 1] != 0), np.where(seg, gt, 0))):
        scores = scores_of(given_pairs)
        if not truth.any():
            assert (scores.voxels, scores.voi, scores.adapted_rand_error) == (0, None, None)
            continue
        split, merge, error, rand_split, rand_merge = reference(truth, seg, (0,))
        assert scores.voi_split == pytest.approx(split, abs=1e-12)
        assert scores.voi_merge == pytest.approx(merge, abs=1e-12)
        assert scores.voi_split is not None
        assert scores.voi_merge is not None
        assert scores.voi == scores.voi_split + scores.voi_merge
        for ours, theirs in (
            (scores.adapted_rand_error, error),
            (scores.rand_split, rand_split),
            (scores.rand_merge, rand_merge),
        ):
            assert math.isnan(theirs) or ours == pytest.approx(theirs, abs=1e-12)


CUTS = st.tuples(*[st.integers(1, 7)] * 3)


@given(volumes(), CUTS, CUTS, st.randoms())
def test_the_result_is_the_same_bytes_for_every_cut(
    case: tuple[np.ndarray, np.ndarray, tuple[int, int, int]],
    block: tuple[int, int, int],
    tile: tuple[int, int, int],
    random: Any,
) -> None:
    gt, seg, start = case
    box = Box.of_shape(gt.shape, start)
    whole = overlap(gt, seg, start)
    parts = [overlap(gt, seg, start, b, tile) for b in tiles_of(box, block)]
    random.shuffle(parts)
    summed = Overlap.summed(parts)
    assert all(np.array_equal(a, b) for a, b in zip(whole.arrays().values(), summed.arrays().values(), strict=True))
    if len(whole.pairs):
        assert json.dumps(result_of(whole, box, 5)) == json.dumps(result_of(summed, box, 5))


@given(volumes())
def test_tallies_are_those_of_plain_loops(case: tuple[np.ndarray, np.ndarray, tuple[int, int, int]]) -> None:
    gt, seg, start = case
    found = overlap(gt, seg, start)
    mergers: dict[Any, Any]
    splits: dict[Any, Any]
    pairs: dict[Any, Any]
    pairs, splits, mergers = {}, {}, {}
    for index, (z, y, x) in enumerate(np.ndindex(gt.shape)):
        g, s = int(gt[z, y, x]), int(seg[z, y, x])
        if g:
            note(pairs, (g, s), index)
        for v in ((z + 1, y, x), (z, y + 1, x), (z, y, x + 1)):
            if all(a < b for a, b in zip(v, gt.shape, strict=True)):
                h, t = int(gt[v]), int(seg[v])
                if g == h and g and s and t and s != t:
                    note(splits, (g, min(s, t), max(s, t)), index)
                if s == t and s and g and h and g != h:
                    note(mergers, (s, min(g, h), max(g, h)), index)
    for tally, expected in ((found.pairs, pairs), (found.splits, splits), (found.mergers, mergers)):
        rows = zip(map(tuple, tally.keys.tolist()), tally.count.tolist(), tally.first.tolist(), strict=True)
        assert [(k, [c, f]) for k, c, f in rows] == sorted(expected.items())


def note(rows: dict[tuple[int, ...], list[int]], key: tuple[int, ...], index: int) -> None:
    row = rows.setdefault(key, [0, index])
    row[0] += 1


def test_many_labels_overflow_the_table_of_recent_ones_and_the_output(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connectomake.evaluation.stream._CAPACITY", 0)
    rng = np.random.default_rng(0)
    gt, seg = rng.integers(1, 2**62, (2, 6, 40, 50), dtype=np.uint64)
    assert gt.size > 2 * kernels.RECENT
    found = overlap(gt, seg).pairs
    assert found.count.sum() == len(found) == gt.size
    assert np.array_equal(gt.ravel()[found.first], found.keys[:, 0])


def perturbed() -> tuple[np.ndarray, np.ndarray]:
    """Three objects; the first is cut at z = 5, the other two are merged by 77, which has a hole."""
    gt = np.zeros((10, 12, 14), np.uint64)
    gt[:, :, :5], gt[:, :6, 5:], gt[:, 7:, 5:] = 1, 2, 3
    seg = np.where(gt > 1, 77, np.where(np.arange(10)[:, None, None] < 5, 11, 12)).astype(np.uint64)
    seg[gt == 0] = 0
    seg[0, 0, 5:] = 0
    return gt, seg


def test_faults_have_places_where_they_are() -> None:
    gt, seg = perturbed()
    start = (-100, 20, 3000)
    box = Box.of_shape(gt.shape, start)
    result = result_of(overlap(gt, seg, start), box, 5)
    (split,), (merger,) = result["worst_splits"], result["worst_mergers"]
    assert (split["id"], split["parts"], split["voxels"]) == (1, 2, 600)
    assert [p["voxel"] for p in split["largest"]] == [[-96, 20, 3000]] * 2, "the plane below the cut"
    assert [p["position"] for p in split["largest"]] == [[3000.5, 20.5, -95.5]] * 2
    assert [(p["id"], p["touches"]) for p in split["largest"]] == [(11, 12), (12, 11)]
    assert merger["id"] == 77
    assert [(p["id"], p["touches"]) for p in merger["largest"]] == [(2, None), (3, None)], "unlabelled voxels lie between"
    assert [p["voxel"] for p in merger["largest"]] == [[-100, 21, 3005], [-100, 27, 3005]]
    assert result["coverage"] == 1 - 9 / (gt > 0).sum()
    assert len(list(worst_rows(result))) == 4
    assert sum(f["voi"] for f in result["worst_splits"]) == pytest.approx(result["where_segmented"]["voi_split"], abs=1e-12)
    assert sum(f["voi"] for f in result["worst_mergers"]) == pytest.approx(result["where_segmented"]["voi_merge"], abs=1e-12)


def test_ignored_objects_do_not_count() -> None:
    gt, seg = perturbed()
    found = result_of(overlap(gt, seg), Box.of_shape(gt.shape), 5, [1, 3])
    alone = result_of(overlap(np.where(gt == 2, gt, 0), seg), Box.of_shape(gt.shape), 5)
    assert found.pop("ignored") == [1, 3]
    assert alone.pop("ignored") == []
    assert found == alone


def test_a_box_without_truth_is_an_error() -> None:
    gt, seg = perturbed()
    with pytest.raises(RunError, match="no labelled voxel in z 0:10, y 0:12, x 0:14"):
        result_of(overlap(gt * 0, seg), Box.of_shape(gt.shape), 5)
    with pytest.raises(RunError, match=r"once the objects \[1, 2, 3\] are ignored"):
        result_of(overlap(gt, seg), Box.of_shape(gt.shape), 5, [1, 2, 3])


@given(volumes(), st.integers(0, 10**6))
def test_a_curve_is_the_scores_of_relabelled_volumes(
    case: tuple[np.ndarray, np.ndarray, tuple[int, int, int]], seed: int
) -> None:
    gt, seg, start = case
    ids = np.unique(seg)[1:]
    rng = np.random.default_rng(seed)
    mappings = [(t, ids[::-1], rng.integers(1, 4, len(ids)).astype(np.uint64)) for t in (0.1, 0.5)]
    pairs = overlap(gt, seg, start).pairs
    for point, (threshold, known, segments) in zip(curve_of(pairs, mappings), mappings, strict=True):
        table = {0: 0, int(np.unique(seg)[0]): int(np.unique(seg)[0])} | dict(
            zip(known.tolist(), segments.tolist(), strict=True)
        )
        new = np.array([table[int(s)] for s in seg.ravel()], np.uint64).reshape(seg.shape)
        assert point.threshold == threshold
        assert point.all_voxels == scores_of(overlap(gt, new, start).pairs)


def test_a_curve_becomes_a_table_and_a_picture(tmp_path: Path) -> None:
    gt, seg = perturbed()
    ids = np.array([11, 12], np.uint64)
    points = curve_of(overlap(gt, seg).pairs, [(0.2, ids, ids), (0.8, ids, np.array([11, 11], np.uint64))])
    lines = csv_text(curve_rows(points)).splitlines()
    assert lines[0].startswith("threshold,coverage,all_voxels.voxels,")
    assert len(lines) == 3
    assert points[1].where_segmented.voi_split == 0.0
    for name in ("a.png", "b.png"):
        write_picture(str(tmp_path / name), points)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_supervoxels_without_a_segment_of_their_own_stay() -> None:
    pairs = Contingency(np.array([[1, 0], [1, 5], [1, 9]], np.uint64), np.array([1, 2, 3]), np.array([0, 1, 2]))
    found = relabelled(pairs, np.array([9], np.uint64), np.array([5], np.uint64))
    assert found.keys.tolist() == [[1, 0], [1, 5]]
    assert found.count.tolist() == [1, 5]
    with pytest.raises(RunError, match="1 supervoxels cannot have 2 segments"):
        relabelled(pairs, np.array([9], np.uint64), np.array([5, 6], np.uint64))


# the command


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    gt, seg = perturbed()
    with h5py.File("v.h5", "w") as file:
        file["gt"], file["seg"], file["small"] = gt.astype(np.int64), seg, seg[1:]
        file["float"], file["negative"], file["zero"] = seg.astype(np.float32), -seg.astype(np.int64), gt * 0
        file["two"] = np.stack([gt, gt])
        file["other"] = gt
        file["gt"].attrs["resolution_nm"], file["other"].attrs["resolution_nm"] = [4, 4, 4], [8, 4, 4]
    return tmp_path


def evaluate(capsys: pytest.CaptureFixture[str], *options: str, volumes: Sequence[str] = ("v.h5", "v.h5")) -> str:
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", *volumes, *options])
    assert ended.value.code == 0
    return capsys.readouterr().out


def refused(capsys: pytest.CaptureFixture[str], *options: Any, volumes: Sequence[str] = ("v.h5", "v.h5")) -> str:
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", *volumes, *options])
    error = capsys.readouterr().err
    assert ended.value.code == 1
    assert error.count("\n") == 1
    return error.strip()


def test_the_command_prints_what_the_library_finds(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gt, seg = perturbed()
    options = ("--dataset-gt", "gt", "--dataset-seg", "seg")
    found = json.loads(evaluate(capsys, *options, "--json", "--worst", "4"))
    assert found == json.loads(json.dumps(result_of(overlap(gt, seg), Box.of_shape(gt.shape), 4)))
    part = json.loads(evaluate(capsys, *options, "--json", "--start", "2", "0", "0", "--stop", "9", "12", "5"))
    box = Box((2, 0, 0), (9, 12, 5))
    assert part == json.loads(json.dumps(result_of(overlap(gt[box.slices()], seg[box.slices()], box.start), box, 10)))
    text = evaluate(capsys, *options, "--ignore", "3")
    assert "100.00 % of the voxels" not in text
    assert "worst splits" in text
    assert "worst mergers" not in text


def test_a_placed_crop_is_compared_where_it_lies(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    placed = json.loads(evaluate(capsys, "--dataset-gt", "small", "--dataset-seg", "seg", "--offset-gt", "1", "0", "0",
                                 "--offset-seg", "0", "0", "0", "--json"))  # fmt: skip
    assert placed["box"]["start"] == [1, 0, 0]
    assert placed["where_segmented"]["voi"] == 0.0


BAD = {
    "shape": (("gt", "small"), ["v.h5 holds z 0:10", "v.h5 holds z 0:9", "--offset-gt and --offset-seg"]),
    "float": (("gt", "float"), ["[float] holds float32, which are not labels"]),
    "negative": (("gt", "negative"), ["holds the label -77", "must not be negative"]),
    "zero": (("zero", "gt"), ["no labelled voxel in z 0:10"]),
    "missing dataset": (("gt", "nope"), ["--dataset-seg nope is not in", "which holds"]),
    "no dataset": (("gt", None), ["--dataset-seg is missing"]),
    "channels": (("two", "gt"), ["[two] has 2 channels"]),
    "voxel size": (("gt", "other"), ["[4.0, 4.0, 4.0] nm", "[8.0, 4.0, 4.0]"]),
    "no overlap": (("gt", "seg", "--offset-gt", "50", "0", "0", "--offset-seg", "0", "0", "0"), ["no voxel in common"]),
    "outside": (("gt", "seg", "--stop", "11", "1", "1"), ["z 0:11", "(--start, --stop)", "change it"]),
    "scale": (("gt", "seg", "--scale-gt", "1"), ["--scale-gt 1 does not apply to"]),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_sentence(files: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    (gt, seg, *options), says = BAD[name]
    named = [*(["--dataset-gt", gt] if gt else []), *(["--dataset-seg", seg] if seg else [])]
    error = refused(capsys, *named, *options)
    assert all(piece in error for piece in says), error


def stack_with_a_gap(folder: Path, gap: int | None = 3) -> str:
    folder.mkdir()
    for z in range(6):
        if z != gap:
            Image.fromarray(np.full((4, 5), z + 1, np.uint8)).save(folder / f"s{z:04d}.png")
    return str(folder)


@pytest.mark.parametrize(("which", "volume"), [("gt", "ground truth"), ("seg", "segmentation")])
def test_gaps_of_a_stack_are_named_with_the_option_of_this_command(
    which: str, volume: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [stack_with_a_gap(tmp_path / name, 3 if name == which else None) for name in ("gt", "seg")]
    option = f"--missing-sections-{which}"
    error = refused(capsys, volumes=paths)
    assert "have gaps: 3 missing" in error
    assert f"or set {option} blank to read zeros" in error
    assert "source." not in error
    assert f"1 section of the {volume} missing, read as zeros" in evaluate(capsys, option, "blank", volumes=paths)
    result = json.loads(evaluate(capsys, option, "blank", "--json", volumes=paths))
    assert result[f"blank_sections_{which}"] == 1
    assert result["coverage"] == (1 if which == "gt" else 5 / 6)
    assert f"{option} 'fill' must be error or blank" in refused(capsys, option, "fill", volumes=paths)


def test_gaps_and_folders_elsewhere_of_a_configs_ground_truth_are_named_with_its_keys(tmp_path: Path) -> None:
    section = {"ground_truth": stack_with_a_gap(tmp_path / "gt"), "dataset": None, "scale": None, "offset": None}
    with pytest.raises(SourceError, match=r"or set evaluation\.missing_sections: blank to read"):
        open_truth(section)
    truth = open_truth(section | {"missing_sections": "blank"})
    assert any("read as zeros (evaluation.missing_sections: blank)" in note for note in truth.source.notes)
    (tmp_path / "here").mkdir()
    with h5py.File(tmp_path / "real.h5", "w") as file:
        file["labels"] = np.ones((2, 3, 4), np.uint8)
    with h5py.File(tmp_path / "here/linked.h5", "w") as file:
        file["labels"] = h5py.ExternalLink(str(tmp_path / "real.h5"), "labels")
    with pytest.raises(SourceError, match=r"set evaluation\.refers_to: \["):
        open_truth(section | {"ground_truth": str(tmp_path / "here/linked.h5"), "dataset": "labels"})


@pytest.mark.parametrize("which", ["gt", "seg"])
def test_folders_elsewhere_are_named_with_the_option_of_this_command(
    which: str, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "far away").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with h5py.File(tmp_path / "far away" / "real.h5", "w") as file:
        file["labels"] = np.ones((2, 3, 4), np.uint8)
    with h5py.File("linked.h5", "w") as file:
        file["labels"] = h5py.ExternalLink(str(tmp_path / "far away" / "real.h5"), "labels")
    with h5py.File("own.h5", "w") as file:
        file["labels"] = np.ones((2, 3, 4), np.uint8)
    paths = ["linked.h5", "own.h5"] if which == "gt" else ["own.h5", "linked.h5"]
    named = ["--dataset-gt", "labels", "--dataset-seg", "labels"]
    way = refused(capsys, *named, volumes=paths).rpartition("; if that is meant, set ")[2]
    assert way == f"--refers-to-{which} '{tmp_path / 'far away'}'"
    assert "100.00 % of the voxels" in evaluate(capsys, *named, *shlex.split(way), volumes=paths)


def test_labels_read_at_their_place(files: Path) -> None:
    gt, _ = perturbed()
    labels = open_labels("v.h5", "gt", None, (5, -3, 0))
    assert labels.bounds == Box.of_shape(gt.shape, (5, -3, 0))
    read = labels.read(Box((6, -2, 1), (8, 2, 4)))
    assert read.dtype == np.uint64
    assert np.array_equal(read, gt[1:3, 1:5, 1:4])
    with pytest.raises(SourceError):
        labels.read(Box((4, -3, 0), (6, 0, 3)))


def test_tiles_hold_every_voxel_once() -> None:
    box = Box((-3, 5, 0), (300, 400, 9))
    for shape in (None, (128, 256, 256), (7, 7, 7)):
        for tiles in (tiles_of(box, shape), blocks_of(box, shape)):
            assert sum(t.volume for t in tiles) == box.volume
            assert all(box.contains(t) and not t.empty for t in tiles)
    assert tile_of_chunks((64, 64, 64), (512, 512, 512)) == (64, 256, 512)
    assert tile_of_chunks((8, 4, 4), (8, 8, 4)) == (8, 8, 4)
