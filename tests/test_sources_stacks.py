"""Folders of sections: the order of their numbers, gaps, names that do not tell it."""

import random
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from connectomake.errors import SourceError
from connectomake.sources import Source, SourceOptions, open_source
from connectomake.sources.labels import open_labels
from connectomake.sources.numbering import UnclearNamesError, number_names

V: dict[str, Any] = {"voxel_size": (8.0, 8.0, 8.0)}
BLANK = SourceOptions(missing_sections="blank")


def section(z: int) -> np.ndarray:
    return np.full((6, 7), z + 1, np.uint8)


def write(folder: Path, names: list[str]) -> str:
    """Write sections, the first of value 1, in a shuffled order of creation."""
    made = list(enumerate(names))
    random.Random(0).shuffle(made)
    for z, name in made:
        path = folder / name
        if path.suffix.lower() == ".png":
            path.write_bytes(imagecodecs.png_encode(section(z)))
        elif path.suffix.lower() in (".jpg", ".jpeg"):
            Image.fromarray(section(z)).save(path, quality=100)
        else:
            tifffile.imwrite(path, section(z), photometric="minisblack")
    return str(folder)


def order(source: Source) -> list[int]:
    return [int(v) for v in source.read(source.bounds)[0, :, 0, 0]]


def sequence(text: str, values: range = range(24)) -> list[str]:
    return [text.format(z) for z in values]


ORDERED: dict[str, Any] = {
    "padded": sequence("s{:03d}.tif"),
    "not padded": sequence("s{}.tif"),
    "from a large number": sequence("s{}.tif", range(95, 119)),
    "png": sequence("s{}.png"),
    "jpeg": sequence("s{}.jpg"),
    "suffixes mixed": [f"s{z:02d}{('.tif', '.TIF', '.tiff')[z % 3]}" for z in range(24)],
    "case mixed": [f"{'Ss'[z % 2]}{z:02d}.tif" for z in range(24)],
    "hexadecimal": sequence("s{:03x}.tif"),
    "hexadecimal upper": sequence("s{:02X}.tif"),
    "hexadecimal in the middle": sequence("section_{:02x}_raw.tif"),
    "hexadecimal after letters": sequence("face{:02x}.tif"),
    "hexadecimal across a digit": sequence("0x{:04x}.png", range(0x9F8, 0x9F8 + 24)),
    "signed": [f"z{z}.tif" for z in range(-10, 14)],
    "signed with plus": [f"z{z:+d}.tif" for z in range(-10, 10)],
    "signed and padded": [f"z{z:+04d}.tif" for z in range(-10, 10)],
    "hyphens are no signs": sequence("sample-1_z-{}.tif", range(1, 25)),
    "a constant number before": sequence("s003_z{:04d}.tif"),
    "a constant date before": sequence("2026-11-26_s{}.tif"),
    "a growing date before": [f"2026-11-{1 + z // 5:02d}_s{z}.tif" for z in range(24)],
    "a depth after": [f"z{z}_{40 * z}nm.tif" for z in range(24)],
    "a depth before": [f"{40 * z}nm_z{z}.tif" for z in range(24)],
    "in steps": sequence("s{:03d}.tif", range(0, 240, 10)),
    "ome": sequence("s{:02d}.ome.tif"),
    "one file": ["anything.tif"],
}


@pytest.mark.parametrize("names", ORDERED.values(), ids=ORDERED.keys())
def test_sections_are_read_in_the_order_of_their_numbers(tmp_path: Path, names: list[str]) -> None:
    source = open_source(write(tmp_path, names), **V)
    assert order(source) == list(range(1, len(names) + 1))
    if len(names) > 1:
        assert f"{names[0]}, {names[1]}, …, {names[-1]} ({len(names)} files)" in source.remarks[0]


@pytest.mark.parametrize(("names", "sentence"), [
    ("hexadecimal", "ordered by their names: their numbers are hexadecimal"),
    ("in steps", "numbered in steps of 10: nothing is taken as missing"),
    ("a growing date before", "of the 2 numbers that vary in their names, number 4 from the left counts"),
    ("padded", None),
])  # fmt: skip
def test_what_is_not_plain_about_names_is_said(tmp_path: Path, names: str, sentence: str | None) -> None:
    notes = open_source(write(tmp_path, ORDERED[names]), **V).notes
    assert [sentence in note for note in notes] == [True] if sentence else notes == ()


