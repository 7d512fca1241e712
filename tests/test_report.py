"""The report's pages and pictures, and snapshots: they show what is in the files."""

import copy
import csv
import io
import shutil
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from connectomake.errors import ConfigError
from connectomake.geometry import Box
from connectomake.pipeline.targets import Targets
from connectomake.planning.plan import Plan
from connectomake.planning.sections import spread, window
from connectomake.reporting import pictures, run_page
from connectomake.reporting.blocks import block_map, block_seconds, block_states
from connectomake.reporting.colours import colours_of, nice_length
from connectomake.reporting.render import SIZE, rendering
from connectomake.reporting.sections import painted
from tests.flow import Flow
from tests.queue_help import call
from tests.tiny_run import CONFIG, make_run, write_inputs


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Plan]:
    folder = tmp_path_factory.mktemp("report")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_inputs(folder)
        plan = make_run()
    return folder, plan


@pytest.fixture
def plan(made: tuple[Path, Plan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    shutil.copytree(made[0], tmp_path / "run")
    monkeypatch.chdir(tmp_path / "run")
    return made[1]


boxes = st.builds(
    lambda start, shape: Box.of_shape(shape, start),
    st.tuples(*[st.integers(-50, 50)] * 3),
    st.tuples(*[st.integers(1, 90)] * 3),
)


@given(boxes, st.integers(1, 40), st.integers(1, 60), st.tuples(st.integers(-60, 150), st.integers(-60, 150)))
def test_windows_lie_in_the_region(roi: Box, count: int, limit: int, middle: tuple[int, int]) -> None:
    sections = spread(roi, count)
    assert 1 <= len(sections) <= min(count, roi.shape[0])
    for z in sections:
        for where in (None, middle):
            box = window(roi, z, where, limit)
            assert roi.contains(box)
            assert box.shape == (1, min(limit, roi.shape[1]), min(limit, roi.shape[2]))


@given(st.floats(1, 1e8))
def test_scale_bars_are_round(limit: float) -> None:
    length, text = nice_length(limit)
    assert limit / 2.6 <= length <= limit * (1 + 1e-9)
    assert text.split()[0][0] in "125"


def test_an_object_has_the_same_colour_everywhere() -> None:
    ids = np.array([[0, 5], [7, 5]], np.uint64)
    image = np.full((2, 2, 3), 0.5)
    picture = painted(ids, image)
    light = 0.45 + 0.55 * 0.5
    np.testing.assert_allclose(picture[0, 0], 0.375)
    np.testing.assert_allclose(picture[1, 1], 0.6 * light * colours_of(np.array([5]))[0])  # a seam: its left neighbour is 7
    np.testing.assert_allclose(picture[0, 1], light * colours_of(np.array([5]))[0])


def square(z: Any) -> Any:
    points = np.array([[0.0, 0, z], [100, 0, z], [100, 100, z], [0, 100, z]])
    return points, np.array([[0, 1, 2], [0, 2, 3]])


@pytest.mark.slow
@pytest.mark.parametrize("order", [(5, 7), (7, 5)])
def test_the_nearer_object_hides_the_other(order: tuple[int, int]) -> None:
    """z points away from the viewer: the square at z 0 hides the one behind it, whichever is drawn first."""
    meshes = {5: square(0.0), 7: square(1.0)}
    picture = rendering({i: meshes[i] for i in order}, Box.of_shape((10, 10, 10)), (5, 5, 5), (10.0, 10.0, 10.0), "two")
    assert picture.size == SIZE
    middle = np.asarray(picture)[SIZE[1] // 2 + 60, SIZE[0] // 2 - 60].astype(float)
    near, far = (255 * colours_of(np.array([i]))[0] for i in (5, 7))
    assert shade(middle, near) > 0.995
    assert shade(middle, far) < 0.97


def shade(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def test_nothing_to_draw_is_an_empty_box() -> None:
    picture = rendering({}, Box.of_shape((10, 10, 10)), (5, 5, 5), (10.0, 10.0, 10.0), "none")
    assert np.asarray(picture).mean() > 240


def test_states_of_blocks(plan: Plan) -> None:
    targets = Targets(plan)
    assert set(block_states(plan).values()) == {"segmentation"}
    first, second, third, *_ = plan.grid.ids
    Path(targets.shard("segmentation", first)).unlink()
    for layer in ("segmentation", "components"):
        Path(targets.shard(layer, second)).unlink()
    for layer in ("segmentation", "components", "affinity"):
        Path(targets.shard(layer, third)).unlink()
    states = block_states(plan)
    assert (states[first], states[second], states[third]) == ("components", "affinity", "image")
    before = np.asarray(block_map(plan))
    Path(targets.shard("components", first)).unlink()
    assert (np.asarray(block_map(plan)) != before).any()


def test_slowest_blocks_and_stages(plan: Plan) -> None:
    for n, block in enumerate(plan.grid.ids):
        path = Path(plan.outdir, "benchmarks/affinity", f"{plan.grid.name(block)}.tsv")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"s\th:m:s\tmax_rss\n{n + 1}.5\t0:00:01\t123.0\n")
    last = plan.grid.ids[-1]
    assert block_seconds(plan)[last] == {"affinity": plan.grid.count + 0.5}
    assert run_page.slowest_rows(plan)[0][:2] == ["affinity", plan.grid.name(last)]
    rows = {row["stage"]: row for row in csv.DictReader(io.StringIO(run_page.stages_csv(plan)))}
    assert rows["affinity"]["jobs measured"] == str(plan.grid.count)
    assert rows["affinity"]["voxels/s per job"].endswith("vox/s")
    assert rows["segmentation"]["time of all jobs"] == ""


def test_the_page_works_offline(plan: Plan) -> None:
    text = run_page.page(plan)
    assert "http" not in text
    assert "src=" not in text
    for name in ("affinity", "segmentation", "connectomake", "min_size", "raw.h5 [raw]"):
        assert name in text


def test_the_page_has_a_config_as_snakemake_hands_it_over(plan: Plan) -> None:
    filters = [OrderedDict(gaussian=OrderedDict(sigma=[0, 1, 1]))]
    config = OrderedDict(plan.config, source=OrderedDict(plan.config["source"], filters=filters))
    assert "filters:\n  - gaussian:\n      sigma:\n" in run_page.page(replace(plan, config=config))


def test_a_run_elsewhere_is_read_there(plan: Plan) -> None:
    name = Targets(plan).objects
    assert pictures.relocated(plan, name, name) is plan
    assert pictures.relocated(plan, name, f"x/y/{name}").outdir == "x/y/out"


@pytest.mark.slow
@pytest.mark.parametrize(
    "words", [(), ("--at", "3", "4", "5"), ("--objects", "3"), ("--blocks",)], ids=lambda w: w[0] if w else "section"
)
def test_snapshots(plan: Plan, words: tuple[str, ...]) -> None:
    code, text = call("snapshot", *words, "-o", "x.png")
    assert code == 0, text
    picture = np.asarray(Image.open("x.png").convert("RGB"))
    assert f"{picture.shape[1]} x {picture.shape[0]} pixels" in text
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 4


def test_a_snapshot_of_one_object(plan: Plan) -> None:
    """The picture holds the object's own colour, and no other object's."""
    number = pictures.largest(plan, 2)[1]
    picture = np.asarray(pictures.objects(plan, [number], close=True)).reshape(-1, 3).astype(float)
    coloured = picture[np.ptp(picture, axis=1) > 60]
    assert len(coloured) > 1000
    own = colours_of(np.array([number]))[0]
    assert np.median([shade(pixel, own) for pixel in coloured[::50]]) > 0.98


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--id", "999999"), "there is no object 999999"),
        (("--at", "3", "4", "500"), "outside the region"),
        (("--blocks", "--objects", "3"), "one thing"),
    ],
)
def test_wrong_snapshots(plan: Plan, words: tuple[str, ...], text: str) -> None:
    code, said = call("snapshot", *words)
    assert code == 1
    assert text in said
    assert not Path("snapshot.png").exists()


def test_without_meshes_there_is_nothing_to_draw(plan: Plan) -> None:
    config = copy.deepcopy(CONFIG)
    config["meshes"]["enabled"] = False
    Path("config.yaml").write_text(yaml.safe_dump(config))
    assert "makes no meshes" in call("snapshot", "--objects", "3")[1]


def test_sections_without_an_image(plan: Plan) -> None:
    """The image's layer deleted and the source gone: objects on grey."""
    shutil.rmtree("out/image")
    Path("raw.h5").unlink()
    assert pictures.sections(plan, 1).width < 1000


def test_a_voxel_outside(plan: Plan) -> None:
    with pytest.raises(ConfigError, match="outside"):
        pictures.sections(plan, 1, (1000, 0, 0))


@pytest.mark.slow
def test_snakemakes_report(tmp_path: Path) -> None:
    flow = Flow(tmp_path / "run").make()
    config = flow.with_values(report={"enabled": True, "slices": 2, "objects": 3})
    flow.write(config)
    flow.run()
    for name in Targets(flow.plan(config)).reports.values():
        assert (flow.folder / name).stat().st_size > 100, name
    assert "Nothing to be done" in flow.run("-n")
    flow.run("--report", "report.html")
    text = (flow.folder / "report.html").read_text()
    for words in ("Sections spread evenly", "Meshes of the largest objects", "data:image/png", "Each square is a block"):
        assert words in text
    assert set(flow.would_run(flow.with_values(report={"enabled": True, "slices": 3, "objects": 3}))) == {
        "report_run", "report_blocks", "report_slices", "report_objects",
    }  # fmt: skip
    assert flow.would_run(flow.with_values(report={"enabled": False, "slices": 2, "objects": 3})) == {}


@pytest.mark.slow
def test_a_report_of_what_is_not_made_yet_names_the_target(tmp_path: Path) -> None:
    flow = Flow(tmp_path / "run").make()
    flow.write()
    code, said = flow.run("--report", "r.html", "reports", check=False)
    assert code
    assert "make them first: the same command with the target reports and without --report" in said
    assert not (flow.folder / "r.html").exists()
