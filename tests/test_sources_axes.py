# ruff: noqa: E501  (a table)
"""Names of axes, voxel sizes, offsets: every convention is read, what nobody names is asked about."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile
import zarr

from connectomake.errors import ConfigError, ConnectomakeError
from connectomake.geometry import Box
from connectomake.sources import SourceOptions, open_source
from connectomake.sources.source import Source

SHAPE = (6, 8, 10)
SIZE = (40.0, 8.0, 4.0)
RNG = np.random.default_rng(0)
IMAGE = RNG.integers(1, 230, SHAPE, dtype=np.uint8)
AFFINITY = RNG.random((3, *SHAPE)).astype(np.float32)
ZYX, XYZ = list("zyx"), list("xyz")


def tags(keys: str, **resolution: float) -> str:
    axes = [{"key": k, "typeFlags": 2, "resolution": resolution.get(k, 0), "description": ""} for k in keys]
    return json.dumps({"axes": axes})


def turned(array: Any, axes: str) -> np.ndarray:
    """Return (z, y, x) or (c, z, y, x) with its axes in another order, others of extent 1."""
    named = "zyx" if array.ndim == 3 else "czyx"
    kept = array.transpose([named.index(a) for a in axes if a in named])
    return np.asarray(kept.reshape([array.shape[named.index(a)] if a in named else 1 for a in axes]))


def hdf5(
    folder: Path, array: np.ndarray, attributes: dict[str, Any], above: dict[str, Any] | None = None, **how: Any
) -> dict[str, Any]:
    with h5py.File(folder / "v.h5", "w", userblock_size=how.pop("userblock", 0)) as file:
        data = file.create_dataset("volumes/raw", data=array, **how)
        data.attrs.update(attributes)
        for name, values in (above or {}).items():
            (file[name] if name else file).attrs.update(values)
    return {"path": f"{folder}/v.h5", "dataset": "volumes/raw"}


def zarr_array(
    folder: Path,
    array: np.ndarray,
    attributes: dict[str, Any],
    above: dict[str, Any] | None = None,
    version: Any = 2,
    **how: Any,
) -> dict[str, Any]:
    name = how.pop("name", "volumes/raw")
    zarr.open_group(f"{folder}/v.zarr", mode="a", zarr_format=version)
    made = zarr.create_array(
        f"{folder}/v.zarr",
        name=name,
        shape=array.shape,
        dtype=array.dtype,
        zarr_format=version,
        chunks=(4,) * array.ndim,
        **how,
    )
    made[...] = array
    made.attrs.update(attributes)
    for group, values in (above or {}).items():
        zarr.open_group(f"{folder}/v.zarr/{group}", mode="a", zarr_format=version).attrs.update(values)
    return {"path": f"{folder}/v.zarr", "dataset": name}


def n5(
    folder: Path, array: np.ndarray, attributes: dict[str, Any], above: dict[str, Any] | None = None, name: str = "volumes/raw"
) -> dict[str, Any]:
    """Write an array (its axes as NumPy has them) as N5, which lists them backwards."""
    import tensorstore as ts

    spec = {"driver": "n5", "kvstore": {"driver": "file", "path": f"{folder}/v.n5/{name}/"}}
    metadata = {
        "dimensions": list(array.shape[::-1]), "blockSize": [4] * array.ndim, "dataType": array.dtype.name,
        "compression": {"type": "gzip"},
    }  # fmt: skip
    ts.open({**spec, "metadata": metadata}, create=True).result().write(np.ascontiguousarray(array.T)).result()
    for group, values in {name: attributes, **(above or {})}.items():
        file = folder / "v.n5" / group / "attributes.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps((json.loads(file.read_text()) if file.exists() else {}) | values))
    return {"path": f"{folder}/v.n5", "dataset": name}


def transform(axes: list[str], scale: list[float], translate: list[float], unit: str = "nm", **more: Any) -> dict[str, Any]:
    return {"axes": axes, "scale": scale, "translate": translate, "units": [unit] * len(axes), **more}


def ome(
    axes: str, scale: list[Any], translation: list[Any] | None = None, unit: str = "nanometer", outer: list[Any] | None = None
) -> dict[str, Any]:
    kinds = {"c": "channel", "t": "time"}
    named = [{"name": a, "type": kinds.get(a, "space"), **({} if a in kinds else {"unit": unit})} for a in axes]
    steps = [{"type": "scale", "scale": scale}]
    steps += [{"type": "translation", "translation": translation}] if translation else []
    return {
        "axes": named,
        "datasets": [{"path": "s0", "coordinateTransformations": steps}],
        **({"coordinateTransformations": outer} if outer else {}),
    }


# name: (writer, axes of the stored array as NumPy has them, further arguments, array, voxel size, first voxel)
NAMED: dict[str, tuple[Callable[..., dict[str, Any]], str, tuple[dict[str, Any], ...], np.ndarray, Any, tuple[int, int, int]]] = {
    "ilastik zyxc": (hdf5, "zyxc", ({"axistags": tags("zyxc")},), AFFINITY, None, (0, 0, 0)),
    "ilastik tzyxc": (hdf5, "tzyxc", ({"axistags": tags("tzyxc")},), AFFINITY, None, (0, 0, 0)),
    "ilastik with units": (
        hdf5, "zyxc", ({"axistags": tags("zyxc", z=0.04, y=8, x=4), "axis_units": json.dumps({"z": "um", "y": "nm", "x": "nm"})},),
        AFFINITY, SIZE, (0, 0, 0)),
    "vigra xyz": (hdf5, "xyz", ({"axistags": tags("xyz")},), IMAGE, None, (0, 0, 0)),
    "sections called time": (hdf5, "tyxc".replace("t", "z"), ({"axistags": tags("tyxc")},), AFFINITY, None, (0, 0, 0)),
    "axes of the dataset": (hdf5, "zyxc", ({"axes": "zyxc", "resolution_nm": SIZE},), AFFINITY, SIZE, (0, 0, 0)),
    "axes of the file": (
        hdf5, "zyx", ({}, {"": {"axes": "zyx", "voxel_size_nm_zyx": SIZE}}), IMAGE, SIZE, (0, 0, 0)),
    "size in xyz": (hdf5, "zyx", ({"voxel_size_nm_xyz": SIZE[::-1]},), IMAGE, SIZE, (0, 0, 0)),
    "element_size_um is z, y, x": (
        hdf5, "xyz", ({"axistags": tags("xyz"), "element_size_um": [0.04, 0.008, 0.004]},), IMAGE, SIZE, (0, 0, 0)),
    "CREMI": (hdf5, "zyx", ({"resolution": SIZE, "offset": [80.0, -16.0, 40.0]},), IMAGE, SIZE, (2, -2, 10)),
    "funlib hdf5": (
        hdf5, "czyx", ({"axis_names": ["c^", "z", "y", "x"], "units": ["nm"] * 3, "voxel_size": [40, 8, 4], "offset": [40, 0, 4]},),
        AFFINITY, SIZE, (1, 0, 1)),
    "funlib zarr µm": (
        zarr_array, "zyx", ({"axis_names": ZYX, "units": ["µm"] * 3, "voxel_size": [0.04, 0.008, 0.004], "offset": [0.08, 0, 0]},),
        IMAGE, SIZE, (2, 0, 0)),
    "funlib without unit": (zarr_array, "zyx", ({"axis_names": ZYX, "units": [""] * 3, "voxel_size": [40, 8, 4]},), IMAGE, SIZE, (0, 0, 0)),
    "funlib xyz": (
        zarr_array, "xyz", ({"axis_names": XYZ, "units": ["nm"] * 3, "voxel_size": [4, 8, 40], "offset": [4, 8, 0]},), IMAGE, SIZE, (0, 1, 1)),
    "funlib channels last": (
        zarr_array, "zyxc", ({"axis_names": [*ZYX, "c^"], "voxel_size": [40, 8, 4]},), AFFINITY, SIZE, (0, 0, 0)),
    "funlib types": (
        zarr_array, "zyxc", ({"types": ["space"] * 3 + ["channel"], "voxel_size": [40, 8, 4]},), AFFINITY, SIZE, (0, 0, 0)),
    "daisy": (zarr_array, "zyx", ({"resolution": [40, 8, 4], "offset": [0, 0, 40]},), IMAGE, SIZE, (0, 0, 10)),
    "xarray": (zarr_array, "xyz", ({"_ARRAY_DIMENSIONS": XYZ},), IMAGE, None, (0, 0, 0)),
    "xarray words": (zarr_array, "xyz", ({"_ARRAY_DIMENSIONS": ["width", "height", "depth"]},), IMAGE, None, (0, 0, 0)),
    "xarray channels last": (zarr_array, "zyxc", ({"_ARRAY_DIMENSIONS": [*ZYX, "channel"]},), AFFINITY, None, (0, 0, 0)),
    "zarr 3 names": (lambda d, a, _: zarr_array(d, a, {}, version=3, dimension_names=XYZ), "xyz", ({},), IMAGE, None, (0, 0, 0)),
    "ilastik zarr": (zarr_array, "zyxc", ({"axistags": tags("zyxc")},), AFFINITY, None, (0, 0, 0)),
    "COSEM zarr": (
        zarr_array, "zyx", ({"transform": transform(ZYX, [40, 8, 4], [80, 0, 4])},), IMAGE, SIZE, (2, 0, 1)),
    "N5": (n5, "zyx", ({"resolution": [4, 8, 40], "offset": [4, 0, 80]},), IMAGE, SIZE, (2, 0, 1)),
    "N5 with units": (n5, "zyx", ({"axes": XYZ, "resolution": [4, 8, 0.04], "units": ["nm", "nm", "um"]},), IMAGE, SIZE, (0, 0, 0)),
    "N5 axes turned": (n5, "xyz", ({"axes": ZYX, "resolution": [40, 8, 4]},), IMAGE, SIZE, (0, 0, 0)),
    "ilastik N5": (n5, "zyxc", ({"axes": "cxyz", "axistags": tags("zyxc")},), AFFINITY, None, (0, 0, 0)),
    "N5 of xarray": (n5, "xyz", ({"_ARRAY_DIMENSIONS": XYZ},), IMAGE, None, (0, 0, 0)),
    "COSEM": (
        n5, "zyx", ({"pixelResolution": {"dimensions": [4, 8, 40], "unit": "nm"}, "transform": transform(ZYX, [40, 8, 4], [80, 0, 4])},),
        IMAGE, SIZE, (2, 0, 1)),
    "COSEM of order F": (
        n5, "zyx", ({"transform": transform(XYZ, [4, 8, 40], [4, 0, 80], order="F")},), IMAGE, SIZE, (2, 0, 1)),
    "COSEM in µm": (n5, "zyx", ({"transform": transform(ZYX, [0.04, 0.008, 0.004], [0, 0, 0.004], "um")},), IMAGE, SIZE, (0, 0, 1)),
    "COSEM's group": (
        partial(n5, name="em/s0"), "zyx",
        ({}, {"em": {"multiscales": [{"datasets": [{"path": "s0", "transform": transform(ZYX, [40, 8, 4], [0, 8, 0])}]}]}}),
        IMAGE, SIZE, (0, 1, 0)),
    "n5-viewer's parent": (
        partial(n5, name="c0/s1"), "zyx",
        ({}, {"c0": {"pixelResolution": {"dimensions": [2, 4, 20], "unit": "nm"}, "scales": [[1, 1, 1], [2, 2, 2]]}}),
        IMAGE, SIZE, (0, 0, 0)),
    "n5-viewer's own factors": (
        n5, "zyx", ({"pixelResolution": [2, 4, 40], "downsamplingFactors": [2, 2, 1]},), IMAGE, SIZE, (0, 0, 0)),
    "Neuroglancer's N5": (
        partial(n5, name="raw/s1"), "zyx",
        ({}, {"raw": {"axes": XYZ, "units": ["um"] * 3, "resolution": [0.002, 0.004, 0.04], "downsamplingFactors": [[1, 1, 1], [2, 2, 1]]}}),
        IMAGE, SIZE, (0, 0, 0)),
    "Paintera": (
        partial(n5, name="v/data/s0"), "zyx",
        ({}, {"v/data": {"resolution": [4, 8, 40], "offset": [0, 8, 0], "multiScale": True}}), IMAGE, SIZE, (0, 1, 0)),
    "ImageJ's N5": (
        n5, "zyx", ({"pixelWidth": 0.004, "pixelHeight": 0.008, "pixelDepth": 0.04, "pixelUnit": "um", "numChannels": 1, "numSlices": 6},),
        IMAGE, SIZE, (0, 0, 0)),
    "OME-Zarr 0.4": (
        lambda d, a, *more: zarr_array(d, a, *more, name="s0") | {"dataset": None}, "czyx",
        ({}, {"": {"multiscales": [ome("czyx", [1, 40, 8, 4], [0, 80, 0, 4])]}}), AFFINITY, SIZE, (2, 0, 1)),
    "OME-Zarr 0.4 in µm, turned": (
        partial(zarr_array, name="s0"), "txyzc",
        ({}, {"": {"multiscales": [ome("txyzc", [1, 0.004, 0.008, 0.04, 1], unit="micrometer")]}}), AFFINITY, SIZE, (0, 0, 0)),
    "OME-Zarr 0.5 with both transformations": (
        partial(zarr_array, name="s0", version=3), "zyx",
        ({}, {"": {"ome": {"version": "0.5", "multiscales": [ome("zyx", [20, 4, 2], [20, 0, 0], outer=[{"type": "scale", "scale": [2, 2, 2]}, {"type": "translation", "translation": [0, 8, 4]}])]}}}),
        IMAGE, SIZE, (1, 1, 1)),
    "OME-Zarr 0.2": (
        partial(zarr_array, name="s0"), "tczyx", ({}, {"": {"multiscales": [{"datasets": [{"path": "s0"}]}]}}),
        AFFINITY, None, (0, 0, 0)),
}  # fmt: skip


def opened(found: dict[str, Any], size: tuple[Any, ...] | None = None, **options: Any) -> Source:
    return open_source(found["path"], found["dataset"], size, options=SourceOptions.of(options))


@pytest.mark.parametrize("name", NAMED)
def test_what_a_file_says_is_read(tmp_path: Path, name: str) -> None:
    write, axes, arguments, array, size, start = NAMED[name]
    found = write(tmp_path, turned(array, axes), *arguments)
    source = opened(found, None if size else SIZE)
    assert source.voxel_size == SIZE
    assert source.bounds == Box.of_shape(SHAPE, start)
    np.testing.assert_array_equal(source.read(source.bounds), array if array.ndim == 4 else array[None])
    z, y, x = start
    part = Box((z + 1, y + 1, x + 1), (z + 3, y + 3, x + 3))
    np.testing.assert_array_equal(source.read(part), np.atleast_3d(array)[..., 1:3, 1:3, 1:3].reshape(-1, 2, 2, 2))


def test_labels_and_scales_of_hdf5_dimensions(tmp_path: Path) -> None:
    for scale in (False, True):
        with h5py.File(tmp_path / f"{scale}.h5", "w") as file:
            file["raw"] = IMAGE.T
            for i, axis in enumerate("xyz"):
                if scale:
                    file[axis] = np.arange(IMAGE.T.shape[i])
                    file[axis].make_scale(axis)
                    file["raw"].dims[i].attach_scale(file[axis])
                else:
                    file["raw"].dims[i].label = axis
        source = open_source(f"{tmp_path}/{scale}.h5", "raw", SIZE)
        np.testing.assert_array_equal(source.read(source.bounds)[0], IMAGE)


@pytest.mark.parametrize("write", [hdf5, zarr_array, n5])
@pytest.mark.parametrize(
    ("axes", "array"), [("xyz", IMAGE), ("zyxc", AFFINITY), ("cxyz", AFFINITY), ("tzcyx", AFFINITY), ("yxz", IMAGE)]
)
def test_the_users_axes_win(tmp_path: Path, write: Callable[..., Any], axes: str, array: np.ndarray) -> None:
    found = write(tmp_path, turned(array, axes), {"axes": "?" * len(axes), "_ARRAY_DIMENSIONS": list("zyxct"[: len(axes)])})
    given = axes[::-1] if write is n5 else axes
    source = opened(found, SIZE, axes=given.upper() if axes == "xyz" else given)
    np.testing.assert_array_equal(source.read(source.bounds), array if array.ndim == 4 else array[None])
    assert not source.notes


def test_a_list_of_sizes_follows_the_users_axes(tmp_path: Path) -> None:
    source = opened(hdf5(tmp_path, turned(IMAGE, "xyz"), {"resolution": SIZE[::-1], "offset": [4, 8, 40]}), None, axes="xyz")
    assert (source.voxel_size, source.bounds.start) == (SIZE, (1, 1, 1))


WRONG = {
    "zyxc": "names 4 axes, but dataset volumes/raw",
    "zy": "must name z, y and x once each",
    "zyy": "'zyy' must name",
    "z,y,x": "must name z, y and x once each",
    "zyxx": "must name",
}


@pytest.mark.parametrize("axes", WRONG)
def test_wrong_axes_are_one_sentence(tmp_path: Path, axes: str) -> None:
    found = hdf5(tmp_path, IMAGE, {})
    with pytest.raises(ConfigError) as caught:
        opened(found, SIZE, axes=axes)
    assert WRONG[axes] in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_axis_that_is_not_1_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConnectomakeError, match="axis of time of extent 3"):
        opened(hdf5(tmp_path, AFFINITY, {}), SIZE, axes="tzyx")


def test_precomputed_needs_no_axes(tmp_path: Path) -> None:
    (tmp_path / "info").write_text("{}")
    with pytest.raises(ConfigError, match=r"source\.axes 'zyx' does not apply to"):
        open_source(str(tmp_path), None, None, options=SourceOptions(axes="zyx"))


SHAPES = {
    "channels last": ((24, 40, 44, 3), (40, 4, 4), ConfigError, ["24 channels of 40 × 44 × 3", "source.axes", "zyxc"]),
    "many channels last": ((24, 40, 44, 12), (40, 4, 4), ConfigError, ["zyxc"]),
    "channels second": ((24, 3, 40, 44), (40, 4, 4), ConfigError, ["zcyx"]),
    "colour": ((40, 44, 3), (40, 4, 4), None, ["3 voxels along x", "source.axes"]),
    "x, y, z": ((44, 40, 24), (40, 4, 4), None, ["44 sections of 40 × 24", "source.axes", "xyz"]),
    "six channels": ((6, 40, 44, 48), (40, 4, 4), None, []),
    "three channels": ((3, 24, 40, 44), (40, 4, 4), None, []),
    "isotropic": ((44, 40, 24), (8, 8, 8), None, []),
    "flat": ((24, 40, 44), (40, 4, 4), None, []),
    "one section": ((1, 40, 44), (40, 4, 4), None, []),
}


@pytest.mark.parametrize("name", SHAPES)
def test_a_shape_of_another_order_is_asked_about(tmp_path: Path, name: str) -> None:
    shape, size, error, words = SHAPES[name]
    found = hdf5(tmp_path, np.zeros(shape, np.uint8), {})
    if error:
        with pytest.raises(error) as caught:
            opened(found, size)
        assert all(w in str(caught.value) for w in words), caught.value
    else:
        notes = " ".join(opened(found, size).notes)
        assert all(w in notes for w in words), notes
        assert bool(notes) == bool(words), notes


SIZES = {
    "µm": ((0.04, 0.004, 0.004), None, ["in µm?", "[40, 4, 4]"]),
    "µm in the file": (None, (0.04, 0.004, 0.004), ["in µm?", "[40, 4, 4]"]),
    "x, y, z": ((4, 4, 40), None, ["x, y, z?", "[40, 4, 4]"]),
    "another than the file's": ((40, 4, 4), (8, 8, 8), ["[40, 4, 4]", "[8, 8, 8]"]),
    "measured twice": ((45, 4.6, 4.6), (47.5, 4.6, 4.6), []),
    "fine": ((1, 1, 1), None, []),
}


@pytest.mark.parametrize("name", SIZES)
def test_an_odd_voxel_size_is_asked_about(tmp_path: Path, name: str) -> None:
    given, stored, words = SIZES[name]
    notes = " ".join(opened(hdf5(tmp_path, IMAGE, {"resolution": stored} if stored else {}), given).notes)
    assert all(w in notes for w in words), notes
    assert bool(notes) == bool(words), notes


def test_an_unknown_unit_is_no_voxel_size(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has no voxel size"):
        opened(zarr_array(tmp_path, IMAGE, {"voxel_size": [1, 1, 1], "units": ["pixel"] * 3}))


OFFSETS: dict[str, tuple[dict[str, Any], tuple[int, int, int], str, str]] = {
    "whole": ({"offset": [80, 8, 4]}, (2, 1, 1), "named", "begins at voxel [2, 1, 1]"),
    "float32": ({"offset": np.array([80.00001, 8, 4], np.float32)}, (2, 1, 1), "named", "begins at voxel"),
    "zero": ({"offset": [0, 0, 0]}, (0, 0, 0), "named", ""),
    "none": ({}, (0, 0, 0), "unknown", ""),
    "no whole number": ({"offset": [80, 10, 4]}, (0, 0, 0), "unclear", "not a whole number of voxels"),
    "centre of a coarser voxel": (
        {"transform": json.dumps(transform(ZYX, list(SIZE), [80 + 10, 8 + 2, 4 + 1.5]))},
        (2, 1, 1),
        "named",
        "begins",
    ),
}


@pytest.mark.parametrize("name", OFFSETS)
def test_offsets(tmp_path: Path, name: str) -> None:
    attributes, start, place, words = OFFSETS[name]
    source = opened(hdf5(tmp_path, IMAGE, {"resolution": SIZE, **attributes}))
    assert (source.bounds, source.place) == (Box.of_shape(SHAPE, start), place)
    assert words in " ".join(source.notes)
    assert bool(source.notes) == bool(words)
    np.testing.assert_array_equal(source.read(source.bounds)[0], IMAGE)
    there = opened({"path": f"{tmp_path}/v.h5", "dataset": "volumes/raw"}, offset=[0, -3, 7])
    assert (there.bounds, there.place, there.notes) == (Box.of_shape(SHAPE, (0, -3, 7)), "given", ())
    np.testing.assert_array_equal(there.read(there.bounds)[0], IMAGE)


def test_bigdataviewer(tmp_path: Path) -> None:
    values = IMAGE.astype(np.uint16) * 257
    with h5py.File(tmp_path / "bdv.h5", "w") as file:
        for level in range(2):
            file[f"t00000/s01/{level}/cells"] = values.view(np.int16)
        file["s01/resolutions"] = [[1.0, 1.0, 1.0], [2.0, 2.0, 1.0]]
    source = open_source(f"{tmp_path}/bdv.h5", "t00000/s01/0/cells", SIZE)
    assert source.dtype == "uint16"
    np.testing.assert_array_equal(source.read(source.bounds)[0], values)
    setups = "".join(
        f"<ViewSetup><id>{i}</id><voxelSize><unit>{u}</unit><size>{s}</size></voxelSize></ViewSetup>"
        for i, u, s in ((0, "nm", "1 1 1"), (1, "µm", "0.002 0.004 0.04"))
    )
    (tmp_path / "bdv.xml").write_text(
        f"<SpimData><SequenceDescription><ViewSetups>{setups}</ViewSetups></SequenceDescription></SpimData>"
    )
    assert open_source(f"{tmp_path}/bdv.h5", "t00000/s01/1/cells").voxel_size == SIZE
    (tmp_path / "v.xml").write_text((tmp_path / "bdv.xml").read_text())
    found = n5(tmp_path, IMAGE, {}, {"setup1": {"downsamplingFactors": [[1, 1, 1], [2, 2, 1]]}}, name="setup1/timepoint0/s1")
    assert opened(found).voxel_size == SIZE


@pytest.mark.parametrize(("array", "order"), [(IMAGE, (1, 2, 0)), (AFFINITY, (2, 3, 1, 0))])
def test_matlab_arrays_are_rows_columns_sections(tmp_path: Path, array: np.ndarray, order: tuple[int, ...]) -> None:
    """As save(…, '-v7.3') writes them: behind a block of 512 bytes, first index first."""
    found = hdf5(tmp_path, array.transpose(order).T, {"MATLAB_class": np.bytes_("uint8")}, userblock=512)
    with Path(found["path"]).open("r+b") as stream:
        stream.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64")
    place = tmp_path / "v.mat"
    Path(found["path"]).rename(place)
    source = open_source(str(place), found["dataset"], SIZE)
    np.testing.assert_array_equal(source.read(source.bounds), array if array.ndim == 4 else array[None])
    assert "rows (y), columns (x), sections (z)" in source.notes[0]
    assert "source.axes" in source.notes[0]
    place.write_bytes(b"MATLAB 5.0 MAT-file" + bytes(600))
    with pytest.raises(ConnectomakeError, match=r"-v7\.3"):
        open_source(str(place), "x")


def webknossos(folder: Path, array: np.ndarray, axis_order: bool = True) -> dict[str, Any]:
    mag: dict[str, Any] = {"mag": [1, 1, 1], "path": "color/1"} | (
        {"axisOrder": {"c": 0, "x": 1, "y": 2, "z": 3}} if axis_order else {}
    )
    layer = {
        "name": "color",
        "category": "color",
        "dataFormat": "zarr",
        "mags": [mag, {"mag": [2, 2, 1], "path": "color/2-2-1"}],
    }
    properties = {"id": {"name": "d"}, "scale": {"factor": [4, 8, 40], "unit": "nanometer"}, "dataLayers": [layer]}
    (folder / "datasource-properties.json").write_text(json.dumps(properties))
    values = turned(array[None] if array.ndim == 3 else array, "cxyz")
    for name in ("1", "2-2-1"):
        made = zarr.create_array(
            f"{folder}/color", name=name, shape=values.shape, dtype=values.dtype, zarr_format=2, chunks=(1, 4, 4, 4)
        )
        made[...] = values
    return {"path": f"{folder}/color", "dataset": "1"}


def test_webknossos(tmp_path: Path) -> None:
    for listed in (True, False):
        folder = tmp_path / str(listed)
        folder.mkdir()
        source = opened(webknossos(folder, IMAGE, listed))
        assert source.voxel_size == SIZE
        np.testing.assert_array_equal(source.read(source.bounds)[0], IMAGE)
        inside = open_source(f"{folder}/color/2-2-1")
        assert inside.voxel_size == (40, 16, 8)
        np.testing.assert_array_equal(inside.read(inside.bounds)[0], IMAGE)
        with pytest.raises(ConnectomakeError, match="webKnossos"):
            open_source(str(folder), None, SIZE)


IMAGEJ: dict[str, Any] = {"spacing": 0.04, "unit": "um"}
TIFF_SIZES: dict[str, Any] = {
    "ImageJ": {"imagej": True, "resolution": (250, 125), "metadata": {"axes": "ZYX", **IMAGEJ}},
    "ImageJ's µm": {"imagej": True, "resolution": (250, 125), "metadata": {"axes": "ZYX", **IMAGEJ, "unit": "\\u00B5m"}},
    "ImageJ's nm": {"imagej": True, "resolution": (1 / 4, 1 / 8), "metadata": {"axes": "ZYX", "spacing": 40, "unit": "nm"}},
    "OME": {
        "ome": True,
        "metadata": {
            "axes": "ZYX",
            "PhysicalSizeX": 4,
            "PhysicalSizeXUnit": "nm",
            "PhysicalSizeY": 0.008,
            "PhysicalSizeZ": 0.04,
        },
    },
}


@pytest.mark.parametrize("name", TIFF_SIZES)
def test_voxel_sizes_of_tiff(tmp_path: Path, name: str) -> None:
    tifffile.imwrite(tmp_path / "v.tif", IMAGE, **TIFF_SIZES[name])
    source = open_source(f"{tmp_path}/v.tif")
    assert source.voxel_size == pytest.approx(SIZE)
    np.testing.assert_array_equal(source.read(source.bounds)[0], IMAGE)
    assert "says [40, 8, 4]" in " ".join(open_source(f"{tmp_path}/v.tif", None, (4, 4, 4)).notes)


@pytest.mark.parametrize("how", [{"imagej": True}, {"imagej": True, "metadata": {"spacing": 2, "unit": "pixel"}}, {}])
def test_a_tiff_without_voxel_size(tmp_path: Path, how: dict[str, Any]) -> None:
    tifffile.imwrite(tmp_path / "v.tif", IMAGE, **({"photometric": "minisblack"} | how))
    with pytest.raises(ConfigError, match="voxel size"):
        open_source(f"{tmp_path}/v.tif")


def test_axes_and_offset_of_stacks(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    for i, section in enumerate(turned(IMAGE, "yzx")):
        tifffile.imwrite(tmp_path / f"s/{i:02}.tif", section, photometric="minisblack")
    tifffile.imwrite(tmp_path / "v.tif", turned(IMAGE, "xyz"), photometric="minisblack")
    tifffile.imwrite(tmp_path / "c.tif", turned(AFFINITY, "zcyx"), photometric="minisblack", metadata={"axes": "CZYX"})
    for path, axes, array in (("s", "yzx", IMAGE), ("v.tif", "xyz", IMAGE), ("c.tif", "zcyx", AFFINITY)):
        source = open_source(f"{tmp_path}/{path}", None, SIZE, options=SourceOptions(axes=axes, offset=(-1, 2, 3)))
        assert (source.bounds, source.place) == (Box.of_shape(SHAPE, (-1, 2, 3)), "given")
        np.testing.assert_array_equal(source.read(source.bounds), array if array.ndim == 4 else array[None])
        part = source.read(Box((1, 3, 4), (2, 5, 7)))
        np.testing.assert_array_equal(part, (array if array.ndim == 4 else array[None])[:, 2:3, 1:3, 1:4])
    with pytest.raises(ConfigError, match="sections, rows, columns"):
        open_source(f"{tmp_path}/s", None, SIZE, options=SourceOptions(axes="czyx"))