REFUSED = {
    "a copy": ([*sequence("s{:04d}.tif"), "s0005 (1).tif"], r"s0005 \(1\).tif is not named like s0000.tif and 23 others"),
    "an old one": ([*sequence("s{:04d}.tif"), "s0004_old.tif"], "s0004_old.tif is not named like s0000.tif"),
    "a projection": ([*sequence("s{:04d}.tif"), "max.tif"], "max.tif is not named like .* move whatever is not a section out"),
    "several": ([*sequence("s{:04d}.tif"), *sequence("t{:04d}.tif", range(5))], "t0002.tif and 2 more are"),
    "a number twice": ([*sequence("s{}.tif"), "s05.tif"], "s05.tif and s5.tif are both number 5; remove one"),
    "a stem twice": ([*sequence("s{}.tif"), "s5.tiff"], "s5.tif and s5.tiff are the same section twice"),
    "a stem twice, case": ([*sequence("s{}.tif"), "S5.TIF"], "S5.TIF and s5.tif are the same section twice"),
    "two numbers": ([f"s{a}_z{z}.tif" for a in range(3) for z in range(8)], "none of them alone distinguishes the sections"),
    "tiles": ([f"s{z}_r{z % 2}_c0.tif" for z in range(24)], "contradict each other"),
    "numbers that cross": ([f"a{z}_b{23 - z}.tif" for z in range(24)], "contradict each other"),
    "no numbers": (["first.tif", "second.tif", "third.tif"], "do not follow one pattern with a number"),
    "hexadecimal of two widths": (sequence("s{:x}.tif"), "look like hexadecimal numbers of different widths"),
    "a gap": ([n for n in sequence("z{:03d}.tif") if n != "z009.tif"],
              r"have gaps: 9 missing \(z008.tif is followed by z010.tif\); add them, or set source.missing_sections: blank"),
    "gaps": (sequence("z{}.png", range(3)) + sequence("z{}.png", range(7, 9)) + ["z10.png"], "have gaps: 3 to 6, 9 missing"),
    "a gap in steps": ([*sequence("z{}.png", range(0, 60, 20)), "z100.png"], "have gaps: 60 to 80 missing"),
    "a gap in hexadecimal": ([n for n in sequence("z{:02x}.jpg") if n != "z0c.jpg"], "gaps: c missing .* hexadecimal"),
    "a gap of signs": ([f"z{z}.tif" for z in range(-9, 9) if z != -1], "have gaps: -1 missing"),
    "halves": ([f"s{z:02d}{h}.tif" for z in range(5) for h in "ab"], "gaps: c to 19, 1c to 29, .* hexadecimal"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_names_that_do_not_tell_the_order_are_refused(tmp_path: Path, name: str) -> None:
    names, pattern = REFUSED[name]
    with pytest.raises(SourceError, match=pattern) as caught:
        open_source(write(tmp_path, names), **V)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("suffix", ["tif", "png", "jpg"])
def test_blank_sections_keep_the_others_at_their_places(tmp_path: Path, suffix: str) -> None:
    kept = [z for z in range(24) if z not in (9, 10, 20)]
    source = open_source(write(tmp_path, [f"z{z:03d}.{suffix}" for z in kept]), options=BLANK, **V)
    expected = np.zeros(24, int)
    expected[kept] = np.arange(1, len(kept) + 1)
    assert order(source) == expected.tolist()
    assert source.blank_sections == 3
    assert source.notes[0].startswith("3 of 24 sections")
    assert "read as zeros" in source.notes[0]


def test_blank_sections_have_a_bound(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="is this the number of the section"):
        open_source(write(tmp_path, ["z0.tif", "z1.tif", "z900000000000.tif"]), options=BLANK, **V)


def test_a_ground_truth_of_sections_has_the_same_rules(tmp_path: Path) -> None:
    names = [n for n in sequence("z{:03d}.png") if n != "z009.png"]
    with pytest.raises(SourceError, match="have gaps: 9"):
        open_labels(write(tmp_path, names))
    labels = open_labels(str(tmp_path), options=BLANK)
    assert not labels.read(labels.bounds)[9].any()


def test_a_stack_of_pages_in_a_folder_is_refused(tmp_path: Path) -> None:
    """Also one whose pages tifffile takes for several images."""
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for z in range(3):
            file.write(section(z), metadata=None, contiguous=False, compression="zlib" if z == 1 else None)
    with pytest.raises(SourceError, match="one grey section"):
        open_source(str(tmp_path), **V)


def test_further_images_and_turns_are_said(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(np.zeros((4, 6, 7), np.uint8), photometric="minisblack", extratags=[(274, "H", 1, 6, False)])
        file.write(np.zeros((5, 5), np.uint8), photometric="minisblack")
    notes = open_source(str(tmp_path / "a.tif"), **V).notes
    assert any("1 further image beside the first, not read: (5, 5)" in note for note in notes)
    assert any("turned or mirrored (Orientation 6)" in note for note in notes)


def test_a_depth_below_its_dtype_is_said(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.full((3, 6, 7), 4095, np.uint16), photometric="minisblack", bitspersample=12)
    (note,) = open_source(str(tmp_path / "a.tif"), **V).notes
    assert note.endswith("values of 12 bits are stored in uint16, 0 to 4095; source.range: [0, 4095] takes them for 0 to 1")


def test_numbers_do_not_depend_on_the_order_of_names() -> None:
    for names in ORDERED.values():
        found = dict(zip(names, number_names(names).numbers, strict=True))
        mixed = random.Random(1).sample(names, len(names))
        assert dict(zip(mixed, number_names(mixed).numbers, strict=True)) == found


def test_names_of_hashes_are_no_numbers() -> None:
    with pytest.raises(UnclearNamesError):
        number_names(["a3f9_x.tif", "b2.tif", "c.tif"])
