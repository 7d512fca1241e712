"""Clefts and the cells around them: against plain Python and numpy on the whole, for any tiles, places and voxel sizes."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from neuroglancer.read_precomputed_annotations import AnnotationReader  # type: ignore[import-untyped]
from scipy import ndimage

from connectomake.cli import main
from connectomake.errors import ConfigError, SourceError
from connectomake.evaluation import tiles_of
from connectomake.geometry import Box
from connectomake.synapses import clefts as cleft_module
from connectomake.synapses.clefts import clefts_of
from connectomake.synapses.partners import synapse_columns
from connectomake.synapses.reach import ball_of
from tests.test_overlap import volume

EXACT = [*"synapse clefts voxels z y x partner_1 voxels_1 partner_2 voxels_2 cells cell_voxels".split()]  # noqa: SIM905
PARTNER = "partner_{0} voxels_{0} z_{0}_nm y_{0}_nm x_{0}_nm"
NAMES = f"synapse clefts voxels z y x z_nm y_nm x_nm {PARTNER.format(1)} {PARTNER.format(2)} cells cell_voxels".split()


def mean(places: Any) -> list[Fraction]:
    """The mean of middles of voxels, in voxels."""
    return [sum((Fraction(2 * p[i] + 1, 2) for p in places), Fraction(0)) / len(places) for i in range(3)]


def apart(a: Any, b: Any, size: Any) -> Fraction:
    """The squared distance in nm."""
    return sum(
        ((Fraction(p) - Fraction(q)) ** 2 * Fraction(str(v)) ** 2 for p, q, v in zip(a, b, size, strict=True)), Fraction(0)
    )


def places_of(mask: Any, start: Any) -> list[tuple[int, ...]]:
    return [tuple(int(p) + s for p, s in zip(place, start, strict=True)) for place in np.argwhere(mask)]


def reach_of(clefts: Any, cells: Any, cleft: int, reach: float, size: Any) -> Any:
    """The voxels of cells that are within reach of a cleft, by comparing all with all in tenths of nanometres."""
    tenths = np.array([round(10 * v) for v in size])
    own = np.argwhere(clefts == cleft) * tenths
    near = np.zeros(clefts.shape, bool)
    for place in np.argwhere(cells):
        near[tuple(place)] = ((own - place * tenths) ** 2).sum(axis=1).min() <= round(10 * reach) ** 2
    return near


def reference(
    clefts: Any, cells: Any, start: Any, size: Any, reach: float, within: float | None, least: int
) -> list[dict[str, Any]]:
    """The rows by plain Python."""
    parts = {}
    for cleft in sorted(set(clefts[clefts > 0].tolist())):
        own = places_of(clefts == cleft, start)
        if len(own) >= least:
            near = reach_of(clefts, cells, cleft, reach, size)
            around = {c: places_of(near & (cells == c), start) for c in sorted(set(cells[near].tolist()))}
            parts[cleft] = (own, around)
    groups = {cleft: {cleft} for cleft in parts}
    for a in parts:
        for b in parts:
            pairs = [set(ranks(parts[c][1])[:2]) for c in (a, b)]
            same = within is not None and a != b and len(pairs[0]) == 2 and pairs[0] == pairs[1]
            if same and apart(mean(parts[a][0]), mean(parts[b][0]), size) <= Fraction(str(within)) ** 2:
                whole = groups[a] | groups[b]
                groups |= dict.fromkeys(whole, whole)
    return [row_of([parts[c] for c in sorted(g)], sorted(g), size) for g in sorted({tuple(sorted(g)) for g in groups.values()})]


def ranks(around: Any) -> list[int]:
    return sorted(around, key=lambda c: (-len(around[c]), c))


def row_of(parts: Any, ids: list[int], size: Any) -> dict[str, Any]:
    own = sorted(p for part, _ in parts for p in part)
    around: dict[int, Any] = {}
    for _, near in parts:
        for cell, places in near.items():
            around.setdefault(cell, []).extend(places)
    centre = mean(own)
    anchor = min(own, key=lambda p: (apart([Fraction(2 * v + 1, 2) for v in p], centre, size), p))
    order = ranks(around)
    row: dict[str, Any] = {"synapse": ids[0], "clefts": " ".join(map(str, ids)), "voxels": len(own)}
    row |= dict(zip("zyx", anchor, strict=True))
    row |= {f"{axis}_nm": float(c) * v for axis, c, v in zip("zyx", centre, size, strict=True)}
    for number in (1, 2):
        there = around[order[number - 1]] if len(order) >= number else []
        row |= {f"partner_{number}": order[number - 1] if there else 0, f"voxels_{number}": len(there)}
        middle = mean(there) if there else centre
        row |= {f"{axis}_{number}_nm": float(c) * v for axis, c, v in zip("zyx", middle, size, strict=True)}
    return row | {"cells": " ".join(map(str, order)), "cell_voxels": " ".join(str(len(around[c])) for c in order)}


def check(columns: Any, want: list[dict[str, Any]]) -> None:
    assert list(columns) == NAMES
    for name, column in columns.items():
        found, expected = list(column if isinstance(column, list) else column.tolist()), [row[name] for row in want]
        if name in EXACT:
            assert found == expected, name
        else:
            np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-9, err_msg=name)


def table(clefts: Any, cells: Any, tiles: list[Box], box: Box, size: Any, reach: float, *more: Any) -> Any:
    def read_clefts(part: Box) -> Any:
        return clefts[part.slices(box.start)]

    found = clefts_of(read_clefts, lambda part: cells[part.slices(box.start)], tiles, box, ball_of(reach, size, box.shape))
    return synapse_columns(found, read_clefts, box, size, *more)


shapes, tiles = st.tuples(*[st.integers(1, 6)] * 3), st.tuples(*[st.integers(1, 4)] * 3)
places = st.tuples(*[st.integers(-9, 99)] * 3)
sizes = st.tuples(*[st.sampled_from([0.5, 4.0, 18.6, 40.0])] * 3)
lengths = st.sampled_from([0.0, 0.5, 4.0, 5.7, 18.6, 37.2, 40.0, 1000.0])


@settings(max_examples=40, deadline=None)
@given(shapes, tiles, places, sizes, lengths, st.none() | lengths, st.integers(1, 3), st.integers(0, 2**31))
def test_the_table_is_that_of_plain_python(
    shape: Any, tile: Any, start: Any, size: Any, reach: float, within: float | None, least: int, seed: int
) -> None:
    clefts, cells = volume(shape, seed, 1 + seed % 2), volume(shape, seed + 1, 3)
    clefts.flat[0] = clefts.flat[0] or 7  # there is a cleft
    box = Box.of_shape(shape, start)
    whole = table(clefts, cells, [box], box, size, reach, within, least)
    check(whole, reference(clefts, cells, start, size, reach, within, least))
    cut = table(clefts, cells, tiles_of(box, tile)[::-1], box, size, reach, within, least)
    for name, column in whole.items():
        assert column.tobytes() == cut[name].tobytes(), name


def blobs(shape: Any, seed: int, count: int) -> Any:
    """Balls with ids, 0 between them."""
    rng = np.random.default_rng(seed)
    seeds = np.zeros(shape, np.uint64)
    for i in range(count):
        seeds[tuple(rng.integers(0, shape))] = 3 * i + 2**40
    far, nearest = ndimage.distance_transform_edt(seeds == 0, return_indices=True)
    return np.where(far < 4, seeds[tuple(nearest)], 0)


@pytest.mark.parametrize("reach", [0.0, 16.0, 30.0])
def test_voxels_within_reach_are_those_of_scipy(reach: float) -> None:
    shape, size = (20, 44, 40), (9.0, 4.0, 4.1)
    clefts, cells = blobs(shape, 1, 25), volume(shape, 2, 7)
    box = Box.of_shape(shape, (5, 6, -7))
    columns = table(clefts, cells, tiles_of(box, (7, 16, 13)), box, size, reach)
    assert len(columns["synapse"]) > 15
    for cleft, ids, voxels in zip(*(columns[n].tolist() for n in ("synapse", "cells", "cell_voxels")), strict=True):
        near = ndimage.distance_transform_edt(clefts != cleft, sampling=size) <= reach
        found, counts = np.unique(cells[near & (cells > 0)], return_counts=True)
        assert dict(zip(ids.split(), map(int, voxels.split()), strict=True)) == dict(zip(map(str, found), counts, strict=True))


def test_duplicates_are_joined_in_a_chain_at_the_very_distance() -> None:
    """Five clefts of one pair in a line, 3 apart, then 4; one between other cells stays."""
    cells = np.zeros((2, 3, 30), np.uint64)
    cells[0], cells[1] = 5, 9
    clefts = np.zeros_like(cells)
    for cleft, x in ((8, 0), (3, 3), (6, 6), (4, 10), (7, 13)):
        clefts[:, 1, x] = cleft
    cells[:, :, 20:], clefts[:, 1, 20] = np.array([2, 4])[:, None, None], 1
    box = Box.of_shape(clefts.shape)
    for size, within, joined in (
        (18.6, 55.8, ["1", "3 6 8", "4 7"]),
        (18.6, 55.79, ["1", "3", "4", "6", "7", "8"]),
        (0.1, 0.3, ["1", "3 6 8", "4 7"]),
        (4.0, 16.0, ["1", "3 4 6 7 8"]),
    ):
        columns = table(clefts, cells, tiles_of(box, (1, 2, 7)), box, (4.0, 4.0, size), 0.0, within)
        assert columns["clefts"].tolist() == joined
    assert columns["voxels"].tolist() == [2, 10]
    assert columns["partner_1"].tolist() == [2, 5]
    assert columns["voxels_2"].tolist() == [1, 5]


def test_what_cannot_be_held_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    a = np.ones((4, 4, 4), np.uint64)
    box = Box.of_shape(a.shape)
    with pytest.raises(SourceError, match="CLEFTS holds no object in z 0:4, y 0:4, x 0:4, only 0"):
        table(0 * a, a, [box], box, (1.0, 1.0, 1.0), 0.0)
    for reach in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ConfigError, match="must be a distance in nm, 0 or more"):
            ball_of(reach, (1.0, 1.0, 1.0), a.shape)
    with pytest.raises(ConfigError, match=r"--reach 5000.0 nm is 5000 voxels along z and 5000 along y, too far"):
        ball_of(5000.0, (1.0, 1.0, 1.0), (10**5, 10**5, 10**5))
    monkeypatch.setattr(cleft_module, "MOST_VOXELS", 63)
    with pytest.raises(ConfigError, match=r"--reach is \[2, 2, 2\] voxels along z, y, x; the tile .* make 64 voxels"):
        table(a, a, tiles_of(box, (2, 2, 2)), box, (1.0, 1.0, 1.0), 2.0)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    clefts, cells = blobs((8, 20, 18), 1, 12), volume((10, 24, 22), 2, 6)
    with h5py.File("v.h5", "w") as file:
        for name, values in (("clefts", clefts), ("cells", cells), ("coarse", cells), ("nothing", 0 * clefts)):
            file[name] = values
        for name in ("clefts", "cells"):
            file[name].attrs["resolution"] = (40.0, 8.0, 4.5)
        file["coarse"].attrs["resolution"] = (40.0, 16.0, 16.0)
    return clefts, cells


def call(*words: str) -> Any:
    with pytest.raises(SystemExit) as ended:
        main(["synapses", *words])
    return ended.value.code


PLACED = ("--offset-clefts", "1", "-3", "4", "--offset-cells", "0", "-4", "2", "--dataset-cells", "cells")
GIVEN = (*PLACED, "--dataset-clefts", "clefts", "--reach", "16.5", "--merge-within", "50", "--min-voxels", "2")


def test_tables_and_annotations_hold_the_same(folder: Any, capsys: pytest.CaptureFixture[str]) -> None:
    clefts, cells = folder
    want = reference(clefts, cells[1:9, 1:21, 2:20], (1, -3, 4), (40.0, 8.0, 4.5), 16.5, 50.0, 2)
    assert len(want) > 3
    assert not call("v.h5", "v.h5", *GIVEN)
    assert "partner 1" in capsys.readouterr().out
    for suffix in ("csv", "parquet", "arrow", "annotations"):
        assert not call("v.h5", "v.h5", f"t.{suffix}", *GIVEN)
        assert f"t.{suffix}: {len(want)} synapse" in capsys.readouterr().out
    check(pq.read_table("t.parquet").to_pydict(), want)
    assert Path("t.csv").read_text().splitlines()[0] == ",".join(NAMES)
    reader = AnnotationReader(f"file://{Path('t.annotations').absolute()}/")
    for i, row in enumerate(want):
        note = reader.by_id[i + 1]
        for point, number in ((note.point_a, 1), (note.point_b, 2)):
            ends = [row[f"{axis}_{number}_nm"] for axis in "zyx"]
            np.testing.assert_allclose(np.array(point[::-1]) * (40.0, 8.0, 4.5), ends, rtol=1e-6, atol=1e-4)
        assert [list(map(int, ids)) for ids in note.segments] == [list(map(int, row["cells"].split()))]
        assert list(map(float, note.props)) == [len(row["cells"].split()), row["voxels"], row["voxels_1"], row["voxels_2"]]


@pytest.mark.parametrize("suffix", ["csv", "parquet", "arrow", "annotations"])
def test_a_table_may_be_empty(folder: Any, suffix: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert not call("v.h5", "v.h5", f"t.{suffix}", *GIVEN, "--min-voxels", "9999")
    assert f"t.{suffix}: 0 synapses" in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        main(["contacts", "v.h5", f"u.{suffix}", "--dataset", "cells", "--min-faces", "9999"])
    assert not ended.value.code
    assert f"u.{suffix}: 0 contacts" in capsys.readouterr().out


def test_a_background_with_an_id_is_named_and_can_be_left_out(folder: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """As in CREMI's files, where what is no cleft is 2^64 - 1."""
    clefts, cells = folder
    clefts[:, :, 9:], most = 0, 2**64 - 1
    with h5py.File("v.h5", "a") as file:
        file["cremi"] = np.where(clefts == 0, np.uint64(most), clefts)
    placed = ("v.h5", "v.h5", *PLACED, "--dataset-clefts", "cremi", "--voxel-size", "40", "8", "4.5")
    assert not call(*placed)
    assert f"% of all voxels; if it is the background, leave it out with --ignore-clefts {most}" in capsys.readouterr().err
    assert not call(*placed, "t.parquet", "--ignore-clefts", str(most), "--ignore-cells", "5")
    assert "of all voxels" not in capsys.readouterr().err
    seen = np.where(cells == 5, 0, cells)[1:9, 1:21, 2:20]
    check(pq.read_table("t.parquet").to_pydict(), reference(clefts, seen, (1, -3, 4), (40.0, 8.0, 4.5), 0.0, None, 1))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("v.h5", "v.h5", "t.xlsx", *GIVEN), "ends in none of"),
        (("v.h5", "v.h5", *PLACED, "--dataset-clefts", "nothing"), "CLEFTS holds no object in"),
        (("v.h5", "v.h5", *PLACED, "--dataset-clefts", "coarse"), "name scales of one voxel size"),
        (("v.h5", "v.h5", *GIVEN, "--offset-cells", "99", "0", "0"), "have no voxel in common; correct --offset-clefts"),
        (("v.h5", "v.h5", *GIVEN, "--reach", "-3"), "--reach -3.0 must be a distance in nm, 0 or more"),
        (("v.h5", "v.h5", *GIVEN, "--merge-within", "nan"), "--merge-within nan must be a distance in nm"),
        (("v.h5", "v.h5", *GIVEN, "--voxel-size", "4", "4", "4"), "v.h5, [40.0, 8.0, 4.5] nm; leave it out"),
        (("v.h5", "v.h5", *GIVEN, "--box", "0:1,0:1,0:1"), "--box 0:1,0:1,0:1 is not within what both hold"),
        (("v.h5", "v.h5", *GIVEN, "--ignore-clefts", "-1"), "-1 is no id of an object; ids are 1 to 2^64 - 1"),
        (("v.h5", "v.h5", *GIVEN, "--missing-cells", "x"), "--missing-cells 'x' must be error or fill"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(folder: Any, words: Any, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(*words) == 1
    assert says in capsys.readouterr().err
