"""Jobs of rules as scripts get them, done within this process: no Snakemake."""

import runpy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from connectomake.pipeline.job import all_of
from connectomake.pipeline.kinds import BlockRule, DownRule, GatherRule, GroupRule, NodeRule
from connectomake.pipeline.registry import Stages
from connectomake.planning.plan import Plan
from connectomake.planning.scales import Scales
from connectomake.queueing.task import Named

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"


def named(paths: dict[str, list[str]]) -> Named:
    """Return paths by name as Snakemake hands them to scripts."""
    items: list[Any]
    names: dict[str, Any]
    items, names = [], {}
    for name, found in paths.items():
        names[name] = [len(items), len(items) + len(found)]
        items += found
    return Named(items, names)


def wildcards_of(rule: Any, item: Any) -> dict[str, str]:
    """Return the wildcards of a rule's job."""
    plan, found = rule.plan, {}
    if isinstance(rule, BlockRule):
        found = {"block": rule.layer.grid.name(item)}
    elif isinstance(rule, NodeRule):
        found = {"level": str(item[0]), "node": plan.octree.name(*item)}
    elif isinstance(rule, GroupRule):
        found = {"node": rule.tree.name(0, item)}
    elif isinstance(rule, GatherRule):
        found = {"level": str(item[0]), "node": rule.tree.name(*item)}
    elif rule.name == "contingency":
        found = {"node": plan.octree.name(1, item)}
    elif rule.name == "pyramid":
        spec = Scales(plan).specs(rule.layer)[item[0]]
        found = {"scale": spec.scale_key, "block": spec.grid.name(item[1])}
    elif rule.name in ("meshes", "skeletons"):
        found = {"number": Path(rule.outputs(item)["shard"]).stem}
    elif rule.name == "info":
        found = {"layer": item}
    return found | ({rule.stage.wildcard: rule.stage.variant} if rule.stage.wildcard else {})


def job_of(plan: Plan, rule: Any, item: Any, **changed: Any) -> SimpleNamespace:
    """Return what a script gets for a rule's job; `changed` replaces parts of it."""
    values: dict[str, Any] = {
        "rule": rule.name, "log": [], "config": {"plan": plan.to_json()}, "input": named(all_of(rule.inputs(item))),
        "output": SimpleNamespace(**rule.outputs(item)), "wildcards": SimpleNamespace(**wildcards_of(rule, item)),
    }  # fmt: skip
    return SimpleNamespace(**values | changed)


def do(plan: Plan, rule: Any, item: Any, **changed: Any) -> None:
    """Do a rule's job; a rule may be named where it is of one stage only."""
    rule = Stages(plan).rule(rule) if isinstance(rule, str) else rule
    runpy.run_path(str(SCRIPTS / "job.py"), init_globals={"snakemake": job_of(plan, rule, item, **changed)})


def do_all(plan: Plan, rule: Any) -> None:
    """Do all jobs of a rule, in an order in which each finds its inputs."""
    items = list(rule.items())
    for item in reversed(items) if isinstance(rule, DownRule) else items:
        do(plan, rule, item)
