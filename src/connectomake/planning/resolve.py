"""From a config to a plan: open the source once, on the head, and note what every job needs to know."""

import hashlib
import json
from pathlib import Path
from typing import Any

from connectomake.atomic import canonical_json, write_json
from connectomake.config import check_config, normalise
from connectomake.errors import ConfigError, SourceError
from connectomake.planning.plan import Plan, SourceFacts
from connectomake.sources import open_source

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
    model, weights = _model_hashes(filled["inference"])
    plan = Plan(filled, _source_facts(filled["source"]), model, weights)
    _check_region(plan)
    _check_dtype(plan)
    return plan


def plan_path(config: dict[str, Any]) -> str:
    """Return where the plan of a config lies: named by the config's hash, so that a job finds it without the source."""
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
    value = {"plan": plan.to_json()}
    if not path.exists() or json.loads(path.read_text()) != json.loads(json.dumps(value)):
        try:
            write_json(path, value)
        except OSError as error:
            raise ConfigError(
                f"the plan {path} cannot be written ({error.strerror}); make the working directory writable"
            ) from error
    _check_writable(plan.outdir)
    return None


def _check_writable(outdir: str) -> None:
    import os

    folder = Path(outdir)
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigError(f"outdir {outdir!r} cannot be written: {folder} is not a writable folder; name another outdir")


def _source_facts(section: dict[str, Any]) -> SourceFacts:
    voxel_size = section["voxel_size"]
    source = open_source(
        section["path"], section["dataset"], None if voxel_size is None else tuple(voxel_size), section["scale"]
    )
    z, y, x = (float(v) for v in source.voxel_size)
    return SourceFacts(
        section["path"], section["dataset"], section["scale"], source.kind, source.bounds, source.channels,
        str(source.dtype), (z, y, x), source.identity,
    )  # fmt: skip


def _model_hashes(section: dict[str, Any] | None) -> tuple[str | None, str | None]:
    if section is None:
        return None, None
    return _file_hash(section["model"], "inference.model"), _file_hash(section["weights"], "inference.weights")


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
        raise ConfigError(f"the region of interest {plan.roi} holds no voxel; check source.start and source.stop")


def _check_dtype(plan: Plan) -> None:
    source = plan.source
    if plan.inference is not None and source.dtype not in IMAGE_DTYPES:
        raise ConfigError(f"source dtype {source.dtype} is no image; networks read {', '.join(IMAGE_DTYPES)}")
    if plan.inference is None:
        if source.dtype not in PROBABILITY_DTYPES:
            raise ConfigError(
                f"inference is null, so the source is taken as the probability, but its dtype is {source.dtype}; it must be "
                f"{' or '.join(PROBABILITY_DTYPES)}; give a network in `inference`"
            )
        channel = plan.config["segmentation"]["channel"]
        if channel >= source.channels:
            raise ConfigError(f"segmentation.channel {channel} does not exist: the source has {source.channels} channel(s)")
