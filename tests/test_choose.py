"""`connectomake choose`: a mask of named blocks, of blocks at marked places, of drawn blocks."""

import json
import struct
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import yaml

from connectomake.cli import main
from connectomake.errors import ConfigError
from connectomake.geometry import Box
from connectomake.planning.chosen import MOST_VOXELS, draw, mask_of
from connectomake.planning.plan import Plan
from connectomake.planning.resolve import resolve
from connectomake.planning.spots import read_spots
from connectomake.proofreading.annotations import write_annotations
from tests.tiny_run import CONFIG, write_inputs

BASE: dict[str, Any] = {
    **CONFIG,
    "evaluation": None,
    "block": [8, 8, 8],
    "chunk": None,
}  # 20 × 24 × 40 voxels: 3 × 3 × 5 blocks
SIZE = (20.0, 10.0, 10.0)


@pytest.fixture(autouse=True)
def inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_inputs(tmp_path, BASE)


def call(*args: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["choose", *args])
    return int(ended.value.code or 0)


def with_mask(text: str, **more: Any) -> Plan:
    """The plan with the section that was printed."""
    return resolve({**BASE, **more, **yaml.safe_load(text[text.index("mask:\n") :])})


def inside(plan: Plan) -> set[int]:
    return {block for block in plan.grid.ids if not plan.is_outside(block)}


def test_named_and_marked_and_drawn_blocks_are_all_that_is_inside(capsys: pytest.CaptureFixture[str]) -> None:
    grid = resolve(BASE).grid
    Path("points.csv").write_text("name,x,y,z\nsoma,39,23,19\nspine,0.5,8,7.99\n")
    named = grid.id_at((1, 1, 2))
    assert call("m.h5", "--blocks", grid.name(named), "--points", "points.csv", "--random", "4", "--seed", "7") == 0
    plan = with_mask(capsys.readouterr().out)
    marked = {grid.id_at((2, 2, 4)), grid.id_at((0, 1, 0))}
    drawn = draw(set(grid.ids) - marked - {named}, 4, 7)
    assert len(inside(plan)) == 7
    assert inside(plan) == {named, *marked, *drawn}
    assert plan.mask is not None
    assert plan.mask.factors == (8, 8, 8)
    for block in grid.ids:
        assert plan.mask.open().inside(grid.box(block)).all() == (block in inside(plan))


def test_blocks_around_a_place_are_those_within_so_many_nm(capsys: pytest.CaptureFixture[str]) -> None:
    grid = resolve(BASE).grid
    Path("points.csv").write_text("z,y,x\n170,75,195\n")
    assert call("m.h5", "--points", "points.csv", "--unit", "nm", "--around", "9.5") == 0
    plan = with_mask(capsys.readouterr().out)
    places = {(z, y, x) for z in (1,) for y in (0, 1) for x in (2,)}  # z 160.5 to 179.5 is voxel 8; y 65.5 to 84.5: 6 to 8
    assert inside(plan) == set(map(grid.id_at, places))


@pytest.mark.parametrize("start", [[4, 0, 6], [3, 5, 7], [8, 8, 8]])
@pytest.mark.parametrize("masked", [False, True])
def test_the_mask_is_exact_wherever_the_region_begins_and_whatever_is_masked(start: list[int], masked: bool) -> None:
    source = {**CONFIG["source"], "start": start}
    config = {**BASE, "source": source}
    whole = np.ones((20, 24, 40), bool)
    if masked:
        coarse = np.random.default_rng(0).random((10, 6, 10)) > 0.4
        with h5py.File("old.h5", "w") as file:
            file["mask"] = coarse.astype(np.uint8)
        config["mask"] = {"path": "old.h5", "dataset": "mask", "voxel_size": [40, 40, 40]}
        whole = np.kron(coarse, np.ones((2, 4, 4))) > 0
    plan = resolve(config)
    blocks = [block for block in plan.grid.ids if not plan.is_outside(block)][::3]
    array, factors, offset = mask_of(plan, blocks)
    with h5py.File("new.h5", "w") as file:
        file["mask"] = array
    size = [f * s for f, s in zip(factors, SIZE, strict=True)]
    new = {"path": "new.h5", "dataset": "mask", "voxel_size": size, "offset": list(offset)}
    found = resolve({**config, "mask": new}).mask
    assert found is not None
    wanted = np.zeros(whole.shape, bool)
    for block in blocks:
        wanted[plan.grid.box(block).slices()] = True
    np.testing.assert_array_equal(found.open().inside(plan.roi), (wanted & whole)[plan.roi.slices()])


def test_a_larger_number_adds_to_the_blocks_of_a_smaller() -> None:
    blocks = range(1000)
    assert draw(blocks, 5, 1) == draw(blocks, 50, 1)[:5]
    assert set(draw(blocks, 50, 1)) != set(draw(blocks, 50, 2))
    assert [b for b in draw(blocks, 1000, 1) if b < 100] == draw(range(100), 100, 1), "whatever others there are"
    with pytest.raises(ConfigError, match=r"--random 3: only 2 blocks are left to draw from"):
        draw([1, 2], 3, 0)


