"""Shared by ``connectomake export`` and ``convert``: their options, and the steps from sources to a volume."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from connectomake.cli import common
from connectomake.errors import ConfigError
from connectomake.keys import Options, Section, naming

if TYPE_CHECKING:
    from connectomake.geometry import Box, Vec
    from connectomake.planning.plan import Plan
    from connectomake.sources import Source

FORMAT_HELP = (
    "Of volumes: tiff, tiffs, png, hdf5, zarr2, zarr3, ome4, ome5, n5, npy, nrrd, mrc, precomputed (default: by suffix)."
)
BoxOption: TypeAlias = Annotated[
    str | None, typer.Option(metavar="z0:z1,y0:y1,x0:x1", help="Only this box, in voxels of --scale, absolute.")
]
ChannelOption: TypeAlias = Annotated[
    list[int] | None, typer.Option(help="Only this channel, from 0; may be given several times.")
]
DatasetOption: TypeAlias = Annotated[str | None, typer.Option(help="Name of the array in HDF5, Zarr or N5.")]
ChunkOption: TypeAlias = Annotated[tuple[int, int, int], typer.Option(metavar="Z Y X", help="Shape of storage chunks.")]
EncodingOption: TypeAlias = Annotated[
    str, typer.Option(help="Precomputed: raw, gzip, compressed_segmentation[+gzip], png, jpeg.")
]
ShardOption: TypeAlias = Annotated[
    int | None, typer.Option(help="Precomputed: chunks along each axis of a shard; a power of 2.")
]
MemoryOption: TypeAlias = Annotated[int, typer.Option(help="Maximum memory of blocks, in MB.", min=1)]
FillOption: TypeAlias = Annotated[bool, typer.Option("--fill", help="Read missing storage chunks as 0.")]
StorageOption: TypeAlias = Annotated[
    str,
    typer.Option(metavar="URL", help="The run's results lie in a bucket: s3://BUCKET/PREFIX or gs://, as its profile has it."),
]
DtypeOption: TypeAlias = Annotated[
    str | None,
    typer.Option(help="Data type to write, such as uint32; a value that does not fit is an error; floats are rounded."),
]
OverwriteOption: TypeAlias = Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")]


_OWN = {name: f"--{name.replace('_', '-')}" for name in ("dataset", "voxel_size", "scale", "axes", "offset", "missing_sections",
                                                         "refers_to")}  # fmt: skip


class Words(Options):
    """The options of ``convert``, and of ``export``, in sentences about what is read."""

    def write(self, key: str, value: Any = None) -> str:
        """Return an option as the user writes it; a key that is no option here is one of a config."""
        if key == "missing":
            return "--fill"
        return super().write(key, value) if key in self.others else Section().write(key, value)


WORDS = Words("", {"path": "A", **_OWN})


@dataclass(frozen=True)
class Chosen:
    """The options; see their help."""

    form: str | None
    box: str | None
    channels: list[int] | None
    dataset: str | None
    chunk: "Vec"
    encoding: str
    memory: int
    overwrite: bool
    labels: bool
    dtype: str | None = None
    shard: int | None = None


def layer_sources(plan: "Plan", layer: str, scale: int, fill: bool, storage: str = "") -> "list[Source]":
    """Return a layer of a run from a scale on, the finest first, as far as scales were made.

    Raises
    ------
    ConfigError
        If there is no such layer or scale.
    SourceError
        If the run has not made it.
    """
    from connectomake.planning.scales import Scales
    from connectomake.sources import SourceOptions, open_source

    if layer not in plan.layers:
        raise ConfigError(f"the run has no layer {layer!r}; there are: {', '.join(plan.layers)}")
    specs = Scales(plan).specs(layer)
    if scale >= len(specs):
        raise ConfigError(f"layer {layer} has scales 0 to {len(specs) - 1}, not {scale}")
    folder = f"{storage.rstrip('/')}/{plan.outdir}/{layer}" if storage else f"{plan.outdir}/{layer}"
    missing = [s.scale_key for s in specs if not _has(folder, s.scale_key)]
    if specs[scale].scale_key in missing:
        raise ConfigError(f"{folder} has no scale {specs[scale].scale_key}: the run has not made it, or does not keep it")
    options = SourceOptions(missing="fill" if fill else "error")
    there = [i for i, spec in enumerate(specs) if i >= scale and spec.scale_key not in missing]
    with naming(WORDS):
        opened = [open_source(folder, scale=i, options=options) for i in there]
    return opened if plan.mask is None else [s.sparing(_outside_mask(plan, s)) for s in opened]


def _has(folder: str, name: str) -> bool:
    """Whether a folder, local or in a bucket, holds another one, which in a bucket has at least one object."""
    from pathlib import Path

    from connectomake.sources import is_url
    from connectomake.sources.tensor_array import keys_below

    return bool(keys_below(folder, "", f"{name}/")) if is_url(folder) else Path(folder, name).is_dir()


def _outside_mask(plan: "Plan", source: "Source") -> "Callable[[Box], bool]":
    """Return what says of a box of a scale whether it lies in blocks wholly outside the mask, which are not made."""
    from connectomake.geometry import Box

    z, y, x = (max(1, round(s / f)) for s, f in zip(source.voxel_size, plan.source.voxel_size, strict=True))

    def spare(box: Box) -> bool:
        (a, b, c), (d, e, f) = box.start, box.stop
        blocks = plan.grid.ids_meeting(Box((a * z, b * y, c * x), (d * z, e * y, f * x)))
        return bool(blocks) and all(plan.is_outside(block) for block in blocks)

    return spare


def write(sources: "Sequence[Source]", destination: str, chosen: Chosen) -> None:
    """Write a volume and say so.

    Raises
    ------
    ConfigError, SourceError, StorageError
        See `connectomake.exporting.export_volume`.
    """
    from connectomake.exporting import Options as How
    from connectomake.exporting import export_volume, format_of, levels_of

    form = format_of(chosen.form, destination)
    if min(chosen.chunk) < 1:
        raise ConfigError(f"--chunk must be three numbers from 1 on, got {chosen.chunk}")
    if chosen.encoding != "raw" and not form.encodings:
        raise ConfigError(f"--encoding {chosen.encoding} is of precomputed, not of {form.text}; leave it out")
    if chosen.shard is not None and not form.encodings:
        raise ConfigError(f"--shard {chosen.shard} is of precomputed, not of {form.text}; leave it out")
    if chosen.dataset and not form.dataset:
        raise ConfigError(f"the name of an array, {chosen.dataset}, does not apply to {form.text}; leave it out")
    levels = levels_of(sources, parse_box(chosen.box), chosen.channels, chosen.dtype)
    options = How(chosen.dataset, chosen.chunk, chosen.encoding, chosen.labels, chosen.shard)
    export_volume(levels, destination, form, options, memory_mb=chosen.memory, overwrite=chosen.overwrite)
    for text in form.unsaid(levels[0]):
        common.note(text)
    for level in levels if form.pyramid else levels[:1]:
        chunks, voxels = level.source.filled(level.box)
        if chunks:
            common.note(f"{chunks} storage chunks of {level.source.path} are not there; their {voxels} voxels are written as 0")
    shape = " × ".join(str(n) for n in levels[0].shape)
    print(f"{destination}: {form.text}, {shape} voxels of {levels[0].dtype.name}")


def parse_box(text: str | None) -> "Box | None":
    """Return the box that a text names.

    Raises
    ------
    ConfigError
        If it names none.

    Examples
    --------
    >>> parse_box("0:10,-5:20,30:40")
    Box(start=(0, -5, 30), stop=(10, 20, 40))
    """
    from connectomake.geometry import Box

    if text is None:
        return None
    pairs = [re.fullmatch(r"\s*(-?\d+):(-?\d+)\s*", part) for part in text.split(",")]
    if len(pairs) != 3 or None in pairs:
        raise ConfigError(f"--box must be z0:z1,y0:y1,x0:x1 in voxels, such as 0:10,0:512,0:512, got {text!r}")
    (z0, z1), (y0, y1), (x0, x1) = ((int(p[1]), int(p[2])) for p in pairs if p)
    return Box((z0, y0, x0), (z1, y1, x1))
