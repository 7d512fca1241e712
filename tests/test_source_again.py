"""``verify --deep --source``: which blocks are of another image than the source holds now, and what follows from it."""

import copy
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectomake.cli import main
from connectomake.geometry import Box
from connectomake.layers import read_record
from connectomake.layers.records import append_record
from connectomake.pipeline.affinity import image_blocks
from connectomake.pipeline.job import all_of
from connectomake.pipeline.registry import Stages
from connectomake.pipeline.targets import Targets
from connectomake.planning.freshness import is_stale
from connectomake.planning.ledger import Ledger
from connectomake.planning.plan import Plan
from connectomake.planning.resolve import resolve
from connectomake.sources.read_log import LoggedReader, differs, lines_of, united
from connectomake.verify.source import compare, plan_of_results
from tests.tiny_run import CONFIG, job

SHAPE = (9, 7, 8)


@st.composite
def reads(draw: st.DrawFn) -> list[Box]:
    """Boxes as jobs read them: slabs, rows of patches that overlap, single boxes."""
    found = []
    for _ in range(draw(st.integers(1, 3))):
        y, x = draw(st.integers(0, 5)), draw(st.integers(0, 6))
        planes, step = draw(st.integers(1, 4)), draw(st.integers(1, 4))
        starts = range(draw(st.integers(0, 4)), draw(st.integers(5, 9)), step)
        found += [Box((z, y, x), (min(z + planes, 9), 7, 8)) for z in starts]
    return found


def box_of(line: Sequence[int]) -> Box:
    z, y, x, z_stop, y_stop, x_stop = line[:6]
    return Box((z, y, x), (z_stop, y_stop, x_stop))


@given(reads(), st.integers(1, 3), st.tuples(*(st.integers(0, n - 1) for n in SHAPE)))
def test_lines_tell_every_change_of_what_was_read_and_no_other(
    boxes: list[Box], channels: int, voxel: tuple[int, int, int]
) -> None:
    image = np.random.default_rng(0).integers(0, 256, (channels, *SHAPE)).astype(np.uint16)
    reader = LoggedReader(lambda box: image[(slice(None), *box.slices())])
    for box in boxes:
        np.testing.assert_array_equal(reader(box), image[(slice(None), *box.slices())])
    lines = lines_of({"read": {"source": reader.lines}}, "source")
    assert lines is not None
    edited = image.copy()
    edited[(channels - 1, *voxel)] ^= 1
    now = lambda box: edited[(slice(None), *box.slices())]  # noqa: E731
    was = lambda box: image[(slice(None), *box.slices())]  # noqa: E731
    assert not any(differs(was, line) for line in lines)
    for line in lines:
        assert differs(now, line) == box_of(line).contains_voxel(voxel)
    assert any(box_of(line).contains_voxel(voxel) for line in lines) == any(b.contains_voxel(voxel) for b in boxes)


def test_slabs_of_a_block_are_one_line() -> None:
    reader = LoggedReader(lambda box: np.zeros((1, *box.shape), np.uint8))
    for z in range(0, 20, 8):
        reader(Box((z, 0, 0), (min(z + 8, 20), 16, 16)))
    assert [line[:7] for line in reader.lines] == [[0, 0, 0, 20, 16, 16, 8]]


@pytest.mark.parametrize(
    "read", [None, [], {"source": 3}, {"source": [[1, 2]]}, {"source": [[0] * 8]}, {"source": ["a"]}, {"truth": []}]
)
def test_records_that_do_not_tell(read: dict[str, Any] | list[Any] | None) -> None:
    good = {"read": {"source": [[0, 0, 0, 1, 1, 1, 1, 5]]}}
    assert lines_of({} if read is None else {"read": read}, "source") is None
    assert united([good, {} if read is None else {"read": read}], "source") is None
    assert united([good, good], "source") == good["read"]["source"]


@pytest.fixture
def run(copied_run: Plan) -> Plan:
    return copied_run


def outdated_by(plan: Plan, voxel: tuple[int, int, int]) -> set[str]:
    """The files that were made from the block of the image that holds a voxel, as far as they tell."""
    targets, image = Targets(plan), plan.layers["image"].grid.id_of_voxel(voxel)
    affinity = {targets.shard("affinity", b) for b in plan.grid.ids if image in image_blocks(plan, b)}
    made = [b for b in plan.grid.ids if affinity & set(all_of(Stages(plan).rule("components").inputs(b))["probability"])]
    components = [name("components", b) for b in made for name in (targets.shard, targets.tables)]
    return {targets.shard("image", image), *affinity, *components}


def edit(voxel: tuple[int, int, int], path: str = "raw.h5", dataset: str = "raw") -> None:
    with h5py.File(path, "r+") as file:
        file[dataset][voxel] ^= 1


def verify(*options: Any) -> int:
    with pytest.raises(SystemExit) as end:
        main(["verify", "--source", *options])
    code = end.value.code or 0
    assert isinstance(code, int), code
    return code


def stale(plan: Plan) -> set[str]:
    """The shards of the image that a run with this plan would make anew."""
    fingerprint = Stages(plan).fingerprint("image")
    return {path for b in plan.layers["image"].grid.ids if is_stale(path := Targets(plan).shard("image", b), fingerprint)}


