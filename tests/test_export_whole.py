"""Whole exports: pyramids, random boxes and blocks, memory, a kill at any moment, and what is replaced."""

import json
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from connectomake.cli.app import main
from connectomake.exporting import FORMATS, Options, export_volume, levels_of
from connectomake.geometry import Box
from connectomake.sources import Source, open_source

Voxels = NDArray[Any]


def memory(values: Voxels, start: tuple[int, int, int] = (0, 0, 0), size: float = 4.0) -> Source:
    """A source of an array (c, z, y, x)."""
    z, y, x = values.shape[1:]
    return Source(
        "memory", "hdf5", Box.of_shape((z, y, x), start), len(values), values.dtype.name, (size, size, size), "id",
        lambda box: values[(slice(None), *box.slices(start))],
    )  # fmt: skip


def pyramid() -> tuple[list[Source], list[Voxels]]:
    """Three scales of random ids, each with its own voxels, so that none can stand for another."""
    rng = np.random.default_rng(1)
    shapes, starts = [(21, 40, 64), (11, 20, 32), (6, 10, 16)], [(4, 8, 16), (2, 4, 8), (1, 2, 4)]
    values = [rng.integers(1, 2**63, (1, *shape), np.uint64) for shape in shapes]
    levels = zip(values, starts, (8.0, 16.0, 32.0), strict=True)
    return [memory(v, s, n) for v, s, n in levels], values


@pytest.mark.parametrize("form", ["ome4", "ome5"])
def test_all_scales_of_ome_zarr(tmp_path: Path, form: str) -> None:
    sources, values = pyramid()
    there = tmp_path / "p"
    export_volume(levels_of(sources), str(there), FORMATS[form], Options(chunk=(5, 8, 16)))
    if form == "ome4":
        said = json.loads((there / ".zattrs").read_text())
    else:
        said = json.loads((there / "zarr.json").read_text())["attributes"]["ome"]
    datasets = said["multiscales"][0]["datasets"]
    assert [d["path"] for d in datasets] == ["0", "1", "2"]
    for source, want, dataset in zip(sources, values, datasets, strict=True):
        np.testing.assert_array_equal(zarr.open_array(there / dataset["path"], mode="r")[...], want[0])
        scale, translation = dataset["coordinateTransformations"]
        assert scale["scale"] == list(source.voxel_size)
        corner = [t - (s - 8) / 2 for t, s in zip(translation["translation"], scale["scale"], strict=True)]
        assert corner == [32.0, 64.0, 128.0], "all scales begin at the same place"
    for scale_index, (source, want) in enumerate(zip(sources, values, strict=True)):
        found = open_source(f"zarr://{there}", scale=scale_index)
        assert (found.bounds, found.voxel_size) == (source.bounds, source.voxel_size)
        np.testing.assert_array_equal(found.read(found.bounds), want)


@pytest.mark.parametrize("encoding", ["raw", "compressed_segmentation"])
def test_all_scales_of_precomputed(tmp_path: Path, encoding: str) -> None:
    from cloudvolume import CloudVolume

    sources, values = pyramid()
    options = Options(chunk=(5, 8, 16), encoding=encoding, labels=True)
    export_volume(levels_of(sources), str(tmp_path / "p"), FORMATS["precomputed"], options)
    for mip, (source, want) in enumerate(zip(sources, values, strict=True)):
        found = CloudVolume(f"precomputed://file://{tmp_path / 'p'}", mip=mip, progress=False, fill_missing=False)
        assert tuple(found.voxel_offset) == source.bounds.start[::-1]
        assert tuple(found.resolution) == source.voxel_size[::-1]
        np.testing.assert_array_equal(np.asarray(found[:]).T, want)


def test_a_box_of_a_pyramid(tmp_path: Path) -> None:
    sources, values = pyramid()
    export_volume(levels_of(sources, Box((7, 9, 17), (12, 30, 50))), str(tmp_path / "p"), FORMATS["ome5"], Options())
    np.testing.assert_array_equal(zarr.open_array(tmp_path / "p/0", mode="r")[...], values[0][0, 3:8, 1:22, 1:34])
    np.testing.assert_array_equal(zarr.open_array(tmp_path / "p/1", mode="r")[...], values[1][0, 1:4, 0:11, 0:17])
    np.testing.assert_array_equal(zarr.open_array(tmp_path / "p/2", mode="r")[...], values[2][0, 0:2, 0:6, 0:9])


def _hdf5(path: Path) -> Voxels:
    with h5py.File(path) as file:
        return np.asarray(file["main"])


READERS: dict[str, Callable[[Path], Voxels]] = {
    "hdf5": _hdf5,
    "zarr3": lambda path: np.asarray(zarr.open_array(path, mode="r")[...]),
    "npy": lambda path: np.asarray(np.load(path)),
    "nrrd": lambda path: np.frombuffer(path.read_bytes().partition(b"\n\n")[2], np.uint8),
}
small = st.integers(1, 20)


