"""Chunks passed from array to array are what reading and writing blocks gives: for any axes, boxes and lost chunks."""

import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorstore as ts
from hypothesis import given, settings
from hypothesis import strategies as st

from connectomake.errors import SourceError
from connectomake.exporting import FORMATS, Options, copying, export_volume, levels_of
from connectomake.exporting.direct import view_of
from connectomake.geometry import Box
from connectomake.layers import LayerSpec, write_block
from connectomake.sources import Source, SourceOptions, open_source

SHAPE = (11, 13, 9)
KINDS = ("zarr", "zarr3", "n5", "precomputed", "sharded")
AXES = {"zarr": ("zyx", "xyz", "yzx", "czyx", "zyxc", "xyzc", "tczyx"), "zarr3": ("zyx", "cxyz"), "n5": ("xyz", "cxyz")}


def stored(folder: Path, kind: str, axes: str, channels: int, dtype: str, missing: str = "error") -> tuple[Source, Any]:
    """A source of random voxels, and these (c, z, y, x)."""
    values = np.random.default_rng(5).integers(1, 200, (channels, *SHAPE)).astype(dtype)
    place = folder / "a"
    if kind in ("precomputed", "sharded"):
        spec = LayerSpec("image", dtype, channels, Box.of_shape(SHAPE, (-5, 7, -11)), (8,) * 3, (4,) * 3, (4.0, 2.0, 1.0))
        info = spec.info()
        place.mkdir()
        if kind == "precomputed":
            del info["scales"][0]["sharding"]
        (place / "info").write_text(json.dumps(info))
        if kind == "precomputed":
            spec_ = {"driver": "neuroglancer_precomputed", "kvstore": f"file://{place}/"}
            ts.open(spec_).result().write(np.ascontiguousarray(values.T)).result()
        else:
            for block in spec.grid.ids:
                part = values[(slice(None), *spec.grid.box(block).slices((-5, 7, -11)))]
                write_block(place / spec.shard_name(block), spec, block, part)
        return open_source(str(place), options=SourceOptions(missing=missing)), values
    letters = "tczyx"
    data = np.ascontiguousarray(
        values[None].transpose([letters.index(a) for a in letters if a not in axes] + [letters.index(a) for a in axes])
    )
    data = data.reshape([data.shape[-len(axes) + i] for i in range(len(axes))]) if "c" in axes or channels == 1 else data
    chunk = [4] * data.ndim
    metadata: dict[str, Any] = {"shape": data.shape, "chunks": chunk}
    if kind == "zarr3":
        metadata = {"shape": data.shape, "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunk}}}
    if kind == "n5":
        metadata = {"dimensions": data.shape, "blockSize": chunk, "compression": {"type": "gzip"}}
    where = {"driver": kind, "kvstore": f"file://{place}/", "metadata": metadata, "dtype": dtype}
    ts.open(where, create=True).result().write(data).result()
    options = SourceOptions(axes=axes, offset=(-5, 7, -11), missing=missing)
    return open_source(f"{kind.rstrip('3')}://{place}", voxel_size=(4, 2, 1), options=options), values


def both_ways(
    levels: Any, folder: Path, form: str, monkeypatch: pytest.MonkeyPatch, chunk: tuple[int, int, int] = (3, 5, 4)
) -> list[dict[str, bytes]]:
    """The files that passing on makes, and those of reading and writing blocks."""
    found = []
    for name, direct in (("direct", True), ("general", False)):
        with monkeypatch.context() as patch:
            if not direct:
                patch.setattr(copying, "passes", lambda level: False)
            export_volume(levels, str(folder / name), FORMATS[form], Options(chunk=chunk), memory_mb=1)
        found.append(
            {p.relative_to(folder / name).as_posix(): p.read_bytes() for p in (folder / name).rglob("*") if p.is_file()}
        )
    return found


CASES = [(kind, axes, n) for kind in KINDS for axes in AXES.get(kind, ("czyx",)) for n in (1, 3) if n == 1 or "c" in axes]


@pytest.mark.parametrize(("kind", "axes", "channels"), CASES)
def test_the_same_files_as_by_blocks(
    tmp_path: Path, kind: str, axes: str, channels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, values = stored(tmp_path, kind, axes, channels, "uint16")
    level = levels_of([source])[0]
    assert view_of(level, Box.of_shape(SHAPE)) is not None
    np.testing.assert_array_equal(source.read(source.bounds), values)
    for form in ("zarr2", "zarr3", "n5", "precomputed"):
        (tmp_path / form).mkdir()
        direct, general = both_ways([level], tmp_path / form, form, monkeypatch)
        assert direct.keys() == general.keys()
        if form == "n5":  # gzip may pack the same chunk into other bytes
            found = open_source(f"n5://{tmp_path / form / 'direct'}")
            np.testing.assert_array_equal(found.read(found.bounds), values)
        else:
            assert direct == general
        assert len(direct) > 30


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_any_box_channel_and_chunk(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("any")
    source, values = stored(
        folder, data.draw(st.sampled_from(KINDS)), "czyx", 3, data.draw(st.sampled_from(["uint8", "uint64", "float32"]))
    )
    low = [data.draw(st.integers(0, n - 1)) for n in SHAPE]
    high = [data.draw(st.integers(a + 1, n)) for a, n in zip(low, SHAPE, strict=True)]
    box = Box((low[0], low[1], low[2]), (high[0], high[1], high[2])).translate((-5, 7, -11))
    chosen = data.draw(st.sampled_from([None, [0], [2], [2, 0]]))
    levels = levels_of([source], box, chosen)
    chunk = data.draw(st.tuples(*[st.integers(1, 9)] * 3))
    export_volume(levels, str(folder / "b.zarr"), FORMATS["zarr3"], Options(chunk=chunk), memory_mb=1)
    found = open_source(str(folder / "b.zarr"))
    assert found.bounds == box
    want = values[(slice(None), *box.slices((-5, 7, -11)))]
    np.testing.assert_array_equal(found.read(box), want if chosen is None else want[chosen])


@pytest.mark.parametrize("kind", KINDS)
def test_a_chunk_that_is_not_there(tmp_path: Path, kind: str) -> None:
    """It is named, or filled and counted, as by blocks; and the rest of its block is there."""
    source, values = stored(tmp_path, kind, "zyx"[:: -1 if kind == "n5" else 1], 1, "uint16", "fill")
    assert source.filled(source.bounds) == (0, 0)
    files = sorted(p for p in (tmp_path / "a").rglob("*") if p.is_file() and not p.name.endswith((".json", "info", ".zarray")))
    if kind == "sharded":
        files[0].unlink()
    else:
        files[len(files) // 2].unlink()
    strict = open_source(
        source.path, voxel_size=(4, 2, 1),
        options=SourceOptions(axes=None if kind in ("sharded", "precomputed") else ("xyz" if kind == "n5" else "zyx")),
    )  # fmt: skip
    with pytest.raises(SourceError, match="is not there"):
        export_volume(levels_of([strict]), str(tmp_path / "b"), FORMATS["zarr3"], Options(chunk=(3, 5, 4)), memory_mb=1)
    assert not (tmp_path / "b").exists()
    export_volume(levels_of([source]), str(tmp_path / "b"), FORMATS["zarr3"], Options(chunk=(3, 5, 4)), memory_mb=1)
    chunks, voxels = source.filled(source.bounds)
    assert chunks > 0
    found = open_source(f"zarr://{tmp_path / 'b'}")
    got = found.read(found.bounds)
    assert (got == 0).sum() == voxels
    np.testing.assert_array_equal(got[got > 0], values[got > 0])


def test_what_is_changed_on_the_way_is_not_passed_on(tmp_path: Path) -> None:
    source, _ = stored(tmp_path, "zarr", "zyx", 1, "uint16")
    assert view_of(levels_of([source], written_as="uint32")[0], Box.of_shape((1, 1, 1))) is None
    ranged = SourceOptions(range=(0, 200))
    mapped = open_source(source.path, voxel_size=(4, 2, 1), options=ranged)
    assert view_of(levels_of([mapped])[0], Box.of_shape((1, 1, 1))) is None
    rounded, _ = stored(tmp_path / "f", "zarr", "zyx", 1, "float64")
    assert view_of(levels_of([rounded])[0], Box.of_shape((1, 1, 1))) is None
    assert view_of(levels_of([rounded.exact()])[0], Box.of_shape((1, 1, 1))) is not None


CHILD = textwrap.dedent(
    """
    import sys
    from connectomake.exporting import FORMATS, Options, export_volume, levels_of
    from connectomake.geometry import Box
    from connectomake.sources import open_source

    source, there, form = open_source(sys.argv[1], voxel_size=(1, 1, 1)), sys.argv[2], sys.argv[3]

    def peak():
        lines = open("/proc/self/status").read().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) // 1024

    def export(box, there):
        export_volume(levels_of([source], box), there, FORMATS[form], Options(chunk=(16, 64, 64)), memory_mb=16)

    export(Box((0, 0, 0), (16, 128, 128)), there + ".small")  # libraries loaded, pools of threads started
    before = peak()
    export(source.bounds, there)
    print(peak() - before)
    """
)


@pytest.mark.parametrize("form", ["zarr3", "precomputed"])
def test_memory_is_bounded(tmp_path: Path, form: str) -> None:
    """134 MB of ids with --memory 16: most of it is never in memory, as the system counts it."""
    codecs = [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "zstd", "configuration": {"level": 1}}]
    metadata = {
        "shape": (64, 512, 512), "data_type": "uint64", "codecs": codecs,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": (16, 64, 64)}},
    }  # fmt: skip
    made = ts.open({"driver": "zarr3", "kvstore": f"file://{tmp_path}/a.zarr/", "metadata": metadata}, create=True).result()
    for z in range(0, 64, 16):
        made[z : z + 16].write(np.random.default_rng(z).integers(1, 2**16, (16, 512, 512), np.uint64)).result()
    call = [sys.executable, "-c", CHILD, str(tmp_path / "a.zarr"), str(tmp_path / "b"), form]
    done = subprocess.run(call, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 64, done.stdout
