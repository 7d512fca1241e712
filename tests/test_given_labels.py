"""Labels of the source as the segmentation: ids kept bit for bit, or connected components; the same for any blocks."""

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

import cc3d
import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectomake.components import number_block
from connectomake.config import normalise
from connectomake.config.checks import check_config
from connectomake.errors import ConfigError, ConnectomakeError, RunError
from connectomake.geometry import BlockGrid, Box, Octree, as_vec
from connectomake.layers import read_box
from connectomake.octree import EqualLabels, MemoryBlocks, merge_blocks, tables_for_children
from connectomake.pipeline.registry import Stages
from connectomake.planning.plan import Plan
from connectomake.planning.resolve import resolve
from tests.flow import Flow
from tests.rule_jobs import do
from tests.test_components import check_table, first_voxels
from tests.tiny_run import make_run

IDS = np.array([0, 0, 1, 7, 2**31, 2**53 + 1, 2**53 + 2, 2**63 - 1, 2**63, 2**64 - 2, 2**64 - 1], np.uint64)
CONFIG: dict[str, Any] = {
    "outdir": "out",
    "source": {"path": "labels.h5", "dataset": "labels", "voxel_size": [20, 10, 10], "offset": [3, -5, 7]},
    "block": [16, 16, 16],
    "segmentation": {"method": "labels"},
    "meshes": {"cell": [8, 8, 8]},
    "skeletons": {"enabled": True, "cell": [16, 16, 16], "min_voxels": 20, "const": 20},
    "merge": {"fan_out": 4},
    "keep": ["fragments"],
    "evaluation": {"ground_truth": "labels.h5", "dataset": "labels", "offset": [3, -5, 7]},
    "pyramid": {"scales": 1},
}
OFFSET = (3, -5, 7)
SHAPE = (20, 24, 40)


