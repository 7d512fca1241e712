"""``connectomake check``: whether a run could start here and now."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from connectomake.cli import common
from connectomake.cli.absent import absent_sentence
from connectomake.cli.common import DEFAULT_CONFIG, ConfigPath
from connectomake.cli.content import checked_plan
from connectomake.errors import ConfigError
from connectomake.reporting.texts import bytes_text, shape_text

if TYPE_CHECKING:
    import numpy as np

    from connectomake.geometry import Box
    from connectomake.planning.plan import Plan
    from connectomake.preflight import Site
    from connectomake.sources import Source


def check(
    config: ConfigPath = DEFAULT_CONFIG,
    fast: Annotated[bool, typer.Option("--fast", help="Load the model, but do not run it.")] = False,
    profile: Annotated[
        str,
        typer.Option(
            "--profile", metavar="FOLDER", help="Check what a profile names as well: its bucket or, on Slurm, the site."
        ),
    ] = "",
    storage: Annotated[
        str, typer.Option("--storage", metavar="URL", help="Results go here: s3://BUCKET/PREFIX or gs://.")
    ] = "",
    endpoint: Annotated[str, typer.Option("--endpoint", metavar="URL", help="Endpoint of an S3-compatible store.")] = "",
    deep: Annotated[
        bool, typer.Option("--deep", help="Read source and ground truth in full once, so that any later edit is noticed.")
    ] = False,
    source_is: Annotated[
        str,
        typer.Option("--source-is", metavar="same|changed", help="How to treat modified files that were never read in full."),
    ] = "",
    probe: Annotated[
        bool,
        typer.Option("--probe", help="On Slurm: run one small job that reports which files and which environment a node sees."),
    ] = False,
) -> None:
    """Check that the config is valid, the source readable, the results writable and the model working."""
    site = _site(profile, storage, endpoint)
    plan = checked_plan(config, deep, source_is, site.storage is None)
    _done(f"{config} is valid: {plan.grid.count:,} blocks of {shape_text(plan.block)}")
    _check_site(site, plan, probe)
    source = _check_source(plan)
    _check_truth(plan)
    _check_mask(plan)
    if site.storage is None:
        _check_outdir(plan)
        _check_space(plan)
    if plan.inference is None:
        _done(common.LABELS if plan.method.labels else common.NO_NETWORK)
        _check_order(plan, source)
    else:
        _check_network(plan, source, fast)


def _done(text: str) -> None:
    print(f"✓ {text}", flush=True)


def _site(profile: str, storage: str, endpoint: str) -> "Site":
    """Return what the profile says of the place of the run; options come first."""
    import dataclasses

    from connectomake.preflight import Site, read_profile

    site = read_profile(profile) if profile else Site()
    return dataclasses.replace(site, storage=storage or site.storage, endpoint=endpoint or site.endpoint)


def _check_site(site: "Site", plan: "Plan", probe: bool) -> None:
    from connectomake.cli.check_slurm import check_slurm_site, is_slurm
    from connectomake.preflight import check_bucket

    if is_slurm(site):
        for finding in check_slurm_site(site, plan, probe):
            _say((finding.good, finding.text))
    elif probe:
        raise ConfigError("--probe runs a job on Slurm, and no profile of Slurm is named; add --profile slurm")
    if site.storage is not None:
        _done(check_bucket(site.storage, site.endpoint))


def _check_source(plan: "Plan") -> "Source":
    info = plan.source
    source = info.open()
    _say(absent_sentence(source, plan.roi, "source.missing"))
    box = _first_chunk(plan)
    voxels = source.read(box)
    _done(f"{info.path} is readable: {box} holds {info.dtype} from {voxels.min():g} to {voxels.max():g}")
    if info.options.filters:
        _done(f"its image is filtered: {', '.join(step.key for step in info.options.filters)}")
    for remark in source.remarks:
        _done(remark)
    for note in plan.notes:
        print(f"! {note}")
    _check_values(plan, source)
    return source


def _check_values(plan: "Plan", source: "Source") -> None:
    from connectomake.cli.check_values import describe_values

    for usual, text in describe_values(plan, source):
        if usual:
            _done(text)
        else:
            print(f"! {text}")


def _say(told: tuple[bool, str]) -> None:
    good, text = told
    if text:
        print(f"{'✓' if good else '!'} {text}", flush=True)


def _check_truth(plan: "Plan") -> None:
    """Look for the storage chunks of the ground truth."""
    from connectomake.planning.truth import open_truth

    if plan.truth is None:
        return
    labels = open_truth(plan.config["evaluation"])
    _say(absent_sentence(labels.source, plan.evaluation_box, "evaluation.missing"))


def _check_mask(plan: "Plan") -> None:
    if plan.mask is not None:
        text = f"{plan.mask.count:,} of {plan.grid.count:,} blocks lie wholly outside the mask"
        _done(f"{plan.mask.volume.path}: {text}; the network is not asked for them")


def _first_chunk(plan: "Plan") -> "Box":
    chunks = plan.layers["segmentation"].chunks
    return chunks.box_at((0, 0, 0))


def _check_outdir(plan: "Plan") -> None:
    from connectomake.planning.resolve import check_writable

    check_writable(plan.outdir)
    _done(f"{plan.outdir} {'can be written' if Path(plan.outdir).exists() else 'can be made'}")


def _existing(path: str) -> Path:
    """Return the nearest folder above a path that is there."""
    folder = Path(path)
    while not folder.exists():
        folder = folder.parent
    return folder


def _check_space(plan: "Plan") -> None:
    from connectomake.cli.estimates import layer_costs

    free = shutil.disk_usage(_existing(plan.outdir)).free
    needed = sum(cost.bytes for cost in layer_costs(plan))
    text = f"{bytes_text(free)} free on disk; the layers take at most {bytes_text(needed)} before compression"
    if needed > free:
        print(f"! {text}; labels compress well, images do not: free some or take another outdir")
    else:
        _done(text)


def _check_order(plan: "Plan", source: "Source") -> None:
    """Look at the channels of a source of affinities, in the middle of the region."""
    from connectomake.geometry import Box

    if not plan.method.affinities:
        return
    z, y, x = (a + max(n // 2 - 32, 0) for a, n in zip(plan.roi.start, plan.roi.shape, strict=True))
    _warn_of_order(plan, source.read(Box.of_shape((64, 64, 64), (z, y, x)).intersect(plan.roi)))


def _warn_of_order(plan: "Plan", channels: "np.ndarray") -> None:
    """Warn if affinities (c, z, y, x) seem to be in another order than the config says."""
    if not plan.method.affinities:
        return
    from connectomake.components.order import order_warning

    warning = order_warning(channels[plan.segmented_channels], f"segmentation.{plan.method.channels}")
    if warning:
        print(f"! {warning}")


def _check_network(plan: "Plan", source: "Source", fast: bool) -> None:
    from connectomake.cli.check_network import check_network

    output = check_network(plan, source, fast)
    if output is not None:
        _warn_of_order(plan, output)