DIMENSIONS = {"x": [1e-8, "m"], "y": [1e-8, "m"], "z": [2e-8, "m"]}
MARKED = [
    ({"type": "point", "point": [3.5, 2, 1]}, ((20, 20, 35), (20, 20, 35))),
    ({"type": "line", "pointA": [4, 2, 1], "pointB": [3, 5, 6]}, ((20, 20, 30), (120, 50, 40))),
    ({"type": "axis_aligned_bounding_box", "pointA": [1, 1, 1], "pointB": [0, 2, 3]}, ((20, 10, 0), (60, 20, 10))),
    ({"type": "ellipsoid", "center": [5, 5, 5], "radii": [1, 2, 3]}, ((40, 30, 40), (160, 70, 60))),
]


@pytest.mark.parametrize("order", ["xyz", "zyx"])
@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize(("annotation", "expected"), MARKED)
def test_annotations_of_a_state_are_read(annotation: dict[str, Any], expected: Any, own: bool, order: str) -> None:
    turned = {key: value if key == "type" else [value["xyz".index(n)] for n in order] for key, value in annotation.items()}
    dimensions = {name: DIMENSIONS[name] for name in order}
    source = {"url": "local://annotations", "transform": {"outputDimensions": dimensions}} if own else "local://annotations"
    layer = {"type": "annotation", "name": "spots", "source": source, "annotations": [turned]}
    other = {"x": [1, "m"], "y": [1, "m"], "z": [1, "m"]}
    state = {"dimensions": other if own else dimensions, "layers": [{"type": "image", "source": "precomputed://here"}, layer]}
    Path("state.json").write_text(json.dumps(state))
    np.testing.assert_allclose(read_spots("state.json", SIZE), [expected])


KINDS = {"float32": "<f", "uint32": "<I", "uint16": "<H", "uint8": "<B", "rgb": "3B"}


def write_layer(annotations: list[dict[str, Any]], properties: list[str], chunks: list[list[int]], order: str = "xyz") -> None:
    """Write annotations of one type as the format is described; `chunks` are the rows of each level's one file."""
    names = [key for key in annotations[0] if key != "type"]
    head = {"@type": "neuroglancer_annotations_v1", "dimensions": {n: DIMENSIONS[n] for n in order}, "relationships": []}
    levels = [{"key": f"spatial{i}", "grid_shape": [1, 1, 1], "chunk_size": [9, 9, 9], "limit": 9} for i in range(len(chunks))]
    types = [{"id": f"p{i}", "type": kind} for i, kind in enumerate(properties)]
    info = {**head, "annotation_type": annotations[0]["type"].upper(), "properties": types, "spatial": levels}
    Path("layer").mkdir()
    Path("layer/info").write_text(json.dumps(info))
    for level, rows in enumerate(chunks):
        data = struct.pack("<Q", len(rows))
        for row in rows:
            each = b"".join(struct.pack("<3f", *(annotations[row][n]["xyz".index(a)] for a in order)) for n in names)
            each += b"".join(struct.pack(KINDS[kind], *[7] * (3 if kind == "rgb" else 1)) for kind in properties)
            data += each + bytes(-len(each) % 4)
        Path(f"layer/spatial{level}").mkdir()
        Path(f"layer/spatial{level}/0_0_0").write_bytes(data + struct.pack(f"<{len(rows)}Q", *(row + 1 for row in rows)))


@pytest.mark.parametrize("properties", [[], ["float32", "uint16", "rgb"], ["uint8"]])
@pytest.mark.parametrize(("annotation", "expected"), MARKED)
def test_annotations_of_a_precomputed_layer_are_read(annotation: dict[str, Any], expected: Any, properties: list[str]) -> None:
    other = {key: value if key == "type" else [8, 8, 8] for key, value in annotation.items()}
    write_layer([other, annotation], properties, [[1], [0, 1]], "yzx" if properties else "xyz")
    found = read_spots("layer", SIZE)
    assert len(found) == 2, "each once"
    np.testing.assert_allclose(found[0], expected)


