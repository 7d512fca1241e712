"""From a config to a plan: open the source once, on the head, and note what every job needs to know."""

import hashlib
import json
import os
from pathlib import Path, PurePosixPath
from typing import Any

from connectomake.atomic import canonical_json, write_json
from connectomake.config import check_channels, check_config, check_plain, normalise
from connectomake.errors import ConfigError, ModelError, SourceError
from connectomake.planning.facts import SourceFacts
from connectomake.planning.plan import Plan
from connectomake.planning.truth import check_truth, truth_facts
from connectomake.sources import SourceOptions, is_url, open_source, resolve_local

PLAN_FOLDER = ".connectomake"
IMAGE_DTYPES = ("uint8", "uint16", "uint32", "int8", "int16", "float32")
PROBABILITY_DTYPES = ("uint8", "float32")


def resolve(config: dict[str, Any]) -> Plan:
    """Check a config, open its source and return the plan.

    Raises
    ------
    ConfigError
        If the config is wrong or does not fit the source.
    SourceError
        If the source cannot be opened.
    """
    filled = normalise(config)
    check_config(filled)
    filled["outdir"] = str(PurePosixPath(filled["outdir"]))
    model, weights = _model_hashes(filled["inference"])
    source = _source_facts(filled["source"])
    plan = Plan(filled, source, model, weights, truth_facts(filled["evaluation"], source))
    _check_region(plan)
    check_truth(plan)
    _check_dtype(plan)
    _check_source_stays(plan)
    return plan


def plan_path(config: dict[str, Any]) -> str:
    """Return where the plan of a config lies: named by the config's hash, so that a job finds it without the source.

    Raises
    ------
    ConfigError
        If the config holds what JSON cannot, such as NaN or a date.
    """
    check_plain(config)
    return f"{PLAN_FOLDER}/plan-{hashlib.sha256(canonical_json(config).encode()).hexdigest()[:16]}.json"


def prepare_plan(config: dict[str, Any]) -> str | None:
    """Resolve a config and write its plan to `plan_path`, unless the same plan lies there already.

    A source that cannot be reached is no reason to stop if the plan was made before: stages after the ingest can go on.

    Returns
    -------
    str or None
        A warning, if the plan of an earlier run is used because the source is out of reach.

    Raises
    ------
    ConfigError, SourceError
        See `resolve`.
    """
    path = Path(plan_path(config))
    try:
        plan = resolve(config)
    except SourceError as error:
        if not path.exists():
            raise
        return f"{error}; going on with the plan of an earlier run, {path}"
    check_writable(plan.outdir)
    value = {"plan": plan.to_json()}
    if _stored(path) != json.loads(json.dumps(value)):
        try:
            write_json(path, value)
        except OSError as error:
            raise ConfigError(
                f"the plan {path} cannot be written ({error.strerror}); make the working directory writable"
            ) from error
    return None


def _stored(path: Path) -> Any:
    """Return what a plan file holds, or None if there is none or it is damaged."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


def check_writable(outdir: str) -> None:
    """Raise a ConfigError unless the folder of results, or the nearest above it that is there, can be written."""
    folder = Path(outdir)
    while not os.path.lexists(folder):
        folder = folder.parent
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigError(f"outdir {outdir!r} cannot be written: {folder} is not a writable folder; name another outdir")


def _source_facts(section: dict[str, Any]) -> SourceFacts:
    voxel_size = section["voxel_size"]
    options = SourceOptions.of(section)
    source = open_source(
        section["path"], section["dataset"], None if voxel_size is None else tuple(voxel_size), section["scale"], options
    )
    z, y, x = (float(v) for v in source.voxel_size)
    return SourceFacts(
        section["path"], section["dataset"], section["scale"], source.kind, source.bounds, source.channels,
        str(source.dtype), (z, y, x), source.identity, options, source.blank_sections,
    )  # fmt: skip


def _model_hashes(section: dict[str, Any] | None) -> tuple[str | None, str | None]:
    if section is None:
        return None, None
    return _file_hash(section["model"], "inference.model"), _file_hash(section["weights"], "inference.weights")


def check_models(plan: Plan) -> None:
    """Raise a ModelError unless the model file and its weights are still those that the plan was made with."""
    section = plan.config["inference"]
    hashes = zip(("model", "weights"), _model_hashes(section), (plan.model, plan.weights), strict=True)
    for key, found, planned in hashes:
        if found != planned:
            raise ModelError(
                f"inference.{key} {section[key]!r} has changed since the plan was made; start snakemake on the head again"
            )


def _file_hash(path: str | None, key: str) -> str | None:
    if path is None:
        return None
    try:
        with Path(path).open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise ConfigError(f"{key} {path!r} cannot be read ({error.strerror}); name an existing file") from error


def _check_region(plan: Plan) -> None:
    bounds = plan.source.bounds
    if bounds.empty:
        raise ConfigError(f"source {plan.source.path!r} holds no voxel: its bounds are {bounds}")
    for key in ("start", "stop"):
        point = plan.config["source"][key]
        if point is not None and not all(a <= p <= b for a, p, b in zip(bounds.start, point, bounds.stop, strict=True)):
            raise ConfigError(f"source.{key} {point} is outside the source, which holds {bounds}; null takes all of it")
    if plan.roi.empty:
        raise ConfigError(f"the region of interest {plan.roi} holds no voxel; change source.start or source.stop")


def _check_dtype(plan: Plan) -> None:
    source = plan.source
    if plan.inference is not None and source.dtype not in IMAGE_DTYPES:
        raise ConfigError(
            f"source.path {source.path!r} has dtype {source.dtype}, which is no image; convert it to one of "
            f"{', '.join(IMAGE_DTYPES)}"
        )
    if plan.inference is None:
        if source.dtype not in PROBABILITY_DTYPES:
            raise ConfigError(
                f"inference is null, so the source is taken as the probability, but its dtype is {source.dtype}; it must be "
                f"{' or '.join(PROBABILITY_DTYPES)}; name the values of 0 and 1 (source.range: [low, high]), or give a network "
                "in `inference`"
            )
        check_channels(plan.config["segmentation"], source.channels, "the source has {} channel(s), the last is {}")


def _check_source_stays(plan: Plan) -> None:
    """Refuse a source that lies where this run writes its own layers."""
    paths = {"source.path": plan.source.path, "evaluation.ground_truth": plan.truth.path if plan.truth else None}
    for key, path in paths.items():
        if path is None or is_url(path):
            continue
        place = Path(resolve_local(path, ".").rpartition("://")[2]).resolve()
        for name in plan.layers:
            folder = Path(plan.outdir, name).resolve()
            if place == folder or folder in place.parents:
                raise ConfigError(f"{key} {path!r} lies in {plan.outdir}/{name}, which this run writes; name another outdir")
