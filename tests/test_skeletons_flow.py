"""Skeletons through the real workflow: the same for any blocks, resumed, rerun exactly where they depend on a change."""

import copy
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from connectomake.layers import read_tables
from connectomake.objects import read_parquet
from connectomake.planning.skeletons import Skeletons
from connectomake.skeletons.reading import SkeletonReader
from tests.flow import CONFIG, Flow
from tests.test_workflow import wait_for

pytestmark = pytest.mark.slow
HERE: dict[str, Any] = {
    **{key: copy.deepcopy(CONFIG[key]) for key in ("outdir", "source", "block", "chunk", "pyramid")},
    "segmentation": {"threshold": 0.6, "connectivity": 6, "min_size": 10},
    "inference": None,
    "meshes": {"enabled": False},
    "skeletons": {"enabled": True, "cell": [12, 20, 17], "halo": 100, "const": 60, "min_voxels": 40, "voxels_per_job": 40000},
    "keep": ["image", "traces"],
}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Any:
    flow = Flow(tmp_path_factory.mktemp("flow") / "run", config=HERE).make()
    flow.write()
    flow.run()
    return flow


@pytest.fixture
def copied(done: Any, tmp_path: Path) -> Any:
    shutil.copytree(done.folder, tmp_path / "copy", symlinks=True)
    return Flow(tmp_path / "copy", done.shape, done.config)


def test_every_large_object_has_a_skeleton_inside(done: Flow) -> None:
    plan = done.plan()
    skeletons = Skeletons(plan)
    reader = SkeletonReader(done.folder / Path(skeletons.shard(0)).parent, skeletons.spec)
    labels = done.array("segmentation")[0]
    table = read_parquet(done.folder / done.targets().objects)
    large = table["id"][table["voxels"] >= 40]
    assert read_tables(done.folder / skeletons.lengths(0))["id"].tolist() == large.tolist()
    assert len(large) > 10
    for name, micrometres in zip(table["id"].tolist(), table["skeleton_um"].tolist(), strict=True):
        if name not in large:
            assert micrometres == 0
            continue
        found = reader.read(name)
        places = np.floor(found.vertices / np.array([20, 10, 10])).astype(int) - plan.roi.start
        assert (labels[tuple(places.T)] == name).all()
        assert found.length / 1000 == pytest.approx(micrometres, rel=1e-4)


@pytest.mark.parametrize(
    "values",
    [
        {"block": [16, 64, 32], "chunk": [16, 64, 32], "merge__fan_out": 2},
        {"block": [16, 16, 16], "chunk": [8, 8, 8], "skeletons__voxels_per_job": 10**6, "merge__fan_out": 8},
    ],
)
def test_blocks_do_not_matter(done: Flow, copied: Any, values: dict[str, Any]) -> None:
    config = copied.with_values(outdir="other", **values)
    copied.write(config)
    copied.run()
    found = copied.digests(config)
    assert "skeletons" in found
    assert found == done.digests()


def test_a_job_opens_no_more_files_than_the_fan_out(done: Flow) -> None:
    here = {"skeletons__cell": [8, 8, 8], "skeletons__halo": 40}
    config = done.with_values(block=[8, 8, 8], chunk=[8, 8, 8], merge__fan_out=64, **here)
    skeletons = Skeletons(done.plan(config))
    groups = skeletons.tree.nodes(0)
    assert skeletons.tree.group_bits > 0
    assert max(len(skeletons.blocks(g)) for g in groups) <= 64
    assert len(skeletons.tree.nodes(skeletons.tree.top)) <= 64
    assert sorted({b for g in groups for b in skeletons.tree.children(0, g)}) == list(skeletons.plan.grid.ids)


def test_killed_and_resumed(done: Any, tmp_path: Path) -> None:
    flow = Flow(tmp_path / "killed", config=HERE).make()
    flow.write()
    process = subprocess.Popen(
        flow.command(), cwd=flow.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    wait_for(lambda: list((flow.folder / "out/traces").rglob("*.h5")), process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=1800)
    flow.run("--unlock")
    flow.run()
    assert flow.digests() == done.digests()


@pytest.mark.parametrize(
    ("values", "rules"),
    [
        ({"skeletons__cell": [12, 20, 16]}, {"traces", "gather_traces", "skeletons", "objects"}),
        ({"skeletons__const": 50}, {"traces", "gather_traces", "skeletons", "objects"}),
        ({"skeletons__min_voxels": 50}, {"skeletons", "objects"}),
        ({"skeletons__enabled": False}, {"objects", "info"}),
        ({"objects__properties_limit": 3}, {"objects"}),
        ({"keep": ["image"]}, set()),
    ],
)
def test_a_change_remakes_what_depends_on_it(copied: Any, values: dict[str, Any], rules: set[str]) -> None:
    counts = set(copied.would_run(copied.with_values(**values)))
    assert counts - {"gather_traces"} == rules - {"gather_traces"}


def test_copied_without_notes_nothing_is_done_twice(copied: Any) -> None:
    shutil.rmtree(copied.folder / ".snakemake")
    assert copied.would_run() == {}
    config = copied.with_values(skeletons__scale=2)
    assert {"traces", "skeletons"} <= set(copied.would_run(config))


def test_traces_are_deleted_unless_kept(copied: Any) -> None:
    config = copied.with_values(outdir="other", keep=[])
    copied.write(config)
    copied.run()
    assert not list((copied.folder / "other/traces").rglob("*.h5"))
    assert copied.would_run(config) == {}
    assert copied.digests(config) == copied.digests(HERE)