def test_a_layer_of_points_as_we_write_them_is_read() -> None:
    points = np.array([[1.5, 2, 3], [7, 8, 9.5]])
    values: dict[str, tuple[np.ndarray, str]] = {
        "rank": (np.arange(2, dtype=np.uint32), "place"),
        "kind": (np.zeros(2, np.uint8), ""),
    }
    write_annotations(Path("layer"), points, Box.of_shape((20, 24, 40)), SIZE, values, {"kind": ["a"]}, [[1, 2], [3]])
    np.testing.assert_allclose([low for low, _ in read_spots("layer", SIZE)], points * SIZE)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"annotation_type": "polyline"}, r"layer holds annotations of type polyline that are not supported; write a CSV"),
        ({"@type": "neuroglancer_skeletons"}, r"layer holds annotations of type point that are not supported"),
        ({"properties": [{"id": "a", "type": "string"}]}, r"layer holds annotations of type point that are not supported"),
        ({"spatial": [{"key": "spatial0", "sharding": {}}]}, r"layer is sharded, which is not supported; write a CSV"),
        ({"spatial": None}, r"layer is not an annotation layer"),
        (
            {"properties": [{"id": "a", "type": "uint8"}]},
            r"0_0_0 has 28 bytes, not those of 1 annotations; write the layer again",
        ),
        ({"dimensions": {"x": [1, "m"], "y": [1, "m"]}}, r"layer has dimensions .*; x, y and z with a scale"),
    ],
)
def test_a_layer_that_is_not_read_is_named(change: dict[str, Any], sentence: str) -> None:
    write_layer([{"type": "point", "point": [1, 2, 3]}], [], [[0]])
    info = json.loads(Path("layer/info").read_text())
    Path("layer/info").write_text(json.dumps(info | change))
    with pytest.raises(ConfigError, match=sentence):
        read_spots("layer", SIZE)


STATE = {
    "dimensions": DIMENSIONS,
    "layers": [{"type": "annotation", "name": "a", "annotations": [{"type": "point", "point": [1, 2, 3]}]}],
}
WRONG: list[tuple[str, str, str]] = [
    ("p.csv", "x,y\n1,2\n", r"p.csv has no column 'z'; its first line must name the columns"),
    ("p.csv", "z,y,x\n1,2,3\n1,?,3\n", r"p.csv, line 3: z, y and x must be numbers, got \['1', '\?', '3'\]"),
    ("p.csv", "z,y,x\n1,nan,3\n", r"p.csv, line 2: z, y and x must be numbers"),
    ("p.csv", "z,y,x\n1,2\n", r"p.csv, line 2: z, y and x must be numbers"),
    ("p.csv", "z,y,x\n", r"p.csv contains no positions"),
    ("p.json", "{", r"p.json is not a Neuroglancer state"),
    ("p.json", "[]", r"p.json is not a Neuroglancer state"),
    ("p.json", json.dumps({"layers": [{"type": "annotation", "source": "precomputed://x"}]}), r"has no local annotations"),
    ("p.json", json.dumps({**STATE, "dimensions": None}), r"layer 'a' has dimensions None; x, y and z with a scale in metres"),
    (
        "p.json",
        json.dumps({**STATE, "dimensions": {**DIMENSIONS, "t": [1, "s"]}}),
        r"has dimensions .*; x, y and z with a scale",
    ),
    ("p.json", json.dumps(STATE).replace("[1, 2, 3]", "[1, 2]"), r"is not a point, line, box or ellipsoid in x, y, z"),
    ("p.json", json.dumps(STATE).replace('"point",', '"blob",'), r"is not a point, line, box or ellipsoid in x, y, z"),
    ("p.json", json.dumps(STATE).replace("[1, 2, 3]", "[1, 2, NaN]"), r"has a coordinate that is not a finite number"),
    (
        "p.json",
        json.dumps(STATE).replace(
            '"name"', '"source": {"transform": {"matrix": [[2, 0, 0, 0]], "outputDimensions": {}}}, "name"'
        ),
        r"layer 'a' has a transform; remove it",
    ),
]


@pytest.mark.parametrize(("name", "text", "sentence"), WRONG)
def test_places_that_are_none_are_named(name: str, text: str, sentence: str) -> None:
    Path(name).write_text(text)
    with pytest.raises(ConfigError, match=sentence):
        read_spots(name, SIZE)


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        ((), "no block was chosen; give --blocks, --points or --random"),
        (("--blocks", "zz"), "block 'zz' does not exist"),
        (("--points", "far.csv"), "no position lies in the region of interest"),
        (("--points", "nowhere.csv"), "--points nowhere.csv cannot be read"),
        (("--random", "46"), "--random 46: only 45 blocks are left to draw from"),
    ],
)
def test_a_wrong_choice_is_one_sentence_and_writes_nothing(
    args: tuple[str, ...], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("far.csv").write_text("z,y,x\n200,75,195\n")
    assert call("m.h5", *args) == 1
    assert sentence in " ".join(capsys.readouterr().err.split())
    assert not Path("m.h5").exists()


def test_a_mask_that_is_there_stays(capsys: pytest.CaptureFixture[str]) -> None:
    Path("m.h5").write_bytes(b"mine")
    assert call("m.h5", "--random", "1") == 1
    assert "m.h5 exists" in capsys.readouterr().err
    assert Path("m.h5").read_bytes() == b"mine"
    assert call("m.zarr", "--random", "1") == 1


def test_a_mask_on_no_lattice_is_not_written_at_full_size(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = resolve({**BASE, "source": {**CONFIG["source"], "start": [3, 5, 7]}})
    assert plan.roi.volume < MOST_VOXELS
    monkeypatch.setattr("connectomake.planning.chosen.MOST_VOXELS", 100)
    with pytest.raises(ConfigError, match=r"set source.start to multiples of the block, \[8, 8, 8\], such as \[0, 0, 0\]"):
        mask_of(plan, [0])
