"""The plan of a run that was made before: without its source, which may have moved, and without its working directory."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from connectomake.atomic import write_json
from connectomake.bounded_text import read_json
from connectomake.config import load_config, normalise
from connectomake.errors import ConfigError
from connectomake.planning.plan import Plan

NAME = "plan.json"
"""In the folder of results."""


def open_run(place: str | Path) -> Plan:
    """Return the plan of a run that was made before; see `connectomake.run.open_run`, which gives ways to its results, too."""
    path = Path(place)
    return _plan_of_folder(path) if path.is_dir() else earlier_plan(load_config(path))


def earlier_plan(config: dict[str, Any]) -> Plan:
    """Return the plan of the last run of a config, as the run left it beside its results, or in the working directory.

    Raises
    ------
    ConfigError
        If there is none, or the results there are those of another config.
    """
    from connectomake.planning.resolve import plan_path

    filled, here = normalise(config), Path(plan_path(config))
    outdir = Path(filled["outdir"])
    beside = read_plan_file(outdir / NAME) if (outdir / NAME).exists() else None
    if beside is not None and _alike(beside.config, filled):
        return beside
    if here.exists():
        return read_plan_file(here)
    if beside is not None:
        raise ConfigError(
            f"the results in {outdir} are of another config; open the folder {outdir} to look at them as they are"
        )
    raise ConfigError(f"there is no run of this config here: neither {here} nor {outdir / NAME} exists; start snakemake first")


def _alike(config: dict[str, Any], filled: dict[str, Any]) -> bool:
    """Whether two configs say the same, though one may be of a version with fewer keys."""
    return normalise(config) == {**filled, "outdir": str(Path(filled["outdir"]))}


def _plan_of_folder(folder: Path) -> Plan:
    """Return the plan of the results in a folder, which may be a copy."""
    if not (folder / NAME).exists():
        raise ConfigError(f"the folder {folder} has no {NAME}, which a run leaves there; name the run's config instead")
    plan = read_plan_file(folder / NAME)
    return replace(plan, config={**plan.config, "outdir": str(folder)})


def read_plan_file(path: Path) -> Plan:
    """Read a plan file.

    Raises
    ------
    ConfigError
        If it is missing or damaged, or of another version.
    """
    try:
        plan = Plan.from_json(read_json(path.read_text())["plan"])
        return replace(plan, config=normalise(plan.config))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"the plan {path} is damaged; delete it and run again where the source can be reached") from error


def leave_plan(plan: Plan) -> None:
    """Write a plan beside the results, so that a copy of them can be opened alone; nothing is written if it is there.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    path, value = Path(plan.outdir, NAME), {"plan": plan.to_json()}
    try:
        if read_json(path.read_text()) == json.loads(json.dumps(value)):
            return
    except (OSError, ValueError):
        pass
    write_json(path, value)
