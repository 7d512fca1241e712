"""A mask: exact to the voxel at any scale, known before blocks are scheduled, the same for any blocks."""

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import label

from connectomake.budget.work import byte_units, job_counts, time_units
from connectomake.cli import main
from connectomake.errors import ConfigError, SourceError
from connectomake.geometry import BlockGrid, Box, Octree, as_vec, sparse, spread, upper_offsets
from connectomake.layers import read_box, read_record
from connectomake.pipeline.registry import Stages
from connectomake.planning.group_tree import GroupTree
from connectomake.planning.mask import _looked_at
from connectomake.planning.plan import Plan
from connectomake.planning.resolve import prepare_plan, resolve
from connectomake.planning.sections import section_blocks, section_boxes
from connectomake.queueing.bounds import plan_paths
from connectomake.reporting.stage_files import stage_files, stages_of_files
from connectomake.sources import Source
from connectomake.sources.mask import Mask, masked
from tests.flow import Flow
from tests.rule_jobs import do, do_all
from tests.test_sources import make_precomputed
from tests.tiny_run import CONFIG, write_inputs

SHAPE = (20, 24, 40)
LISTED = ("image", "affinity", "components", "merge", "lookup", "segmentation")


def source_of(array: np.ndarray, start: tuple[Any, ...]) -> Source:
    """A source of one channel that reads an array (z, y, x)."""
    bounds = Box.of_shape(array.shape, start)
    return Source(
        "mask", "hdf5", bounds, 1, array.dtype.name, (1.0, 1.0, 1.0), "id",
        lambda box: array[np.newaxis][(slice(None), *box.slices(start))],
    )  # fmt: skip


