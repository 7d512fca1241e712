"""A file of one block or node under the name of another: `verify` names it, and no job or reader takes it for the other."""

import copy
import shutil
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from connectomake.errors import LayerError
from connectomake.jobs import run as run_job
from connectomake.layers import read_box, read_columns, read_record, read_tables, write_columns, write_tables
from connectomake.layers.records import FILE, WITHIN, check_place, named, place_in
from connectomake.meshes.pack import PackReader
from connectomake.pipeline.job import all_of, check_inputs
from connectomake.pipeline.registry import Stages
from connectomake.pipeline.targets import Targets
from connectomake.planning.plan import Plan
from connectomake.planning.resolve import resolve
from connectomake.planning.scales import Scales
from connectomake.verify import expected, verify
from tests.tiny_run import CONFIG, make_run, write_inputs

MANY = CONFIG | {
    "block": [8, 8, 8],
    "meshes": {"cell": [8, 8, 8], "voxels_per_job": 1024},
    "skeletons": {"enabled": True, "cell": [9, 16, 13], "halo": 50, "const": 40, "min_voxels": 10, "voxels_per_job": 1024},
    "keep": [*CONFIG["keep"], "traces"],
}
"""Cut so finely that every kind of file has siblings."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("siblings")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_inputs(folder, MANY, (14, 16, 24))
        make_run(MANY)
    return folder


@pytest.fixture
def plan(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    shutil.copytree(made, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    return resolve(copy.deepcopy(MANY))


def siblings(plan: Plan) -> dict[tuple[str, Path, str], list[str]]:
    """Return two files of every stage and folder where there are two, the one to be replaced first."""
    found = defaultdict(list)
    for file in expected(plan):
        if file.recorded and Path(file.path).exists():
            path = Path(file.path)
            found[file.stage, path.parent, "".join(path.suffixes)].append(file.path)
    return {key: paths[:2] for key, paths in found.items() if len(paths) > 1}


def contingencies(plan: Plan) -> list[str]:
    return all_of(Stages(plan).rule("evaluation").inputs(None))["tables"]


def test_every_record_names_its_file(plan: Plan) -> None:
    files = [file.path for file in expected(plan) if file.recorded and Path(file.path).exists()]
    assert [read_record(path)[FILE] for path in files] == [path.removeprefix("out/") for path in files]
    assert not any(WITHIN in read_record(path) for path in files)


def test_verify_names_every_sibling_under_another_name(plan: Plan) -> None:
    pairs = siblings(plan)
    assert {stage for stage, *_ in pairs} >= {
        "image", "affinity", "components", "merge", "segmentation", "measures", "traces", "fragments", "contingency",
        "ground_truth",
    }  # fmt: skip
    assert any(suffix == ".down.h5" for *_, suffix in pairs)
    for wrong, right in pairs.values():
        shutil.copy(right, wrong)
    problems = verify(plan).problems
    for wrong, right in pairs.values():
        name = right.removeprefix("out/")
        assert f"{wrong} is a copy of {name} under another name; delete it and rerun" in problems
    assert len(problems) == len(pairs)


def test_readers_refuse_a_sibling_under_another_name(plan: Plan) -> None:
    targets = Targets(plan)
    packs = [targets.pack(0, p) for p in plan.mesh_tree.nodes(0)][:2]
    readers: dict[tuple[str, ...], Callable[[str], Any]] = {
        (targets.merge(1, 0), targets.merge(1, 1)): read_tables,
        tuple(contingencies(plan)[:2]): read_tables,
        (packs[0], packs[1]): lambda path: PackReader(path, plan.mesh_spec.sharding),
        (targets.shard("segmentation", 0), targets.shard("segmentation", 1)): lambda _: read_box(
            "out/segmentation", plan.layers["segmentation"], plan.grid.box(0)
        ),
    }
    for (wrong, right), read in readers.items():
        read(right if read is read_tables else wrong)
        shutil.copy(right, wrong)
        with pytest.raises(LayerError, match="under another name; delete it and rerun"):
            read(wrong)


def test_a_shard_is_that_of_its_block_whatever_it_is_called(plan: Plan) -> None:
    """Copies may have any name, but not be read for another block."""
    layer, targets = plan.layers["segmentation"], Targets(plan)
    shutil.copy(targets.shard("segmentation", 1), "mine.shard")
    assert read_box({1: "mine.shard"}, layer, plan.grid.box(1)).any()
    with pytest.raises(LayerError, match=r"mine.shard is a copy of segmentation/.*/0?1.shard under another name"):
        read_box({0: "mine.shard"}, layer, plan.grid.box(0))


def test_a_renamed_layer_is_read(plan: Plan) -> None:
    shutil.copytree("out/segmentation", "elsewhere/cells")
    box = plan.grid.box(0)
    ours, theirs = (read_box(folder, plan.layers["segmentation"], box) for folder in ("out/segmentation", "elsewhere/cells"))
    assert np.array_equal(ours, theirs)
    halo = Path(Targets(plan).tables("segmentation", 0)).relative_to("out/segmentation")
    assert read_tables(Path("elsewhere/cells", halo))
    shutil.copy("out/objects/objects.parquet", "elsewhere/mine.parquet")
    assert read_columns("elsewhere/mine.parquet")


def test_a_job_refuses_inputs_of_another_threshold_or_stage(
    plan: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where reading alone would not tell: the same node of the merge, of the agglomeration, of another threshold."""
    for stage in ("merge", "agglomeration", "agglomeration_0.35"):
        write_tables(f"out/{stage}/9/0.up.h5", {"open/key": np.arange(3)}, named({WITHIN: "out"}, f"out/{stage}/9/0.up.h5"))
        write_columns(f"out/{stage}/merges.parquet", {"a": np.arange(3)}, {WITHIN: "out"})
    for name in ("9/0.up.h5", "merges.parquet"):
        for stage, other in (("agglomeration", "merge"), ("agglomeration", "agglomeration_0.35")):
            wrong = f"out/{stage}/{name}"
            kept = Path(wrong).read_bytes()
            check_inputs([wrong, f"out/{other}/{name}"], "out")
            shutil.copy(f"out/{other}/{name}", wrong)
            with pytest.raises(LayerError, match=f"{wrong} is a copy of {other}/{name} under another name"):
                check_inputs([f"out/{other}/{name}", wrong], "out")
            Path(wrong).write_bytes(kept)