def volume(shape: tuple[int, int, int] = SHAPE, ids: Any = IDS, seed: int = 0, cell: int = 5) -> Any:
    """Boxes of labels; the same label in several places."""
    rng = np.random.default_rng(seed)
    coarse = rng.choice(ids, [-(-n // cell) for n in shape])
    for axis in range(3):
        coarse = np.repeat(coarse, cell, axis)
    return np.ascontiguousarray(coarse[tuple(slice(n) for n in shape)])


def write(values: Any, name: str = "labels.h5") -> None:
    with h5py.File(name, "w") as file:
        file.create_dataset("labels", data=values, chunks=tuple(min(n, 8) for n in values.shape))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(**changed: Any) -> Any:
    return make_run(copy.deepcopy(CONFIG) | changed)


def segmentation(plan: Plan) -> Any:
    return read_box(f"{plan.outdir}/segmentation", plan.layers["segmentation"], plan.roi)[0]


DTYPES = st.sampled_from(["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"])
SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 20))


@given(SHAPES, DTYPES, st.sampled_from([None, 6, 18, 26]), st.booleans(), st.integers(0, 2**32 - 1))
def test_numbers_and_tables_equal_the_reference(
    shape: tuple[int, int, int], dtype: Any, connectivity: Literal[6, 18, 26] | None, large: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    top = np.iinfo(dtype).max
    values = rng.choice(np.array([0, 1, 2, top - 1, top] if large else [0, 1, 2], dtype), shape)
    values = np.asfortranarray(values) if seed % 2 else values
    offset = as_vec([int(v) for v in rng.integers(-50, 50, 3)])
    roi, box = Box.of_shape(as_vec([s + 7 for s in shape]), offset), Box.of_shape(shape, as_vec([o + 3 for o in offset]))
    found = number_block(values, box, roi, connectivity)
    numbers = found.result.labels
    np.testing.assert_array_equal(found.ids[numbers], values.astype(np.uint64))
    want = (
        values if connectivity is None else cc3d.connected_components(np.ascontiguousarray(values), connectivity=connectivity)
    )
    np.testing.assert_array_equal(first_voxels(numbers), first_voxels(want))
    assert len(found.ids) == numbers.max(initial=0) + 1
    firsts = np.unique(numbers, return_index=True)[1][1 if (numbers == 0).any() else 0 :]
    assert (np.diff(firsts) > 0).all()
    check_table(found.result.table, numbers, box, roi)


@settings(max_examples=60, deadline=None)
@given(SHAPES, st.tuples(*[st.integers(1, 6)] * 3), st.sampled_from([6, 18, 26]), st.integers(0, 2**32 - 1))
def test_components_of_blocks_merge_to_those_of_the_whole(
    shape: tuple[int, int, int], block: tuple[int, int, int], connectivity: Literal[6, 18, 26], seed: int
) -> None:
    values = np.random.default_rng(seed).choice(IDS[1:5], shape)
    roi = Box.of_shape(shape, (4, -3, 9))
    grid = BlockGrid(roi, block)
    octree = Octree(grid, max(grid.id_bits, 1))
    found = {b: number_block(values[grid.box(b).slices(roi.start)], grid.box(b), roi, connectivity) for b in grid.ids}
    blocks = MemoryBlocks({b: f.result.table for b, f in found.items()}, {b: f.result.faces for b, f in found.items()})
    summary = merge_blocks(octree, 0, blocks, EqualLabels(connectivity), 0)
    ids = tables_for_children(summary.slots, len(summary.passed.open), summary.closed.key, np.zeros(0, np.uint64))
    got = np.zeros(shape, np.uint64)
    for b, f in found.items():
        got[grid.box(b).slices(roi.start)] = ids[b][f.result.labels]
    np.testing.assert_array_equal(got, first_voxels(cc3d.connected_components(values, connectivity=connectivity)))


@pytest.mark.slow
def test_ids_stay_in_all_that_is_made(folder: Path) -> None:
    values = volume()
    write(values)
    plan = run()
    np.testing.assert_array_equal(segmentation(plan), values)
    ids, first, counts = np.unique(values, return_index=True, return_counts=True)
    table = pq.read_table("out/objects/objects.parquet").to_pydict()
    assert table["id"] == ids[1:].tolist()
    assert table["voxels"] == counts[1:].tolist()
    for i, (label, place) in enumerate(zip(ids[1:], first[1:], strict=True)):
        voxels = np.argwhere(values == label)
        for axis, name in enumerate("zyx"):
            assert table[f"start_{name}"][i] == voxels[:, axis].min() + OFFSET[axis]
            assert table[f"stop_{name}"][i] == voxels[:, axis].max() + 1 + OFFSET[axis]
            centre = (voxels[:, axis].mean() + 0.5 + OFFSET[axis]) * (20, 10, 10)[axis]
            assert table[f"centroid_{name}_nm"][i] == pytest.approx(centre)
        inside = tuple(table[f"inside_{name}"][i] - o for name, o in zip("zyx", OFFSET, strict=True))
        assert values[inside] == label
        assert place is not None
    listed = json.loads((folder / "out/segmentation/properties/info").read_text())["inline"]["ids"]
    assert set(listed) == {str(label) for label in ids[1:].tolist()}
    scores = json.loads((folder / "out/evaluation/scores.json").read_text())
    found = [part["voi"] for part in scores.values() if isinstance(part, dict) and "voi" in part]
    assert found
    assert not any(found)
    assert not list(folder.glob("out/merge*"))
    assert not list(folder.glob("out/image*"))


@pytest.mark.slow
@pytest.mark.parametrize("relabel", ["none", "components"])
def test_results_do_not_depend_on_blocks(folder: Path, relabel: Any) -> None:
    values = volume(seed=3)
    write(values)
    section = {"method": "labels", "relabel": relabel} | ({"connectivity": 18, "min_size": 30} if relabel != "none" else {})
    plans = [
        run(outdir=f"out{i}", block=block, segmentation=section, merge={"fan_out": 2}, evaluation=None)
        for i, block in enumerate(([16, 16, 16], [8, 32, 24]))
    ]
    want = values
    if relabel == "components":
        want = first_voxels(cc3d.connected_components(values, connectivity=18))
        names, counts = np.unique(want, return_counts=True)
        want = np.where(np.isin(want, names[counts < 30]), 0, want)
    for plan in plans:
        np.testing.assert_array_equal(segmentation(plan), want)
    tables = [pq.read_table(f"{plan.outdir}/objects/objects.parquet") for plan in plans]
    assert tables[0].to_pydict() == tables[1].to_pydict()
    for name in sorted((folder / "out0/segmentation/mesh").glob("*.shard")):
        meshes = name.read_bytes(), (folder / "out1/segmentation/mesh" / name.name).read_bytes()
        assert parts(meshes[0]) == parts(meshes[1])


def parts(data: Any) -> Any:
    """A shard without the record at its end."""
    return data[: data.rindex(b'{"')] if b'{"' in data else data


def test_a_region_of_the_source(folder: Path) -> None:
    values = volume()
    write(values)
    source = CONFIG["source"] | {"start": [5, -2, 10], "stop": [21, 15, 33]}
    plan = run(source=source, evaluation=None, meshes={"enabled": False}, skeletons={"enabled": False})
    assert plan.roi == Box((5, -2, 10), (21, 15, 33))
    np.testing.assert_array_equal(segmentation(plan), values[plan.roi.slices(OFFSET)])


def test_a_mask_takes_labels_away(folder: Path) -> None:
    values, inside = volume(), np.zeros(SHAPE, np.uint8)
    inside[3:17, 2:, 5:35] = 1
    write(values)
    write(inside, "mask.h5")
    mask = {"path": "mask.h5", "dataset": "labels", "voxel_size": [20, 10, 10], "offset": list(OFFSET)}
    plan = run(mask=mask, evaluation=None, meshes={"enabled": False}, skeletons={"enabled": False})
    np.testing.assert_array_equal(segmentation(plan), np.where(inside, values, 0))


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "int64"])
def test_other_integers(folder: Path, dtype: Any) -> None:
    values = volume(ids=np.array([0, 1, 2, np.iinfo(dtype).max], dtype))
    write(values)
    plan = run(evaluation=None, meshes={"enabled": False}, skeletons={"enabled": False})
    np.testing.assert_array_equal(segmentation(plan), values.astype(np.uint64))


