"""Bad configs and bad images: what is changed in a good run's folder, and what the one sentence must say."""

import datetime as dt
import json
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import imagecodecs
import numpy as np
import tifffile

from connectomake.geometry import Box
from connectomake.layers import LayerSpec

SHAPE = (16, 18, 20)
VOLUME = np.random.default_rng(0).integers(0, 255, SHAPE, dtype=np.uint8)
LEFT_OUT = object()


@dataclass(frozen=True)
class Case:
    """A bad config or image.

    Parameters
    ----------
    values
        Changes to a good config, ``a__b`` for a.b; `LEFT_OUT` takes a key away. A function gets the whole config.
    says
        Pieces that the message must have: the value, the key or file, and the way out.
    spoil
        What is done to the folder before.
    """

    values: dict[str, Any] | Callable[[dict[str, Any]], dict[Any, Any]]  # a key may be no string
    says: tuple[str, ...]
    spoil: Callable[[Path], object] = lambda folder: None

    def config(self, good: dict[str, Any]) -> dict[Any, Any]:
        if callable(self.values):
            return self.values(good)
        for key, value in self.values.items():
            *path, last = key.split("__")
            part = good
            for name in path:
                part = part.setdefault(name, {})
            if value is LEFT_OUT:
                del part[last]
            else:
                part[last] = value
        return good


def bad(*says: str, **values: object) -> Case:
    return Case(values, says)


def dataset(name: str, *says: str, **values: object) -> Case:
    """Another dataset of the HDF5 file, of the dtype that it is named after."""

    def spoil(folder: Path) -> None:
        with h5py.File(folder / "raw.h5", "r+") as file:
            file[name] = VOLUME.astype(name) if name in np.sctypeDict else VOLUME[0]

    return Case({"source__dataset": name, **values}, says, spoil)


def source(spoil: Callable[[Path], object], path: str, *says: str, **values: object) -> Case:
    """Another source, made by `spoil`."""
    return Case({"source__path": path, "source__dataset": None, **values}, says, spoil)


def truth(says: tuple[str, ...], array: np.ndarray, size: tuple[int, ...] = (20, 10, 10), **section: object) -> Case:
    """A ground truth that is bad, or does not fit."""

    def spoil(folder: Path) -> None:
        with h5py.File(folder / "truth.h5", "w") as file:
            file["labels"] = array
            file["labels"].attrs["resolution_nm"] = size

    return Case({"evaluation": {"ground_truth": "truth.h5", "dataset": "labels", **section}}, says, spoil)