def test_a_job_ends_with_the_sentence(plan: Plan) -> None:
    shutil.copy(*reversed(contingencies(plan)[:2]))
    job = SimpleNamespace(
        rule="evaluation", log=[], config={"plan": plan.to_json()}, input=contingencies(plan), output=[], wildcards=None
    )
    with pytest.raises(SystemExit):
        run_job(job, lambda _: pytest.fail("the job began"))


def test_old_records_do_not_tell() -> None:
    check_place({"stage": "merge"}, "out/merge/1/0.up.h5", "out")
    check_place({"stage": "merge"}, "out/merge/1/0.up.h5")


def test_the_place_of_a_file_is_found_in_copies_of_the_run(plan: Plan) -> None:
    name = "merge/1/0.up.h5"
    for folder in ("results/a", "/scratch/x/results/a", ".snakemake/storage/s3/bucket/results/a", "/results/a/old/results/a"):
        assert place_in("results/a", f"{folder}/{name}") == name
    assert place_in("results/a", f"results/ab/{name}") is None
    assert place_in("results/a", "elsewhere/0.up.h5") is None


def test_coarser_scales_and_pictures_name_themselves(plan: Plan) -> None:
    scales = Scales(plan)
    path = scales.shard("segmentation", 1, scales.specs("segmentation")[1].grid.ids[0])
    assert read_record(path)[FILE] == path.removeprefix("out/")
    assert read_record(scales.thumbnail("image"))[FILE] == "image/thumbnail.png"
    assert Stages(plan).record("meshes")[WITHIN] == "out"
