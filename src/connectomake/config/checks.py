"""Checks of a config that involve several keys. Each error names the values and what to change."""

import math
from pathlib import PurePosixPath
from typing import Any

from connectomake.config.methods import METHODS, check_method, method_of
from connectomake.errors import ConfigError
from connectomake.geometry import Vec, as_vec, volume_of
from connectomake.layers.spec import chunk_levels

AXES = "zyx"
RESERVED = (".snakemake", ".connectomake")
MODEL_SUFFIXES = (".py", ".pt", ".pth", ".ts")
MOST_VOXELS = 1 << 31
MOST_CELL_VOXELS = 1 << 27


def check_config(config: dict[str, Any]) -> None:
    """Check a normalised config for contradictions between its keys.

    Raises
    ------
    ConfigError
        For the first contradiction.
    """
    _check_outdir(config["outdir"])
    _check_region(config["source"], "source")
    _check_filters(config["source"]["filters"])
    _check_block(as_vec(config["block"]))
    if config["chunk"] is not None:
        chunk_levels(as_vec(config["block"]), as_vec(config["chunk"]))
    if config["inference"] is not None:
        _check_inference(config["inference"])
        _check_channels(config)
        _check_augment(config)
    check_method(config["segmentation"])
    _check_table(config["segmentation"])
    _check_agglomeration(config)
    _check_fan_out(config["merge"]["fan_out"])
    if config["meshes"]["enabled"]:
        _check_cell(config)
        _check_select(config["meshes"]["select"])
    if config["skeletons"]["enabled"]:
        _check_skeleton_cell(config["skeletons"]["cell"])
    _check_factors(config["pyramid"]["factors"])
    if config["evaluation"] is not None:
        _check_region(config["evaluation"], "evaluation")


def _check_outdir(outdir: str) -> None:
    path = PurePosixPath(outdir)
    odd = set(outdir) & set("{}*?[]\"'\\~") or outdir != outdir.strip()
    if "://" in outdir or path.is_absolute() or ".." in path.parts or not path.parts or odd:
        raise ConfigError(
            f"outdir {outdir!r} must be a folder below the working directory, such as results/run1; "
            "a bucket is given by the profile (default-storage-prefix), another disk by snakemake --directory"
        )
    if path.parts[0] in RESERVED:
        raise ConfigError(f"outdir {outdir!r} is a folder that the workflow itself needs; name another, such as results/run1")


def _check_region(section: dict[str, Any], name: str) -> None:
    start, stop = section["start"], section["stop"]
    if start is None or stop is None:
        return
    for axis, a, b in zip(AXES, start, stop, strict=True):
        if a >= b:
            raise ConfigError(
                f"{name}.start {start} is not below {name}.stop {stop} along {axis}, {a} >= {b}; change one of them"
            )


def _check_filters(filters: list[dict[str, Any]]) -> None:
    if filters:
        from connectomake.filters import filters_of

        filters_of(filters)


