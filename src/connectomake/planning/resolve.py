"""From a config to a plan: open the source once, on the head, and note what every job needs to know."""

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from connectomake.atomic import canonical_json, write_json
from connectomake.bounded_text import read_json
from connectomake.config import check_config, check_plain, normalise
from connectomake.errors import ConfigError, ModelError, SourceError
from connectomake.planning.content import Rule, Settled, files_text, settle
from connectomake.planning.filter_files import sealed
from connectomake.planning.fit import check_dtype, check_region
from connectomake.planning.mask import mask_info, with_blocks
from connectomake.planning.modules import file_hash, neighbours
from connectomake.planning.places import check_sources_stay
from connectomake.planning.plan import Plan
from connectomake.planning.segment_table import table_info
from connectomake.planning.source_info import SourceInfo
from connectomake.planning.truth import check_truth, truth_info
from connectomake.sources import Source, SourceOptions, open_source, resolve_local
from connectomake.sources.identity import as_identity

PLAN_FOLDER = ".connectomake"


def resolve(config: dict[str, Any], rule: Rule | None = None) -> Plan:
    """Check a config, open its source and return the plan.

    The source is compared with what was seen of it before, in this working directory: see `connectomake.planning.content`.
    A finished run is opened without its source by `connectomake.open_run`.

    Parameters
    ----------
    config
        As it was read, without defaults.
    rule
        How carefully to compare; None as the config says.

    Raises
    ------
    ConfigError
        If the config is wrong or does not fit the source.
    SourceError
        If the source cannot be opened.
    ContentError
        If the source was written to, and it is unknown whether its content is the same.
    """
    return resolve_seen(config, rule)[0]


def resolve_seen(config: dict[str, Any], rule: Rule | None = None) -> tuple[Plan, dict[str, Settled]]:
    """Resolve a config, and return beside the plan what was seen of its volumes, by `place_key`; see `resolve`."""
    plan = sampled_plan(config)
    return name_contents(plan, rule or Rule(plan.config["source"]["checksum_below"]))


def sampled_plan(config: dict[str, Any]) -> Plan:
    """Check a config and open its source: the plan in which contents are called by their cheap fingerprints.

    Raises
    ------
    ConfigError, SourceError
        See `resolve`.
    """
    filled = normalise(config)
    check_config(filled)
    filled["outdir"] = str(PurePosixPath(filled["outdir"]))
    model, weights, modules = _model_hashes(filled["inference"])
    image = open_section(filled["source"])
    source = _source_info(filled["source"], image)
    truth, table = truth_info(filled["evaluation"], image), table_info(filled["segmentation"])
    plan = Plan(filled, source, model, weights, truth, modules, table=table)
    check_region(plan)
    plan = _masked(plan, image)
    check_truth(plan)
    check_dtype(plan)
    check_sources_stay(plan)
    return plan


def _masked(plan: Plan, image: Source) -> Plan:
    info = mask_info(plan.config["mask"], image)
    return plan if info is None else replace(plan, mask=with_blocks(info, plan.grid))


def name_contents(plan: Plan, rule: Rule) -> tuple[Plan, dict[str, Settled]]:
    """Call the contents of a `sampled_plan` by the names that they have had so far, and note what is there now.

    Raises
    ------
    SourceError, ContentError
        See `connectomake.planning.content.settle`.
    """
    seen: dict[str, Settled] = {}
    for info in (plan.source, plan.truth, plan.mask.volume if plan.mask else None):
        if info is not None and place_key(info) not in seen:
            seen[place_key(info)] = settle(info.path, place_key(info), as_identity(info.identity), rule)
    truth = None if plan.truth is None else _named(plan.truth, seen)
    mask = None if plan.mask is None else replace(plan.mask, volume=_named(plan.mask.volume, seen))
    return replace(plan, source=_named(plan.source, seen), truth=truth, mask=mask), seen


def _named(info: SourceInfo, seen: dict[str, Settled]) -> SourceInfo:
    cheap, name = str(info.identity), seen[place_key(info)].identity
    return replace(info, identity=name, sampled="" if name == cheap else cheap)