@st.composite
def exports(draw: st.DrawFn) -> tuple[Voxels, Any, Box, list[int], tuple[int, int, int]]:
    channels, shape = draw(st.integers(1, 3)), draw(st.tuples(small, small, small))
    dtype = np.dtype(draw(st.sampled_from(["uint8", "int16", "uint32", "uint64", "int64", "float32", "float64"])))
    raw = np.random.default_rng(draw(st.integers(0, 9))).bytes(channels * int(np.prod(shape)) * dtype.itemsize)
    values = np.frombuffer(raw, dtype).reshape(channels, *shape)
    start = draw(st.tuples(*[st.integers(-9, 9)] * 3))
    low = [draw(st.integers(0, n - 1)) for n in shape]
    high = [draw(st.integers(a + 1, n)) for a, n in zip(low, shape, strict=True)]
    (a, b, c), (d, e, f) = ([v + s for v, s in zip(ends, start, strict=True)] for ends in (low, high))
    chosen = draw(st.lists(st.integers(0, channels - 1), min_size=1, max_size=3))
    return values, start, Box((a, b, c), (d, e, f)), chosen, draw(st.tuples(small, small, small))


@pytest.mark.parametrize("form", READERS)
@settings(max_examples=25, deadline=None)
@given(made=exports())
def test_any_box_blocks_and_dtype(tmp_path_factory: pytest.TempPathFactory, form: str, made: Any) -> None:
    values, start, box, chosen, chunk = made
    there = tmp_path_factory.mktemp("any") / "v"
    levels = levels_of([memory(values, start)], box, chosen)
    export_volume(levels, str(there), FORMATS[form], Options(chunk=chunk), memory_mb=1)
    want = values[(slice(None), *box.slices(start))][chosen]
    want = want[0] if len(want) == 1 else want
    found = READERS[form](there)
    if form == "nrrd":
        assert found.tobytes() == want.tobytes()
        return
    assert found.dtype == want.dtype
    np.testing.assert_array_equal(
        found.view(f"u{want.dtype.itemsize}"), np.ascontiguousarray(want).view(f"u{want.dtype.itemsize}")
    )


CHILD = textwrap.dedent(
    """
    import sys
    import numpy as np
    from connectomake.exporting import FORMATS, Options, export_volume, levels_of
    from connectomake.geometry import Box
    from connectomake.sources import Source

    form, there, wait = sys.argv[1:]
    shape, seen = (96, 512, 512), []

    def read(box):
        seen.append(box)
        if wait == "wait" and len(seen) == 3:
            print("reading", flush=True)
            sys.stdin.read()
        rng = np.random.default_rng(box.start[0] * 512 + box.start[1])
        return rng.integers(0, 2**8, (1, *box.shape), np.uint64)

    def peak():
        lines = open("/proc/self/status").read().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) // 1024

    def export(shape, there):
        source = Source("made", "hdf5", Box.of_shape(shape), 1, "uint64", (1.0, 1.0, 1.0), "id", read)
        export_volume(levels_of([source]), there, FORMATS[form], Options(chunk=(16, 64, 64)), memory_mb=16)

    if wait != "wait":
        export((16, 128, 128), there + ".small")  # libraries loaded, pools of threads started
    before = peak()
    export(shape, there)
    print(peak() - before)
    """
)


@pytest.mark.parametrize("form", ["tiff", "npy", "hdf5", "zarr3", "ome4", "n5", "precomputed"])
def test_memory_is_bounded(tmp_path: Path, form: str) -> None:
    """201 MB of ids with --memory 16: most of it is never in memory, as the system counts it, arenas of threads included."""
    call = [sys.executable, "-c", CHILD, form, str(tmp_path / "v"), "go"]
    done = subprocess.run(call, capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL)
    assert int(done.stdout) < 64, done.stdout