def _check_block(block: Vec) -> None:
    z, y, x = block
    if z * y * (x // 2 + 1) >= 1 << 31:
        raise ConfigError(f"block {list(block)} has {z * y * x} voxels, too many to be labelled; stay below 4 billion")


def _check_inference(inference: dict[str, Any]) -> None:
    _check_model(inference["model"])
    patch, overlap, batch = inference["patch"], inference["overlap"], inference["batch"]
    if batch * volume_of(as_vec(patch)) >= MOST_VOXELS:
        raise ConfigError(
            f"inference.patch {patch} and batch {batch} make {batch * volume_of(as_vec(patch))} voxels a forward pass, more "
            f"than the {MOST_VOXELS} that torch can count; take a smaller patch or batch"
        )
    output = inference["output_patch"] or patch
    for axis, p, o, v in zip(AXES, patch, output, overlap, strict=True):
        if o > p:
            raise ConfigError(
                f"inference.output_patch {output} is larger than inference.patch {patch} along {axis}; make it smaller"
            )
        if (p - o) % 2:
            raise ConfigError(
                f"inference.patch {patch} minus output_patch {output} is odd along {axis}, so the output cannot lie in the "
                "middle; change one of them by one voxel"
            )
        if v >= o:
            raise ConfigError(
                f"inference.overlap {overlap} must be smaller than the output patch {output} along {axis}, got {v} >= {o}"
            )


def _check_model(model: str) -> None:
    if PurePosixPath(model).suffix not in MODEL_SUFFIXES:
        raise ConfigError(
            f"inference.model {model!r} is neither a Python file (.py) nor TorchScript (.pt, .pth, .ts); name the model file "
            "(a checkpoint goes to inference.weights)"
        )


def _check_channels(config: dict[str, Any]) -> None:
    check_channels(config["segmentation"], config["inference"]["channels"], "inference.channels is {}, the last is {}")


def check_channels(segmentation: dict[str, Any], channels: int, fact: str) -> None:
    """Check that the channels which the segmentation reads exist.

    Parameters
    ----------
    segmentation
        The section of the config.
    channels
        How many there are.
    fact
        What to say of them, with places for their number and the last one.

    Raises
    ------
    ConfigError
        If one does not exist.
    """
    method = method_of(segmentation)
    wanted, advice = segmentation[method.channels], ""
    if method.affinities:
        advice = f"; a {method.name} needs the three affinities to the lower neighbours in z, y and x"
    if max(method.channels_of(segmentation)) >= channels:
        raise ConfigError(
            f"segmentation.{method.channels} {wanted} does not exist: {fact.format(channels, channels - 1)}{advice}"
        )
    excluding = segmentation["exclude"]
    if excluding and excluding["channel"] >= channels:
        raise ConfigError(
            f"segmentation.exclude.channel {excluding['channel']} does not exist: {fact.format(channels, channels - 1)}"
        )
    if segmentation["argmax"] and channels == 1:
        raise ConfigError(f"segmentation.argmax compares channels, but {fact.format(channels, channels - 1)}; leave argmax out")


def _check_augment(config: dict[str, Any]) -> None:
    inference, method = config["inference"], method_of(config["segmentation"])
    if inference["augment"] != "none" and inference["affinities"] is None and method.affinities:
        raise ConfigError(
            f"inference.augment {inference['augment']} must know which channels are affinities; set inference.affinities to "
            f"{config['segmentation'][method.channels]}, or augment to none"
        )


def _check_table(section: dict[str, Any]) -> None:
    table, method = section["table"], method_of(section)
    if table is None:
        return
    if not method.labels:
        raise ConfigError(
            f"segmentation.table joins labels that the source holds, but segmentation.method is {method.name}; set it to "
            "labels, or leave the table out"
        )
    if "://" in table["path"]:
        raise ConfigError(f"segmentation.table.path {table['path']!r} must be a file here; copy it, and name the copy")


def _check_agglomeration(config: dict[str, Any]) -> None:
    section, method = config["agglomeration"], method_of(config["segmentation"])
    if not method.graph and (section is not None or config["segmentation"]["min_supervoxel"]):
        key = "segmentation.min_supervoxel" if section is None else "agglomeration"
        able = " or ".join(other.name for other in METHODS.values() if other.graph)
        raise ConfigError(f"{key} needs basins, but segmentation.method is {method.name}; set it to {able}, or leave {key} out")
    if section is None:
        return
    _check_thresholds(section)
    large = section["large"]
    if large is not None and large["threshold"] < section["threshold"]:
        raise ConfigError(
            f"agglomeration.large.threshold {large['threshold']} is below agglomeration.threshold {section['threshold']}; "
            "raise it, or leave `large` out"
        )


def _check_thresholds(section: dict[str, Any]) -> None:
    given = section["thresholds"]
    names = [threshold_text(t) for t in given]
    twice = [n for i, n in enumerate(names) if n in names[:i]]
    if twice:
        raise ConfigError(f"agglomeration.thresholds {given} name {twice[0]} twice; name each once")
    if given != sorted(given):
        raise ConfigError(f"agglomeration.thresholds {given} are out of order; name them ascending: {sorted(given)}")
    if threshold_text(section["threshold"]) in names:
        raise ConfigError(
            f"agglomeration.thresholds {given} name agglomeration.threshold {section['threshold']} again, which is the layer "
            "segmentation; take it out of the list"
        )


def threshold_text(threshold: float) -> str:
    """Return a threshold as it stands in names of layers: to nine decimals, which is how exact it is taken."""
    return f"{threshold:.9f}".rstrip("0").rstrip(".")


def _check_fan_out(fan_out: int) -> None:
    if fan_out & (fan_out - 1):
        raise ConfigError(f"merge.fan_out {fan_out} is not a power of two; take {1 << (fan_out.bit_length() - 1)}")


def _check_factors(factors: list[list[int]] | None) -> None:
    if [1, 1, 1] in (factors or []):
        raise ConfigError(f"pyramid.factors {factors} has a scale of [1, 1, 1], the same as the one below; take it out")


def _check_cell(config: dict[str, Any]) -> None:
    block, cell = as_vec(config["block"]), config["meshes"]["cell"]
    for axis, b, c in zip(AXES, block, cell, strict=True):
        if b % c:
            raise ConfigError(
                f"block {list(block)} is not a multiple of meshes.cell {cell} along {axis}, {b} % {c} = {b % c}; "
                "change one of them, or set meshes.enabled: false"
            )


def _check_skeleton_cell(cell: list[int]) -> None:
    if volume_of(as_vec(cell)) > MOST_CELL_VOXELS:
        raise ConfigError(f"skeletons.cell {cell} has more voxels than [512, 512, 512]; take a smaller one")


def _check_select(select: dict[str, Any]) -> None:
    low, high = select["min_voxels"], select["max_voxels"]
    if high is not None and low > high:
        raise ConfigError(f"meshes.select.min_voxels {low} is above max_voxels {high}, so no object is meshed; change one")
    if select["query"]:
        from connectomake.objects.query import check_query

        check_query(select["query"])


def default_chunk(block: Vec) -> Vec:
    """Return block / 2^k for the k that brings the chunk nearest to 64^3 voxels."""
    candidates = [as_vec([b >> k for b in block]) for k in range(12) if all(b % (1 << k) == 0 for b in block)]
    return min(candidates, key=lambda c: abs(math.log2(volume_of(c) / 64**3)))