def upsampled(array: np.ndarray, start: tuple[Any, ...], factors: tuple[Any, ...], box: Box, inverse: bool) -> np.ndarray:
    """Whether each voxel of a box is inside, one by one."""
    found = np.zeros(box.shape, bool)
    for place in np.ndindex(*box.shape):
        coarse = tuple((p + a) // f - s for p, a, f, s in zip(place, box.start, factors, start, strict=True))
        there = all(0 <= c < n for c, n in zip(coarse, array.shape, strict=True))
        found[place] = (there and array[coarse] != 0) != inverse
    return found


vectors = st.tuples(*[st.integers(1, 6)] * 3)
starts = st.tuples(*[st.integers(-9, 9)] * 3)


@st.composite
def masks(draw: st.DrawFn) -> tuple[Any, ...]:
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    array = (rng.random(draw(vectors)) > draw(st.sampled_from([0.3, 0.8]))).astype(draw(st.sampled_from(["uint8", "uint64"])))
    return array * array.dtype.type(7), draw(starts), draw(vectors), draw(st.booleans())


@settings(max_examples=60, deadline=None)
@given(masks(), starts, vectors)
def test_a_coarse_mask_says_of_each_voxel_where_it_lies(
    given: tuple[Any, ...], start: tuple[int, int, int], shape: tuple[int, int, int]
) -> None:
    array, at, factors, inverse = given
    box = Box.of_shape(shape, start)
    mask = Mask(source_of(array, at), factors, inverse)
    np.testing.assert_array_equal(mask.inside(box), upsampled(array, at, factors, box, inverse))


@settings(max_examples=40, deadline=None)
@given(masks(), starts, vectors, st.tuples(*[st.integers(1, 17)] * 3))
def test_blocks_wholly_outside_are_known(
    given: tuple[Any, ...], start: Any, block: tuple[int, int, int], shape: tuple[int, int, int]
) -> None:
    array, at, factors, inverse = given
    mask, grid = Mask(source_of(array, at), factors, inverse), BlockGrid(Box.of_shape(shape, start), block)
    found = dict(_looked_at(mask, grid))
    assert sorted(found) == list(grid.ids)
    for block_id, inside in found.items():
        assert inside == mask.inside(grid.box(block_id)).any()


@settings(max_examples=30, deadline=None)
@given(masks(), st.tuples(*[st.integers(2, 9)] * 3), vectors)
def test_affinities_across_the_edge_of_a_mask_are_left_out(
    given: tuple[Any, ...], shape: tuple[int, int, int], block: tuple[int, int, int]
) -> None:
    array, at, factors, inverse = given
    mask, grid = Mask(source_of(array, at), factors, inverse), BlockGrid(Box.of_shape(shape), block)
    values = np.random.default_rng(0).random((4, *shape)).astype(np.float32)
    inside = upsampled(array, at, factors, Box.of_shape(shape).grow(1), inverse)
    own = inside[1:-1, 1:-1, 1:-1]
    expected = values * own
    expected[2] *= inside[:-2, 1:-1, 1:-1]
    expected[0] *= inside[1:-1, :-2, 1:-1]
    expected[3] *= inside[1:-1, 1:-1, :-2]
    read = masked(lambda box: values[(slice(None), *box.slices())], mask, 4, "float32", (2, 0, 3))
    for i in grid.ids:
        np.testing.assert_array_equal(read(grid.box(i)), expected[(slice(None), *grid.box(i).slices())])


@settings(max_examples=30, deadline=None)
@given(masks(), starts, vectors)
def test_parts_of_a_block_know_whether_the_network_is_needed(given: Any, start: Any, shape: tuple[int, int, int]) -> None:
    array, at, factors, inverse = given
    block = Box.of_shape(shape, start)
    mask = Mask(source_of(array, at), factors, inverse)
    meets = mask.meeting(block)
    for part in BlockGrid(block, (2, 3, 1)).ids:
        box = BlockGrid(block, (2, 3, 1)).box(part)
        assert meets(box) == mask.inside(box).any()


@settings(max_examples=60, deadline=None)
@given(vectors, st.integers(0, 99), st.integers(1, 4))
def test_an_octree_and_groups_of_some_blocks_are_those_that_hold_one(shape: tuple[int, int, int], seed: int, bits: int) -> None:
    asked = np.random.default_rng(seed).random(shape) > 0.7
    asked[tuple(n // 2 for n in shape)] = True
    grid = BlockGrid(Box.of_shape(shape), (1, 1, 1))
    some, place = sparse(grid, asked), {block: grid.position(block) for block in grid.ids}
    assert some.ids == tuple(block for block in grid.ids if asked[place[block]])
    for block in grid.ids:
        around = grid.neighbours(block, upper_offsets())
        assert some.neighbours(block, upper_offsets()) == [n for n in around if asked[place[n]]]
    octree, whole = Octree(some, bits), Octree(grid, bits)
    groups, all_groups = GroupTree(grid, 1, bits, some), GroupTree(grid, 1, bits)
    assert octree.levels == whole.levels
    for level in range(1, octree.levels + 1):
        held = {node: [b for b in whole.blocks(level, node) if asked[place[b]]] for node in whole.nodes(level)}
        assert octree.nodes(level) == tuple(node for node, blocks in held.items() if blocks)
        assert octree.counts()[level - 1] == len(octree.nodes(level))
        for node, blocks in held.items():
            assert octree.exists(level, node) == bool(blocks)
            assert octree.blocks(level, node) == blocks
    holding = [g for g in all_groups.nodes(0) if any(asked[place[block]] for block in all_groups.children(0, g))]
    assert groups.nodes(0) == holding
    for group in groups.nodes(0):
        assert groups.children(0, group) == all_groups.children(0, group), "the segmentation is whole"
    for level in range(1, groups.top + 1):
        below = [child for node in groups.nodes(level) for child in groups.children(level, node)]
        assert below == groups.nodes(level - 1)
    assert len(groups.nodes(groups.top)) <= 1 << bits


@settings(max_examples=40, deadline=None)
@given(vectors, st.integers(0, 99), st.tuples(*[st.integers(0, 2)] * 3), st.tuples(*[st.integers(0, 2)] * 3))
def test_blocks_near_those_that_are_asked_for(shape: Any, seed: int, low: Any, high: Any) -> None:
    asked = np.random.default_rng(seed).random(shape) > 0.8
    found = spread(asked, low, high)
    for place in np.ndindex(*shape):
        box = tuple(slice(max(p - a, 0), p + b + 1) for p, a, b in zip(place, low, high, strict=True))
        assert found[place] == asked[box].any()


@pytest.mark.slow
def test_the_network_is_not_asked_about_patches_that_nobody_sees(
    inputs: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    plan = prepared(config_of(block=[32, 32, 64], chunk=None, keep=["affinity"]))
    rules = Stages(plan)
    for name in ("image", "affinity"):
        do_all(plan, rules.rule(name))
    assert plan.inference is not None
    lattice, inside = plan.inference.lattice(plan.roi), whole(coarse_mask())
    outputs = [Box.of_shape(plan.inference.output_patch, as_vec(s)) for s in lattice.patches_meeting(plan.roi).tolist()]
    used = sum(inside[box.intersect(plan.roi).slices()].any() for box in outputs)
    assert 0 < used < len(outputs)
    said = capsys.readouterr().out
    assert f"patches={len(outputs)}, constant=0, unused={len(outputs) - used}, passes={used}," in said


def coarse_mask() -> np.ndarray:
    """One object of 2 × 4 × 4 source voxels to a voxel, in one half of the volume."""
    mask = np.zeros((10, 6, 10), np.uint8)
    mask[1:9, 1:5, 1:5] = 9
    mask[4, 3, 3] = 0
    return mask


def whole(mask: np.ndarray) -> np.ndarray:
    return np.kron(mask != 0, np.ones((2, 4, 4))) > 0


def config_of(**more: object) -> dict[str, Any]:
    mask = {"path": "mask.h5", "dataset": "mask", "voxel_size": [40, 40, 40]}
    rest = {"evaluation": None, "pyramid": {"enabled": False}, "meshes": {"enabled": False}}
    return {**CONFIG, **rest, "mask": mask, **more}


def write_mask(mask: np.ndarray) -> None:
    with h5py.File("mask.h5", "w") as file:
        file["mask"] = mask


@pytest.fixture
def inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    monkeypatch.chdir(tmp_path)
    write_inputs(tmp_path)
    write_mask(coarse_mask())
    with h5py.File("raw.h5") as file:
        return np.asarray(file["raw"][...])


def prepared(config: dict[str, Any]) -> Plan:
    prepare_plan(config)
    return resolve(config)


def made(config: dict[str, Any]) -> Plan:
    plan = prepared(config)
    for rule in Stages(plan).rules():
        if rule.name in LISTED:
            do_all(plan, rule)
    return plan


def layer(plan: Plan, name: str) -> np.ndarray:
    return read_box(Path(plan.outdir, name), plan.layers[name], plan.roi)


@pytest.mark.slow
@pytest.mark.parametrize("inverse", [False, True])
def test_what_is_outside_is_background_for_any_blocks(inputs: np.ndarray, inverse: Any) -> None:
    Path("pre").mkdir()
    make_precomputed(Path("pre"), inputs[np.newaxis], (0, 0, 0))
    plain = layer(made(config_of(mask=None, outdir="plain")), "affinity")
    inside = whole(coarse_mask()) != inverse
    segmentations = []
    for block, source in (([16, 16, 16], {}), ([8, 8, 32], {}), ([4, 8, 8], {"path": "pre", "dataset": None}), ([32] * 3, {})):
        config = config_of(outdir=f"out{'-'.join(map(str, block))}", block=block, chunk=None)
        config["source"] = {**config["source"], **source}
        config["mask"] = {**config["mask"], "inverse": inverse}
        plan = made(config)
        np.testing.assert_array_equal(layer(plan, "affinity"), np.where(inside, plain, 0))
        segmentations.append(layer(plan, "segmentation"))
        np.testing.assert_array_equal(segmentations[-1], segmentations[0])
    objects = label(np.where(inside, plain[0], 0) > 127, connectivity=1)  # type: ignore[no-untyped-call]  # has no types
    sizes = np.bincount(objects.ravel())
    np.testing.assert_array_equal(segmentations[0][0] > 0, (objects > 0) & (sizes[objects] >= 5))
    assert np.unique(segmentations[0]).size == 1 + (sizes[1:] >= 5).sum()


@pytest.mark.slow
def test_basins_end_at_the_mask(inputs: np.ndarray) -> None:
    """A watershed of a masked probability is that of one in which the affinities outside and across the edge are 0."""
    values = np.random.default_rng(1).random((3, *SHAPE)).astype(np.float32) ** 0.3
    inside = whole(coarse_mask())
    zeroed = values * inside
    for axis in range(3):
        lower = np.zeros_like(inside)
        lower[(slice(None),) * axis + (slice(1, None),)] = inside[(slice(None),) * axis + (slice(None, -1),)]
        zeroed[axis] *= lower
    found = []
    for name, array, mask, block in (
        ("reference", zeroed, None, [32, 32, 64]), ("a", values, {}, [16, 16, 16]), ("b", values, {}, [8, 8, 32]),
    ):  # fmt: skip
        with h5py.File(f"{name}.h5", "w") as file:
            file["v"] = array
        config = config_of(outdir=f"out-{name}", block=block, chunk=None, inference=None)
        config["source"] = {"path": f"{name}.h5", "dataset": "v", "voxel_size": [20, 10, 10]}
        config["segmentation"] = {"method": "watershed", "t_low": 0.4, "t_high": 0.95, "min_size": 0}
        found.append(layer(made(config if mask is not None else {**config, "mask": None}), "segmentation"))
    assert np.unique(found[0]).size > 50
    np.testing.assert_array_equal(found[1], found[0])
    np.testing.assert_array_equal(found[2], found[0])


def test_blocks_outside_need_no_image_and_no_network(inputs: np.ndarray, capsys: pytest.CaptureFixture[str]) -> None:
    plan = resolve(config_of(block=[8, 8, 8], chunk=None))
    affinity, components = (Stages(plan).rule(name) for name in ("affinity", "components"))
    inside = whole(coarse_mask())
    outside = [b for b in plan.grid.ids if not inside[plan.grid.box(b).slices()].any()]
    assert 0 < len(outside) < plan.grid.count
    assert [b for b in plan.grid.ids if plan.is_outside(b)] == outside
    assert plan.mask is not None
    assert plan.mask.count == len(outside)
    assert not any(list(affinity.inputs(b)["image"]) for b in outside)
    asked = {b for block in plan.grid.ids for b, _ in components.inputs(block)["probability"]}
    assert asked == set(plan.grid.ids) - set(outside)
    assert Plan.from_json(json.loads(json.dumps(plan.to_json()))) == plan
    do(plan, affinity, outside[0])
    path = affinity.outputs(outside[0])["shard"]
    assert read_record(path)["read"] == {"source": []}, "verify --source knows that nothing was read"
    assert not read_box({outside[0]: path}, plan.layers["affinity"], plan.grid.box(outside[0])).any()


def test_a_report_shows_the_blocks_that_a_mask_leaves(inputs: dict[str, Any]) -> None:
    few, many = resolve(config_of(block=[16, 16, 16], chunk=None)), resolve(config_of(block=[4, 4, 4], chunk=[2, 2, 2]))
    inside = [block for block in few.grid.ids if not few.is_outside(block)]
    boxes = section_boxes(few, 3)
    assert [few.grid.ids_meeting(box) for box in boxes] == [[block] for block in inside]
    assert 1 < len(boxes) < few.grid.count
    assert len(section_boxes(many, 3)) == 3
    assert all(not many.is_outside(block) for block in section_blocks(many, 3))
    whole = resolve(config_of(mask=None))
    assert [box.shape for box in section_boxes(whole, 3)] == [(1, *SHAPE[1:])] * 3


def test_an_export_follows_the_mask(inputs: np.ndarray, capsys: pytest.CaptureFixture[str]) -> None:
    config = config_of(block=[10, 12, 20], chunk=None, keep=["affinity"])
    prepare_plan(config)
    plan = resolve(config)
    stages = Stages(plan)
    for name in ("image", "affinity", "info"):
        do_all(plan, stages.rule(name))
    Path("config.yaml").write_text(yaml.safe_dump(config))
    want = layer(plan, "affinity")
    shards = {b: Path(stages.rule("affinity").outputs(b)["shard"]) for b in plan.grid.ids}
    outside = [b for b in plan.grid.ids if plan.is_outside(b)]
    for block in outside:
        shards[block].unlink()

    def export() -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            main(["export", "config.yaml", "affinity", "a.h5", "--overwrite"])
        return int(ended.value.code or 0), capsys.readouterr().err

    code, said = export()
    assert code == 0, said
    assert f"note: {len(outside)} storage chunks of" in said
    with h5py.File("a.h5") as file:
        np.testing.assert_array_equal(file["main"][...], want[0])
    lost = next(b for b in plan.grid.ids if not plan.is_outside(b))
    shards[lost].unlink()
    code, said = export()
    assert code == 1, "a block that is inside is needed"
    assert shards[lost].name in said


def test_an_export_of_the_image_follows_the_mask(inputs: np.ndarray, capsys: pytest.CaptureFixture[str]) -> None:
    """Of blocks outside only those are ingested that the network sees beside blocks inside."""
    config = config_of(block=[10, 12, 10], chunk=None, keep=["image"])
    prepare_plan(config)
    plan = resolve(config)
    stages = Stages(plan)
    image, affinity = stages.rule("image"), stages.rule("affinity")
    needed = {b for item in plan.grid.ids for b in image_blocks_of(affinity, item)}
    assert needed < {*plan.grid.ids}
    for block in needed:
        do(plan, image, block)
    do_all(plan, stages.rule("info"))
    Path("config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(SystemExit) as ended:
        main(["export", "config.yaml", "image", "a.h5"])
    assert not ended.value.code, capsys.readouterr().err
    assert "are not there; their" in capsys.readouterr().err
    with h5py.File("a.h5") as file:
        found = file["main"][...]
    for block in plan.grid.ids:
        part = plan.grid.box(block).slices()
        np.testing.assert_array_equal(found[part], inputs[part] if block in needed else 0)


def image_blocks_of(affinity: Any, item: int) -> list[int]:
    return [b for b, _ in affinity.inputs(item)["image"]]


@pytest.mark.slow
def test_blocks_outside_are_not_scheduled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flow = Flow(tmp_path / "run").make()
    monkeypatch.chdir(flow.folder)
    mask = np.zeros(flow.shape, np.uint8)
    mask[:, :, :20] = 1
    write_mask(mask)
    within = {"path": "mask.h5", "dataset": "mask", "voxel_size": [20, 10, 10]}
    config = flow.with_values(block=[16, 16, 16], chunk=[8, 8, 8], keep=[], meshes__enabled=False, mask=within)
    counts = flow.would_run(config)
    plan = flow.plan(config)
    assert plan.mask is not None
    inside = plan.grid.count - plan.mask.count
    assert counts["affinity"] == inside == plan.grid.count * 2 // 3
    assert counts["components"] == inside
    assert counts["segmentation"] == plan.grid.count
    assert flow.would_run({**config, "mask": None})["affinity"] == plan.grid.count


def test_a_mask_is_in_the_params_only_where_there_is_one(inputs: np.ndarray) -> None:
    def params(config: dict[str, Any]) -> dict[str, str]:
        stages = Stages(resolve(config))
        return {name: stages.param(name) for name in stages.names}

    none, one = params(config_of(mask=None)), params(config_of())
    changed = {name for name in ("image", "affinity", "components") if none[name] != one[name]}
    assert changed == {"affinity", "components"}
    assert not any("mask" in text for text in none.values())
    assert params(config_of(mask={**config_of()["mask"], "inverse": True}))["affinity"] != one["affinity"]
    Path("mask.h5").rename("moved.h5")
    assert params(config_of(mask={**config_of()["mask"], "path": "moved.h5"})) == one


WRONG = [
    (
        {"voxel_size": [30, 40, 40]},
        r"\[30.0, 40.0, 40.0\] nm, which are not whole multiples of the source's, \[20.0, 10.0, 10.0\]",
    ),
    ({"voxel_size": [10, 10, 10]}, r"not whole multiples"),
    ({"voxel_size": None}, r"has no voxel size; set mask.voxel_size"),
    (
        {"offset": [100, 0, 0]},
        r"mask.path 'mask.h5' leaves no voxel of the region of interest.*correct mask.offset, or mask.inverse",
    ),
    ({"path": "nowhere.h5"}, r"mask.path .*nowhere.h5 does not exist"),
    ({"dataset": "channels"}, r"mask.path 'mask.h5' has 2 channels; a mask has one"),
    ({"invers": True}, r"unknown key 'invers' in mask; did you mean 'inverse'"),
]


@pytest.mark.parametrize(("values", "sentence"), WRONG)
def test_a_mask_that_does_not_fit_is_named(inputs: np.ndarray, values: Any, sentence: str) -> None:
    with h5py.File("mask.h5", "a") as file:
        file["channels"] = np.ones((2, 10, 6, 10), np.uint8)
    with pytest.raises((ConfigError, SourceError), match=sentence):
        resolve(config_of(mask={**config_of()["mask"], **values}))


def test_a_mask_whose_place_nobody_knows_is_asked_for(inputs: np.ndarray) -> None:
    config = config_of()
    config["source"] = {**config["source"], "offset": [5, 0, 0]}
    with pytest.raises(
        ConfigError, match=r"the source begins at \[5, 0, 0\], and where mask.path 'mask.h5' begins is not known"
    ):
        resolve(config)
    config["mask"] = {**config["mask"], "offset": [1, 0, 0]}
    note = next(note for note in resolve(config).notes if "mask" in note)
    assert "covers z 2:22, y 0:24, x 0:40 of the source's voxels, not all of the region, z 5:25" in note


def test_a_mask_that_changed_since_the_plan_is_refused(inputs: np.ndarray) -> None:
    plan = resolve(config_of())
    mask = coarse_mask()
    mask[5] = 0
    write_mask(mask)
    assert plan.mask is not None
    with pytest.raises(SourceError, match=r"mask mask.h5 has changed since the plan was made"):
        plan.mask.open()


def test_check_and_queues_know_the_mask(inputs: np.ndarray, capsys: pytest.CaptureFixture[str]) -> None:
    Path("config.yaml").write_text(yaml.safe_dump(config_of(block=[8, 8, 8], chunk=None)))
    with pytest.raises(SystemExit) as ended:
        main(["check", "--fast"])
    assert not ended.value.code
    assert "blocks lie wholly outside the mask; the network is not asked for them" in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        main(["where", "0", "0", "39"])
    text = capsys.readouterr().out
    assert not ended.value.code
    assert "wholly outside the mask: background" in text
    assert "segmentation" in text
    assert not any(f"out/{stage}/" in text for stage in ("components", "merge")), "there are no such jobs"
    assert ("mask.path", "mask.h5") in set(plan_paths(resolve(config_of()).to_json()))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("keep", "more"),
    [
        ([], {}),
        (["affinity"], {}),
        (["image"], {}),
        (["image", "affinity", "components"], {}),
        ([], {"inference": None}),
        (["image"], {"inference": None}),
    ],
)
def test_jobs_are_counted_as_snakemake_schedules_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep: list[str], more: dict[str, Any]
) -> None:
    flow = Flow(tmp_path / "run").make()
    monkeypatch.chdir(flow.folder)
    mask = np.zeros(flow.shape, np.uint8)
    mask[:9, :, :11] = 1
    write_mask(mask)
    within = {"path": "mask.h5", "dataset": "mask", "voxel_size": [20, 10, 10]}
    config = flow.with_values(block=[8, 8, 8], chunk=[4, 4, 4], keep=keep, meshes__enabled=False, mask=within, **more)
    plan = flow.plan(config)
    counted = {rule: count for rule, count in job_counts(plan).items() if count}
    assert counted == flow.would_run(config)
    files = stages_of_files(plan, stage_files(plan))
    assert {t.stage: t.total for t in files} == {rule: counted[rule] for rule in (t.stage for t in files)}
    for rule in Stages(plan).rules():
        assert rule.count() == len(list(rule.items()))
    fewer = {name for name in ("affinity", "image") if name in counted and counted[name] < plan.layers[name].grid.count}
    assert fewer == {"affinity", "image"} & set(counted) - set(keep)


@pytest.mark.parametrize("keep", [[], ["image", "affinity"]])
def test_plans_count_time_and_bytes_of_what_is_inside(inputs: np.ndarray, keep: list[str]) -> None:
    config = config_of(block=[8, 8, 8], chunk=[4, 4, 4], keep=keep)
    plan, whole = resolve(config), resolve({**config, "mask": None})
    assert plan.mask is not None
    share = 1 - plan.mask.count / plan.grid.count
    for name in ("affinity", "image"):
        rule, other = (Stages(p).rule(name) for p in (plan, whole))
        kept = name in keep
        jobs = rule.count() / other.count()
        assert (jobs == 1) == kept
        wanted = share if name == "affinity" else jobs
        assert time_units(rule) == pytest.approx(wanted * time_units(other))
        path = rule.outputs(0)["shard"]
        assert byte_units(rule, path) == pytest.approx(wanted * byte_units(other, path))