@pytest.mark.parametrize("form", ["npy", "hdf5", "zarr2", "ome5", "precomputed"])
def test_a_kill_leaves_nothing_that_looks_finished(tmp_path: Path, form: str) -> None:
    there = tmp_path / "v"
    call = [sys.executable, "-c", CHILD, form, str(there), "wait"]
    with subprocess.Popen(call, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "reading\n"
        child.send_signal(signal.SIGKILL)
    assert child.returncode == -signal.SIGKILL
    assert not there.exists()
    assert all(p.name.startswith(".v.") and p.name.endswith(".part") for p in tmp_path.iterdir())
    assert [*tmp_path.iterdir()], "it was killed while it wrote"
    values = np.arange(24, dtype=np.uint64).reshape(1, 2, 3, 4)
    export_volume(levels_of([memory(values)]), str(there), FORMATS[form], Options())
    assert there.exists()
    assert [*tmp_path.iterdir()] == [there], "what the killed one left is gone"


@pytest.mark.parametrize("form", ["npy", "zarr3"])
def test_another_export_to_the_same_place_is_left_alone(tmp_path: Path, form: str) -> None:
    """One waits in the midst of its blocks; another ends; then the first ends, too, and its result is whole."""
    there = tmp_path / "v"
    values = np.arange(24, dtype=np.uint64).reshape(1, 2, 3, 4)
    call = [sys.executable, "-c", CHILD, form, str(there), "wait"]
    with subprocess.Popen(call, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "reading\n"
        of_the_child = [*tmp_path.iterdir()]
        assert len(of_the_child) == 1
        export_volume(levels_of([memory(values)]), str(there), FORMATS[form], Options())
        assert {*tmp_path.iterdir()} == {there, *of_the_child}
        np.testing.assert_array_equal(READERS[form](there), values[0])
        for name in (f".other.{child.pid}.{'0' * 24}.part", f".v.{2**22 + 1}.{'0' * 24}.part", ".v.part", "v.part"):
            (tmp_path / name).write_bytes(b"")  # of another result; of another machine, and new; of nobody
        export_volume(levels_of([memory(values)]), str(there), FORMATS[form], Options(), overwrite=True)
        assert len([*tmp_path.iterdir()]) == 6
        child.communicate("")
    assert child.returncode == 0
    assert READERS[form](there).shape == (96, 512, 512)
    assert not of_the_child[0].exists()


@pytest.mark.parametrize("old", ["file", "folder", "none"])
@pytest.mark.parametrize("new", ["npy", "zarr3"])
def test_what_is_replaced(tmp_path: Path, old: str, new: str) -> None:
    there = tmp_path / "v"
    if old == "folder":
        there.mkdir()
        (there / "stays").write_text("old")
    elif old == "file":
        there.write_text("old")
    values = np.arange(24, dtype=np.uint16).reshape(1, 2, 3, 4)
    source = memory(values)

    def fail(_: Box) -> Voxels:
        raise OSError("gone")

    def whole() -> list[str]:
        return sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*"))

    before = whole()
    with pytest.raises(Exception, match="gone"):
        export_volume(levels_of([replace(source, _reader=fail)]), str(there), FORMATS[new], Options(), overwrite=old != "none")
    assert whole() == before, "what was there stays until the new one is whole"
    export_volume(levels_of([source]), str(there), FORMATS[new], Options(), overwrite=old != "none")
    np.testing.assert_array_equal(READERS[new](there), values[0])
    assert [p.name for p in tmp_path.iterdir()] == ["v"]
    assert not (there / "stays").exists()


def test_overwrite_of_a_file_by_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, there = tmp_path / "a.h5", tmp_path / "b.nrrd"
    with h5py.File(source, "w") as file:
        file["v"] = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    there.write_text("old")
    call = ["convert", str(source), str(there), "--dataset", "v", "--voxel-size", "40", "4", "4"]
    with pytest.raises(SystemExit) as ended:
        main(call)
    assert ended.value.code == 1
    assert "b.nrrd exists; name another destination, or replace it with --overwrite" in capsys.readouterr().err
    assert there.read_text() == "old"
    with pytest.raises(SystemExit):
        main([*call, "--overwrite"])
    assert READERS["nrrd"](there).tolist() == [*range(24)]


def test_the_next_block_is_read_while_one_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The writer of each block waits until the next one is being read, which would never be without read-ahead."""
    import threading

    from connectomake.exporting.copying import boxes
    from connectomake.exporting.mapped import Mapped

    values = np.random.default_rng(0).integers(0, 255, (1, 40, 100, 110), np.uint8)
    begun = threading.Semaphore(0)
    written: list[Box] = []

    def read(box: Box) -> Voxels:
        begun.release()
        return values[(slice(None), *box.slices())]

    (level,) = levels_of([replace(memory(values), _reader=read)])
    total = len([*boxes(level, Mapped.grain, 1)])
    assert total > 2
    plain = Mapped.write

    def write(self: Mapped, box: Box, block: Voxels) -> None:
        if not written:
            assert begun.acquire(timeout=600), "its own reading"
        written.append(box)
        assert len(written) == total or begun.acquire(timeout=600), "that of the next one"
        plain(self, box, block)

    monkeypatch.setattr(Mapped, "write", write)
    export_volume([level], str(tmp_path / "v"), FORMATS["npy"], Options(), memory_mb=1)
    np.testing.assert_array_equal(np.load(tmp_path / "v"), values[0])
    assert len(written) == total


def test_blocks_grow_to_the_sources_chunks_first(tmp_path: Path) -> None:
    from connectomake.exporting.copying import boxes

    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("v", (64, 256, 256), np.uint8, chunks=(32, 32, 32))
    source = open_source(str(tmp_path / "a.h5"), "v", (4, 4, 4))
    assert source.chunk == (32, 32, 32)
    (level,) = levels_of([source])
    first = next(iter(boxes(level, (1, 32, 32), 1)))
    assert first.shape[0] == 32, "else each chunk is decoded several times"