def cut(path: Path, keep: float) -> None:
    """Truncate a file."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])


def pngs(folder: Path) -> Path:
    place = folder / "sections"
    place.mkdir()
    for z, section in enumerate(VOLUME):
        (place / f"{z}.png").write_bytes(imagecodecs.png_encode(section))
    return place


def tiff(folder: Path) -> Path:
    tifffile.imwrite(folder / "v.tif", VOLUME, photometric="minisblack")
    return folder / "v.tif"


def text(name: str, content: str) -> Callable[[Path], object]:
    def spoil(folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)

    return spoil


def odd_png(folder: Path) -> None:
    (pngs(folder) / "7.png").write_bytes(imagecodecs.png_encode(VOLUME[0, :, :-1]))


def rgb_png(folder: Path) -> None:
    (pngs(folder) / "7.png").write_bytes(imagecodecs.png_encode(np.eye(3, dtype=np.uint8)[np.zeros((18, 20), int)]))


def precomputed(folder: Path, **changes: object) -> None:
    spec = LayerSpec("image", "uint8", 1, Box.of_shape(SHAPE), (8, 8, 8), (8, 8, 8), (8.0, 8.0, 8.0))
    info = spec.info() | changes
    text("pre/info", json.dumps({k: v for k, v in info.items() if v is not LEFT_OUT}))(folder)


def own_layer(folder: Path) -> None:
    spec = LayerSpec("affinity", "uint8", 1, Box.of_shape(SHAPE), (8, 8, 8), (8, 8, 8), (8.0, 8.0, 8.0))
    text("out/affinity/info", json.dumps(spec.info()))(folder)


def channels(folder: Path) -> None:
    with h5py.File(folder / "raw.h5", "r+") as file:
        file["two"] = np.stack([VOLUME, VOLUME])


CONFIGS = {
    # unknown, missing and empty keys
    "unknown key": bad("unknown key 'blocks' in config", "did you mean 'block'?", blocks=[32] * 3),
    "unknown key within": bad("'treshold' in segmentation", "did you mean 'threshold'?", segmentation__treshold=0.5),
    "unknown key far within": bad("'factr' in meshes.simplify", "did you mean 'factor'?", meshes__simplify__factr=2),
    "unknown key like none": bad("'xyzzy' in config", "known keys: outdir, source", xyzzy=1),
    "a number as key": Case(lambda c: {**c, 7: 1}, ("key 7 in config is not a string", "remove or correct it")),
    "empty config": Case(lambda c: {}, ("'outdir' is missing", "add it", "Folder of all results")),
    "outdir left out": bad("'outdir' is missing in config", "add it", outdir=LEFT_OUT),
    "source left out": bad("'source' is missing in config", "add it", source=LEFT_OUT),
    "path left out": bad("'path' is missing in source", "add it", source__path=LEFT_OUT),
    "overlap left out": bad("'overlap' is missing in inference", "add it", inference__overlap=LEFT_OUT),
    "inference empty": bad("'model' is missing in inference", "add it", inference={}),
    "source null": bad("source: null", "wanted: keys and values", source=None),
    "source a text": bad("source: 'raw.h5'", "wanted: keys and values", source="raw.h5"),
    "segmentation null": bad("segmentation: null", "wanted: keys and values", segmentation=None),
    "inference false": bad("inference: false", "or null", inference=False),
    # types
    "block a number": bad("block: 32", "wanted: three numbers, z, y, x", block=32),
    "block a text": bad("block: '32'", "wanted: three numbers, z, y, x", block="32"),
    "block of two": bad("block: [32, 32]", "three numbers", block=[32, 32]),
    "block of four": bad("block: [1, 32, 32, 32]", "three numbers", block=[1, 32, 32, 32]),
    "block of booleans": bad("block[0]: true", "a whole number", block=[True] * 3),
    "block of fractions": bad("block[2]: 32.5", "a whole number", block=[32, 32, 32.5]),
    "block with a point": bad("block[2]: 32.0", "written 32", block=[32, 32, 32.0]),
    "block zero": bad("block[1]: 0", ">= 1", block=[32, 0, 32]),
    "block negative": bad("block[1]: -32", ">= 1", block=[32, -32, 32]),
    "block huge": bad("block[0]: 1000000000", "<= 1048576", block=[10**30] * 3),
    "block of too many voxels": bad("block [1048576,", "stay below 4 billion", block=[1 << 20] * 3),
    "threshold a text": bad("segmentation.threshold: 'high'", "a number", segmentation__threshold="high"),
    "threshold as YAML reads 5e-1": bad("threshold: '5e-1'", "written 0.5", segmentation__threshold="5e-1"),
    "threshold a boolean": bad("segmentation.threshold: true", "a number", segmentation__threshold=True),
    "min_size as YAML reads 1e3": bad("min_size: '1e3'", "written 1000", segmentation__min_size="1e3"),
    "connectivity with a point": bad("connectivity: 6.0", "written 6", segmentation__connectivity=6.0),
    "allow_train_mode a text": bad("allow_train_mode: 'yes'", "true or false", inference__allow_train_mode="yes"),
    "keep a text": bad("keep: 'image'", "a list", keep="image"),
    "outdir a number": bad("outdir: 7", "a string", outdir=7),
    "outdir null": bad("outdir: null", "a string", outdir=None),
    "outdir a date": bad("outdir: 2026-01-02", "quote it", outdir=dt.date(2026, 1, 2)),
    "start a text": bad("source.start: '0,0,0'", "three whole numbers, z, y, x", source__start="0,0,0"),
    # ranges
    "threshold 1": bad("threshold: 1.0", "< 1", segmentation__threshold=1.0),
    "threshold negative": bad("threshold: -0.1", ">= 0", segmentation__threshold=-0.1),
    "threshold NaN": bad("segmentation.threshold: nan", "write a number", segmentation__threshold=math.nan),
    "voxel size infinite": bad("source.voxel_size[1]: inf", "write a number", source__voxel_size=[8, math.inf, 8]),
    "factor NaN": bad("meshes.simplify.factor: nan", "write a number", meshes__simplify__factor=math.nan),
    "connectivity 8": bad("connectivity: 8", "one of 6, 18, 26", segmentation__connectivity=8),
    "method unknown": bad("method: 'flood'", "one of threshold, watershed", segmentation__method="flood"),
    "t_low not below t_high": bad(
        "segmentation.t_low 0.9", "t_high 0.5", "change one", segmentation__method="watershed", segmentation__t_low=0.9,
        segmentation__t_high=0.5, inference__channels=3,
    ),
    "t_low equal to t_high": bad(
        "segmentation.t_low 0.5", "t_high 0.5", "change one", segmentation__method="watershed", segmentation__t_low=0.5,
        segmentation__t_high=0.5, inference__channels=3,
    ),
    "t_low zero": bad("segmentation.t_low: 0 is not allowed", "> 0", segmentation__t_low=0),
    "t_high beyond 2": bad("segmentation.t_high: 3", "<= 2", segmentation__t_high=3),
    "watershed of corners": bad(
        "connectivity 26", "does not apply to method watershed", "leave it out", segmentation__method="watershed",
        segmentation__connectivity=26, inference__channels=3,
    ),
    "agglomeration of components": bad(
        "agglomeration needs basins", "method is threshold", "set it to watershed", agglomeration={"threshold": 0.5}
    ),
    "min_supervoxel of components": bad(
        "segmentation.min_supervoxel needs basins", "method is threshold", "leave", segmentation__min_supervoxel=5
    ),
    "agglomeration without a threshold": bad("key 'threshold' is missing in agglomeration", "add it", agglomeration={}),
    "agglomeration threshold beyond 1": bad(
        "agglomeration.threshold: 1.5", "<= 1", agglomeration={"threshold": 1.5}, segmentation__method="watershed"
    ),
    "further thresholds out of order": bad(
        "agglomeration.thresholds [0.5, 0.4] are out of order", "ascending: [0.4, 0.5]",
        agglomeration={"threshold": 0.3, "thresholds": [0.5, 0.4]}, segmentation__method="watershed", inference__channels=3,
    ),
    "a further threshold twice": bad(
        "agglomeration.thresholds [0.4, 0.4000000001] name 0.4 twice", "name each once",
        agglomeration={"threshold": 0.3, "thresholds": [0.4, 0.4000000001]}, segmentation__method="watershed",
        inference__channels=3,
    ),
    "the threshold once more": bad(
        "name agglomeration.threshold 0.3 again", "take it out",
        agglomeration={"threshold": 0.3, "thresholds": [0.2, 0.3]}, segmentation__method="watershed", inference__channels=3,
    ),
    "thresholds of agglomeration out of order": bad(
        "agglomeration.large.threshold 0.2 is below agglomeration.threshold 0.5", "raise it",
        agglomeration={"threshold": 0.5, "large": {"voxels": 9, "threshold": 0.2}},
        segmentation__method="watershed", inference__channels=3,
    ),
    "large without voxels": bad(
        "key 'voxels' is missing in agglomeration.large", "add it",
        agglomeration={"threshold": 0.5, "large": {"threshold": 0.6}},
    ),
    "affinity channels too few": bad(
        "segmentation.affinity_channels [0, 1, 2] does not exist", "inference.channels is 2", "needs the three affinities",
        segmentation__method="watershed", inference__channels=2,
    ),
    "affinity channel named twice": bad(
        "affinity_channels: [0, 1, 1]", "no item twice", segmentation__affinity_channels=[0, 1, 1]
    ),
    "affinity channels of a source": Case(
        {"inference": None, "segmentation__method": "watershed", "source__dataset": "two"},
        ("segmentation.affinity_channels [0, 1, 2]", "2 channel(s), the last is 1", "z, y and x"),
        channels,
    ),
    "min_size negative": bad("min_size: -1", ">= 0", segmentation__min_size=-1),
    "min_size beyond 64 bits": bad("min_size: 1180591620717411303424", "<= 92233720", segmentation__min_size=1 << 70),
    "fan-out 3": bad("merge.fan_out 3", "power of two", "take 2", merge__fan_out=3),
    "fan-out 1": bad("fan_out: 1", ">= 2", merge__fan_out=1),
    "no section in the report": bad("report.slices: 0", ">= 1", report__slices=0),
    "too many objects in the report": bad("report.objects: 5000", "<= 1000", report__objects=5000),
    "report as a switch": bad("report: true", "wanted: keys and values", report=True),
    "batch 0": bad("inference.batch: 0", ">= 1", inference__batch=0),
    "dtype float64": bad("inference.dtype: 'float64'", "one of float32, uint8", inference__dtype="float64"),
    "device unknown": bad("inference.device: 'tpu'", "auto, cpu, cuda", inference__device="tpu"),
    "compression 10": bad("compression: 10", "<= 9", compression=10),
    "keep unknown": bad("keep[0]: 'imge'", "one of image, affinity", keep=["imge"]),
    "keep twice": bad("keep: ['image', 'image']", "no item twice", keep=["image", "image"]),
    "voxel size zero": bad("voxel_size[0]: 0", ">= 0.001", source__voxel_size=[0, 8, 8]),
    "voxel size negative": bad("voxel_size[2]: -8", ">= 0.001", source__voxel_size=[8, 8, -8]),
    "voxel size in metres": bad("voxel_size[0]: 8e-09", "nanometres", source__voxel_size=[8e-9] * 3),
    "voxel size of two": bad("voxel_size: [8, 8]", "three numbers", source__voxel_size=[8, 8]),
    # keys that contradict each other
    "overlap as large as the patch": bad(
        "inference.overlap [2, 4, 20]", "20 >= 20", "smaller", inference__overlap=[2, 4, 20], inference__output_patch=None
    ),
    "overlap negative": bad("inference.overlap[1]: -4", ">= 0", inference__overlap=[2, -4, 6]),
    "output patch larger": bad("output_patch [16, 16, 16]", "smaller", inference__output_patch=[16, 16, 16]),
    "odd margin": bad("[9, 16, 16]", "odd along z", "by one voxel", inference__output_patch=[9, 16, 16]),
    "patch too large for torch": bad(
        "inference.patch [4096, 1024, 1024]", "smaller patch", inference__patch=[4096, 1024, 1024], inference__output_patch=None
    ),
    "block not 2^k chunks": bad("[16, 16, 32]", "2^k", "for example [16, 16, 16]", chunk=[16, 16, 32]),
    "block not 2^k odd chunks": bad("[33, 33, 33]", "leave `chunk` out", block=[33] * 3, meshes__cell=[33] * 3),
    "block not a multiple of the cell": bad("meshes.cell [24, 16, 16]", "32 % 24 = 8", "change", meshes__cell=[24, 16, 16]),
    "cell null": bad("meshes.cell: null is not allowed", "three numbers, z, y, x", meshes__cell=None),
    "block not a multiple of the cell's default": bad("meshes.cell [64, 64, 64]", "32 % 64", "change", meshes__cell=LEFT_OUT),
    "skeleton cell of zero": bad("skeletons.cell[1]: 0", ">= 1", skeletons__enabled=True, skeletons__cell=[64, 0, 64]),
    "skeleton cell too large": bad(
        "skeletons.cell [1024, 1024, 1024]", "smaller", skeletons__enabled=True, skeletons__cell=[1024] * 3
    ),
    "skeleton scale negative": bad("skeletons.scale: -1", ">= 0", skeletons__scale=-1),
    "skeleton const NaN": bad("skeletons.const: nan", "write a number", skeletons__const=math.nan),
    "skeleton halo in voxels": bad("skeletons.halo: [8, 8, 8]", "a number", skeletons__halo=[8, 8, 8]),
    "skeleton id of background": bad("skeletons.ids[0]: 0", ">= 1", skeletons__ids=[0]),
    "unknown key of skeletons": bad("'dust' in skeletons", "min_voxels", skeletons__dust=5),
    "channel out of range": bad("segmentation.channel 1", "the last is 0", segmentation__channel=1),
    "start not below stop": bad("[5, 5, 5]", "5 >= 5", "change", source__start=[5] * 3, source__stop=[5, 9, 9]),
    "stop outside": bad("source.stop [17, 18, 20]", "z 0:16", "null takes all", source__stop=[17, 18, 20]),
    "start outside": bad("source.start [0, 0, -1]", "x 0:20", "null takes all", source__start=[0, 0, -1]),
    "start at the end": bad("z 16:16", "source.start", "change", source__start=[16, 0, 0]),
    # outdir
    "outdir absolute": bad("outdir '/tmp/x'", "results/run1", "snakemake --directory", outdir="/tmp/x"),
    "outdir a bucket": bad("outdir 's3://b/x'", "default-storage-prefix", outdir="s3://b/x"),
    "outdir above": bad("outdir '../x'", "below the working directory", outdir="../x"),
    "outdir the working directory": bad("outdir '.'", "such as results/run1", outdir="."),
    "outdir empty": bad("outdir: ''", "a non-empty string", outdir=""),
    "outdir with a wildcard": bad("outdir 'out/{block}'", "such as results/run1", outdir="out/{block}"),
    "outdir at home": bad("outdir '~/x'", "such as results/run1", outdir="~/x"),
    "outdir of two lines": bad("'a\\nb'", "on one line", outdir="a\nb"),
    "outdir of snakemake": bad("outdir '.snakemake/x'", "name another", outdir=".snakemake/x"),
    "outdir a file": Case({}, ("outdir 'out'", "not a writable folder", "another outdir"), text("out", "")),
    "outdir below a file": bad("outdir 'raw.h5/x'", "raw.h5 is not a writable folder", outdir="raw.h5/x"),
    "outdir a broken link": Case({}, ("outdir 'out'", "another outdir"), lambda d: (d / "out").symlink_to("/nowhere/x")),
    "outdir that holds the source": source(own_layer, "out/affinity", "out/affinity", "name another outdir"),
    # evaluation
    "truth left out": bad("'ground_truth' is missing", "add it", evaluation={}),
    "truth missing": bad("no.h5 does not exist", "working directory", evaluation={"ground_truth": "no.h5"}),
    "truth without dataset": bad("evaluation.dataset is missing", "holds raw", evaluation={"ground_truth": "raw.h5"}),
    "truth of floats": truth(("truth.h5 [labels]", "float32, which are not labels", "integers"), VOLUME.astype("f4")),
    "truth of two channels": truth(("truth.h5 [labels]", "2 channels", "name another"), np.stack([VOLUME, VOLUME])),
    "truth of another shape": truth(("z 0:15", "z 0:16", "evaluation.offset"), VOLUME[1:]),
    "truth of another voxel size": truth(("[8.0, 8.0, 8.0] nm", "[20.0, 10.0, 10.0]"), VOLUME, size=(8, 8, 8)),
    "truth elsewhere": truth(("z 90:106", "no voxel in common", "evaluation.offset"), VOLUME, offset=[90, 0, 0]),
    "evaluation elsewhere": truth(("evaluation.start [16, 0, 0]", "no voxel in common"), VOLUME, start=[16, 0, 0]),
    "evaluation backwards": truth(("evaluation.start", "5 >= 5", "change"), VOLUME, start=[5] * 3, stop=[5, 9, 9]),
    # pyramid
    "a factor of one": bad("pyramid.factors [[1, 1, 1]]", "take it out", pyramid__factors=[[1, 1, 1]]),
    "factors of two axes": bad("pyramid.factors[0]: [2, 2]", "three numbers", pyramid__factors=[[2, 2]]),
    "another mode": bad("pyramid.labels: 'mean'", "mode, sparse", pyramid__labels="mean"),
    # model files
    "model missing": bad("inference.model 'nope.py'", "No such file", "existing", inference__model="nope.py"),
    "model of another kind": bad("inference.model 'model.onnx'", "TorchScript (.pt", inference__model="model.onnx"),
    "model empty": bad("inference.model: ''", "a non-empty string", inference__model=""),
    "model a folder": Case(
        {"inference__model": "m.py"}, ("'m.py'", "directory", "existing file"), lambda d: (d / "m.py").mkdir()
    ),
    "weights missing": bad("inference.weights 'w.pt'", "No such file", "existing", inference__weights="w.pt"),
    "weights empty": bad("inference.weights: ''", "a non-empty string", inference__weights=""),
    # sources
    "path empty": bad("source.path: ''", "a non-empty string", source__path=""),
    "path of two lines": bad("source.path: 'raw.h5\\n'", "on one line", source__path="raw.h5\n"),
    "file missing": bad("nope.h5 does not exist", "working directory", source__path="nope.h5"),
    "scheme unknown": bad("ftp://host/x", "unknown scheme ftp", "use file", source__path="ftp://host/x"),
    "dataset left out": bad("source.dataset is missing", "holds raw (16, 18, 20) uint8", source__dataset=None),
    "dataset missing": bad("source.dataset rew", "which holds raw (16, 18, 20)", source__dataset="rew"),
    "scale of HDF5": bad("source.scale 1", "hdf5", "leave it out", source__scale=1),
    "voxel size missing": bad("has no voxel size", "set source.voxel_size", source__voxel_size=None),
    "HDF5 truncated": Case({}, ("raw.h5", "truncated", "copy it again"), lambda d: cut(d / "raw.h5", 0.5)),
    "HDF5 stump": Case({}, ("raw.h5", "truncated", "copy it again"), lambda d: cut(d / "raw.h5", 0.005)),
    "HDF5 empty": Case({}, ("raw.h5", "is empty", "copy it again"), lambda d: (d / "raw.h5").write_bytes(b"")),
    "HDF5 not at all": Case({}, ("raw.h5", "named like hdf5", "copy it again"), text("raw.h5", "hello")),
    "labels as image": dataset("uint64", "raw.h5", "uint64", "convert it to one of uint8"),
    "int32 as image": dataset("int32", "raw.h5", "int32", "convert it to one of uint8"),
    "complex as image": dataset("complex64", "raw.h5", "complex64", "convert it to one of uint8"),
    "uint16 as probability": dataset("uint16", "uint16", "inference is null", "give a network", inference=None),
    "two dimensions": dataset("flat", "dataset flat", "[18, 20]", "must be (z, y, x)"),
    "channel of a probability": Case(
        {"inference": None, "segmentation__channel": 2, "source__dataset": "two"},
        ("segmentation.channel 2", "2 channel(s), the last is 1"),
        channels,
    ),
    "folder of nothing": source(text("stuff/a.txt", "a"), "stuff", "stuff has an unknown format", "precomputed (info)"),
    "file of nothing": source(text("a.txt", "a"), "a.txt", "a.txt has an unknown format", "HDF5"),
    "TIFF truncated": source(lambda d: cut(tiff(d), 0.5), "v.tif", "v.tif", "truncated", "copy it again"),
    "PNG truncated": source(lambda d: cut(pngs(d) / "7.png", 0.05), "sections", "7.png", "copy it again"),
    "PNG of another size": source(odd_png, "sections", "7.png is (18, 19) uint8", "all must be alike"),
    "PNG in colour": source(rgb_png, "sections", "7.png has a colour at (0, 0)", "convert"),
    "precomputed without info": source(text("pre/8_8_8/0.shard", "x"), "pre", "pre has an unknown format", "(info)"),
    "precomputed with broken info": source(text("pre/info", "{"), "pre", "info of", "pre is not JSON", "copy it again"),
    "precomputed without scales": source(lambda d: precomputed(d, scales=LEFT_OUT), "pre", "lacks", "'scales'", "correct it"),
    "precomputed scale out of range": source(
        precomputed, "pre", "source.scale 3", "scales are 0: 8_8_8", source__scale=3
    ),
}  # fmt: skip

if os.geteuid():  # root may write anywhere
    CONFIGS["outdir not writable"] = Case(
        {"outdir": "locked/out"},
        ("locked", "not a writable folder", "another outdir"),
        lambda d: (d / "locked").mkdir(mode=0o555),
    )

FILES: dict[str, tuple[bytes | None, *tuple[str, ...]]] = {
    "missing": (None, "cannot be read", "name a YAML file"),
    "empty": (b"", "is empty", "outdir, source, block"),
    "a list": (b"- outdir\n- source\n", "holds a list", "keys and values"),
    "a string": (b"hello\n", "holds a string", "keys and values"),
    "a tab": (b"outdir: x\nsource:\n\tpath: y\n", "line 3", "correct"),
    "an open bracket": (b"outdir: x\nblock: [1, 2\nsource: {}\n", "line 3", "correct"),
    "not text": (b"outdir: \xff\xfe\n", "not UTF-8", "save it"),
    "a key twice": (b"outdir: x\nblock: [8, 8, 8]\noutdir: y\n", "'outdir' twice", "line 3", "take one out"),
    "a tag": (b"outdir: !!python/object/apply:os.getcwd []\n", "line 1", "correct"),
}