def test_an_untouched_source_fits(run: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify() == 0
    out = capsys.readouterr().out
    assert f"raw.h5 holds the voxels that {4 * run.grid.count} files were made from" in out
    assert f"truth.h5 holds the voxels that {run.layers['ground_truth'].grid.count} files were made from" in out


def test_the_block_of_an_edited_voxel_is_named(run: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    edit((3, 20, 35))
    assert len(stale(resolve(copy.deepcopy(CONFIG)))) == run.layers["image"].grid.count, "all are outdated by the plan of today"
    assert verify() == 1
    out = capsys.readouterr().out
    named = set(re.findall(r"^(\S+) was made from other voxels than the source raw.h5 holds now, in", out, re.MULTILINE))
    assert named == outdated_by(run, (3, 20, 35))
    assert len(named) < 4 * run.grid.count
    assert "other settings" not in out


def test_once_that_block_is_gone_the_others_stay(run: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    """The way out without `--repair`: delete what is named, look again, and only that is made anew."""
    first = resolve(copy.deepcopy(CONFIG))
    edit((3, 20, 35))
    assert resolve(copy.deepcopy(CONFIG)).source.identity != first.source.identity
    assert verify() == 1
    for gone in outdated_by(run, (3, 20, 35)):
        Path(gone).unlink()
    verify()
    assert "raw.h5 holds the voxels that" in capsys.readouterr().out
    now = resolve(copy.deepcopy(CONFIG))
    assert now.source.identity == first.source.identity
    assert stale(now) == set()
    edit((3, 20, 35))
    assert resolve(copy.deepcopy(CONFIG)).source.identity != first.source.identity, (
        "the first image is now another than the results'"
    )


def test_an_image_packed_anew_is_the_same(run: Plan) -> None:
    first = resolve(copy.deepcopy(CONFIG))
    with h5py.File("raw.h5", "r+") as file:
        voxels = file["raw"][:]
        del file["raw"]
        file.create_dataset("raw", data=voxels, chunks=(4, 8, 8), compression="gzip")
    assert stale(resolve(copy.deepcopy(CONFIG)))
    assert verify() == 0
    now = resolve(copy.deepcopy(CONFIG))
    assert now.source.identity == first.source.identity
    assert now.source.sampled not in ("", first.source.identity)
    assert stale(now) == set()


def test_a_source_that_nobody_has_read(run: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    config = copy.deepcopy(CONFIG)
    config["source"]["checksum_below"] = 0
    shutil.rmtree(".connectomake/sources")
    import yaml

    from connectomake.planning.resolve import prepare_plan

    Path("config.yaml").write_text(yaml.safe_dump(config))
    prepare_plan(copy.deepcopy(config))
    Path("raw.h5").touch()
    with pytest.raises(SystemExit):
        main(["check", "--fast"])
    assert "check --deep --source-is same" in capsys.readouterr().err
    assert verify() == 0
    prepare_plan(copy.deepcopy(config))
    Path("raw.h5").touch()
    with pytest.raises(SystemExit) as end:
        main(["check", "--fast", "--deep", "--source-is", "same"])
    assert not end.value.code
    edit((0, 0, 0))
    assert "raw.h5 has changed" in str(prepare_plan(copy.deepcopy(config))), "now it was read as a whole, so that it is known"


def test_an_edited_ground_truth(run: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    edit((3, 20, 35), "truth.h5", "labels")
    assert verify() == 1
    out = capsys.readouterr().out
    (named,) = re.findall(r"^(\S+) was made from other voxels than the ground truth truth.h5 holds now, in", out, re.M)
    assert named == Targets(run).shard("ground_truth", run.layers["ground_truth"].grid.id_of_voxel((3, 20, 35)))
    assert "raw.h5 holds the voxels" in out


def test_files_of_older_versions_cannot_tell(run: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    path = Path(Targets(run).shard("image", 0))
    record = {key: value for key, value in read_record(path).items() if key not in ("read", "content")}
    from tests.flow import without_record

    path.write_bytes(without_record(path.read_bytes()))
    append_record(path, record)
    verify()
    assert f"1 file of an older version, such as {path}, cannot tell what of raw.h5" in capsys.readouterr().err


def test_components_tell_what_the_image_was_made_from(run: Plan) -> None:
    """When image and affinity are deleted, what stays still tells: the notes are handed on."""

    targets, block = Targets(run), run.grid.ids[-1]
    image = [targets.shard("image", b) for b in image_blocks(run, block)]
    noted = job(run, Stages(run).rule("affinity"), block).image(dict(enumerate(image))).noted
    assert noted["read"]["source"] == united(map(read_record, image), "source")
    assert len(noted["read"]["source"]) == len(image)


def test_the_plan_of_the_results_is_found(run: Plan) -> None:
    edit((0, 0, 0))
    now = resolve(copy.deepcopy(CONFIG))
    assert plan_of_results(now).source.identity == run.source.identity
    assert plan_of_results(now, Ledger(Path("nowhere"))) == now
    assert [found.what for found in compare(run)] == ["source", "truth"]