def place_key(info: SourceInfo) -> str:
    """Return what the notes on a volume are found by."""
    return canonical_json([resolve_local(info.path, "."), info.dataset, info.scale])


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
        Warnings, one a line: that the plan of an earlier run is used because the source is out of reach, that the source has
        changed, what looks odd about source and ground truth.

    Raises
    ------
    ConfigError, SourceError, ContentError
        See `resolve`.
    """
    path = Path(plan_path(config))
    before = _stored(path)
    try:
        plan = sampled_plan(config)
        check_writable(plan.outdir)
        for layer in plan.layers.values():
            layer.grid.check_count(keys="block; source.start, source.stop")
        plan, seen = name_contents(plan, Rule(plan.config["source"]["checksum_below"]))
    except SourceError as error:
        if not path.exists():
            raise
        return f"{error}; continuing with the plan of an earlier run, {path}"
    value = {"plan": plan.to_json()}
    if before != json.loads(json.dumps(value)):
        try:
            write_json(path, value)
        except OSError as error:
            raise ConfigError(
                f"the plan {path} cannot be written ({error.strerror}); make the working directory writable"
            ) from error
    return "\n".join([*changes(plan, seen, before), *plan.notes]) or None


def changes(plan: Plan, seen: dict[str, Settled], before: Any = None) -> list[str]:
    """Return a sentence for each volume of a plan whose content is another than before.

    Parameters
    ----------
    plan, seen
        From `resolve_seen`.
    before
        What the plan file of an earlier start holds, if there is one.
    """
    texts = []
    old = before["plan"] if isinstance(before, dict) and isinstance(before.get("plan"), dict) else {}
    mask = plan.mask.volume if plan.mask else None
    for what, info, earlier in (
        ("source", plan.source, old.get("source")), ("ground truth", plan.truth, old.get("truth")),
        ("mask", mask, (old.get("mask") or {}).get("volume")),
    ):  # fmt: skip
        if info is None:
            continue
        other = earlier is not None and earlier["path"] == info.path and earlier["identity"] != info.identity
        found = seen[place_key(info)]
        if other or found.changed:
            names = files_text(found.changed or found.last)
            where = f"{info.path} ({names})" if names else info.path
            texts.append(f"the {what} {where} has changed: what was made from it is outdated and will be remade.")
    table, before_it = plan.table, old.get("table")
    if table and before_it and before_it["path"] == table.path and before_it["sha256"] != table.sha256:
        texts.append(f"the table {table.path} has changed: what was made from it is outdated and will be remade.")
    return texts


def _stored(path: Path) -> Any:
    """Return what a plan file holds, or None if there is none or it is damaged."""
    try:
        return read_json(path.read_text())
    except (OSError, ValueError):
        return None


def check_writable(outdir: str) -> None:
    """Raise a ConfigError unless the folder of results, or the nearest above it that is there, can be written."""
    folder = Path(outdir)
    while not os.path.lexists(folder):
        folder = folder.parent
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigError(f"outdir {outdir!r} cannot be written: {folder} is not a writable folder; name another outdir")


def open_section(section: dict[str, Any]) -> Source:
    """Open the source that ``source`` of a config names, defaults filled in.

    Raises
    ------
    ConfigError, SourceError
        See `connectomake.sources.open_source`.
    """
    voxel_size = section["voxel_size"]
    options = SourceOptions.of(section)
    return open_source(
        section["path"], section["dataset"], None if voxel_size is None else tuple(voxel_size), section["scale"], options
    )


def _source_info(section: dict[str, Any], source: Source) -> SourceInfo:
    z, y, x = (float(v) for v in source.voxel_size)
    return SourceInfo(
        section["path"], section["dataset"], section["scale"], source.kind, source.bounds, source.channels,
        str(source.dtype), (z, y, x), source.identity, sealed(SourceOptions.of(section)), source.blank_sections,
        notes=source.notes,
    )  # fmt: skip


def _model_hashes(section: dict[str, Any] | None) -> tuple[str | None, str | None, dict[str, str]]:
    if section is None:
        return None, None, {}
    model, weights = _file_hash(section["model"], "inference.model"), _file_hash(section["weights"], "inference.weights")
    try:
        return model, weights, neighbours(section["model"])
    except OSError as error:
        raise ModelError(f"{error.filename}, which {section['model']} uses, cannot be read ({error.strerror})") from error


def check_models(plan: Plan) -> None:
    """Raise a ModelError unless the model file and its weights are still those that the plan was made with."""
    section = plan.config["inference"]
    *hashes, modules = _model_hashes(section)
    for key, found, planned in zip(("model", "weights"), hashes, (plan.model, plan.weights), strict=True):
        if found != planned:
            raise ModelError(
                f"inference.{key} {section[key]!r} has changed since the plan was made; start snakemake on the head again"
            )
    for name in sorted(modules.keys() | plan.modules.keys()):
        if modules.get(name) != plan.modules.get(name):
            raise ModelError(
                f"{name}, which inference.model {section['model']!r} uses, has changed since the plan was made; start "
                "snakemake on the head again"
            )


def _file_hash(path: str | None, key: str) -> str | None:
    if path is None:
        return None
    try:
        return file_hash(Path(path))
    except OSError as error:
        raise ModelError(f"{key} {path!r} cannot be read ({error.strerror}); name an existing file") from error