@pytest.mark.slow
def test_what_is_chosen_by_id_is_found(folder: Path) -> None:
    values = volume()
    write(values)
    large = 2**64 - 1
    run(meshes=CONFIG["meshes"] | {"select": {"ids": [large]}}, skeletons=CONFIG["skeletons"] | {"ids": [large]})
    table = pq.read_table("out/objects/objects.parquet").to_pydict()
    lengths = dict(zip(table["id"], table["skeleton_um"], strict=True))
    assert [label for label, length in lengths.items() if length > 0] == [large]


BAD = {
    "floats": (np.zeros((8, 8, 8), np.float32), {}, "holds float32; name a volume of integers"),
    "a range": (volume(), {"source": CONFIG["source"] | {"range": [0, 1]}}, "source.range would change the labels"),
    "logits": (volume(), {"source": CONFIG["source"] | {"activation": "sigmoid"}}, "source.activation is sigmoid"),
    "a channel": (volume(), {"segmentation": {"method": "labels", "channel": 1}}, "segmentation.channel 1 does not exist"),
    "small objects": (volume(), {"segmentation": {"method": "labels", "min_size": 9}}, "keeps all; set relabel to components"),
    "connectivity": (
        volume(),
        {"segmentation": {"method": "labels", "connectivity": 26}},
        "does not apply with segmentation.relabel: none",
    ),
    "agglomeration": (volume(), {"agglomeration": {"threshold": 0.5}}, "segmentation.method is labels; set it to watershed"),
    "relabel": (volume(), {"segmentation": {"method": "labels", "relabel": "all"}}, "one of none, components"),
}


@pytest.mark.parametrize("what", BAD)
def test_what_cannot_be_is_refused(folder: Path, what: str) -> None:
    values, changed, says = BAD[what]
    write(values)
    with pytest.raises(ConnectomakeError) as caught:
        resolve(copy.deepcopy(CONFIG) | {"evaluation": None} | changed)
    assert says in str(caught.value)


def test_a_network_before_labels_is_refused(folder: Path) -> None:
    write(volume())
    (folder / "model.py").write_text("InstantiatedModel = None\n")
    network = {"model": "model.py", "patch": [8, 8, 8], "overlap": [2, 2, 2]}
    with pytest.raises(ConfigError, match="reads the labels of the source, without a network; leave inference out"):
        resolve(copy.deepcopy(CONFIG) | {"evaluation": None, "inference": network})


def test_a_negative_label_is_named_with_its_place(folder: Path) -> None:
    values = volume(ids=np.array([0, 1, 2]), shape=(20, 24, 40)).astype(np.int64)
    values[17, 3, 20] = -4
    write(values)
    plan = resolve(copy.deepcopy(CONFIG) | {"evaluation": None})
    block = plan.grid.ids_meeting(Box((20, -2, 27), (21, -1, 28)))[0]
    with pytest.raises(SystemExit):
        do(plan, "components", block)
    with pytest.raises(RunError, match=r"z, y, x = 20, -2, 27 is -4, but labels are 0 \(background\) or more"):
        number_block(values, Box.of_shape(values.shape, OFFSET), Box.of_shape(values.shape, OFFSET))


def test_no_merge_is_planned_where_ids_stay_and_one_where_they_do_not(folder: Path) -> None:
    write(volume())
    for relabel, planned in (("none", False), ("components", True)):
        plan = resolve(copy.deepcopy(CONFIG) | {"segmentation": {"method": "labels", "relabel": relabel}})
        names = {rule.name for rule in Stages(plan).rules()}
        assert ({"merge", "lookup"} <= names) == planned
        assert "image" not in names
        check_config(normalise(copy.deepcopy(plan.config)))


@pytest.mark.slow
def test_the_workflow_makes_it_and_verifies_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = copy.deepcopy(CONFIG) | {"evaluation": None, "report": {"enabled": True}}
    flow = Flow(tmp_path, config=config)
    monkeypatch.chdir(tmp_path)
    values = volume()
    write(values)
    flow.write()
    flow.run()
    np.testing.assert_array_equal(segmentation(flow.plan()), values)
    assert "Nothing to be done" in flow.run()
    changed = copy.deepcopy(config) | {"segmentation": {"method": "labels", "relabel": "components"}}
    jobs = flow.would_run(changed)
    assert jobs["components"] == flow.plan().grid.count
    assert jobs["merge"] >= 1
    command = [sys.executable, "-c", "from connectomake.cli import main; main()"]
    for words in (["verify", "--deep"], ["verify", "--deep", "--source"], ["progress"], ["summary"]):
        done = subprocess.run([*command, *words], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
