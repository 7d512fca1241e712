"""A small run of a plan over a part of its region, in this process and a folder of its own, with its time and bytes."""

import contextlib
import io
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from connectomake.budget.work import byte_units, key_of, rules_of, seams_of, time_units
from connectomake.layers import read_box, write_block
from connectomake.pipeline.affinity import AffinityRule
from connectomake.pipeline.base import Rule
from connectomake.pipeline.evaluation import CurveRule
from connectomake.pipeline.job import Job, all_of
from connectomake.pipeline.kinds import DownRule
from connectomake.pipeline.registry import Stages
from connectomake.pipeline.reports import Reports
from connectomake.planning.plan import Plan

if TYPE_CHECKING:
    from connectomake.geometry import Box, Vec


@dataclass
class Files:
    """Size of an output: files and bytes, with the units and the voxels of seams between blocks that they follow from.

    With `units_only`, only the units count: in shards and packs the rest is small.
    """

    number: int = 0
    bytes: int = 0
    units: float = 0.0
    seams: float = 0.0
    units_only: bool = False


@dataclass
class Tally:
    """Cost of all jobs of a rule: jobs, seconds, and the units that these follow from; files by output."""

    jobs: int = 0
    seconds: float = 0.0
    units: float = 0.0
    outputs: dict[str, Files] = field(default_factory=dict)


@dataclass(frozen=True)
class SmallRun:
    """A run that was made: its plan, and what each rule took, by `key_of`."""

    plan: Plan
    tallies: dict[str, Tally]


def part_of(plan: Plan, box: "Box", outdir: str, block: "Vec | None" = None) -> Plan:
    """Return the plan of a part of the region: all objects meshed, no report, no mask, scores where there is ground truth."""
    select = {**plan.config["meshes"]["select"], "ids": None, "min_voxels": 0, "max_voxels": None, "query": None}
    config = {
        **plan.config,
        "outdir": outdir,
        "block": list(block or plan.block),
        "chunk": list(plan.chunk),
        "source": {**plan.config["source"], "start": list(box.start), "stop": list(box.stop)},
        "meshes": {**plan.config["meshes"], "select": select},
        "skeletons": {**plan.config["skeletons"], "ids": None},
        "report": {**plan.config["report"], "enabled": False},
    }
    found = replace(plan, config={**config, "mask": None}, mask=None)  # rates are of voxels inside
    if plan.truth is None or not found.evaluation_box.empty:
        return found
    return replace(found, config={**found.config, "evaluation": None}, truth=None)


def small_run(part: Plan, clock: Callable[[str], float] | None = None, like: SmallRun | None = None) -> SmallRun:
    """Make all files of a plan, but for infos and reports.

    Parameters
    ----------
    part
        From `part_of`.
    clock
        Returns the seconds so far, given a rule's name; default: those of this process' cores.
    like
        Another run over the same region: the network's output is taken from it.

    Raises
    ------
    ConnectomakeError
        For what would stop the run itself.
    """
    found: dict[str, Tally] = {}
    rules = [rule for rule in rules_of(part) if rule.stage.listed]
    for rule in sorted(rules, key=lambda r: isinstance(r, CurveRule)):  # of all thresholds: last
        if isinstance(rule, AffinityRule) and like is not None:
            _copy(rule, like.plan)
        else:
            _measure(rule, found.setdefault(key_of(rule), Tally()), clock or _cpu)
    return SmallRun(part, found)


def _cpu(_: str) -> float:
    return time.process_time()


def _copy(rule: AffinityRule, other: Plan) -> None:
    """Write the blocks of the network's output as they are in another run over the same region."""
    folder, spec = Path(other.outdir, "affinity"), other.layers["affinity"]
    record = Stages(rule.plan).record(rule.stage.name)
    for block in rule.items():
        path = rule.outputs(block)["shard"]
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        write_block(path, rule.layer, block, read_box(folder, spec, rule.layer.grid.box(block)), record)


def _measure(rule: Rule[Any], tally: Tally, clock: Callable[[str], float]) -> None:
    stages, items = Stages(rule.plan), list(rule.items())
    for item in reversed(items) if isinstance(rule, DownRule) else items:
        given, outputs = SimpleNamespace(**all_of(rule.inputs(item))), rule.outputs(item)
        for path in outputs.values():
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            began = clock(rule.name)
            rule.work(Job(stages, rule, item, given, SimpleNamespace(**outputs)), item)
            tally.seconds += clock(rule.name) - began
    tally.jobs += len(items)
    tally.units += time_units(rule)
    add_outputs(rule, tally.outputs)


def add_outputs(rule: Rule[Any], tally: dict[str, Files]) -> None:
    """Add the files that the jobs of a rule left: their number, bytes and what these follow from, by output."""
    paths: dict[str, list[str]] = {}
    for item in rule.items():
        for name, path in rule.outputs(item).items():
            paths.setdefault(name, []).append(path)
    for name, found in paths.items():
        there = [Path(path).stat().st_size for path in found if os.path.lexists(path)]
        files = tally.setdefault(name, Files())
        files.number += len(there)
        files.bytes += sum(there)
        files.units += byte_units(rule, found[0])
        files.seams += seams_of(rule)
        files.units_only = found[0].endswith((".shard", ".pack"))


def bytes_made(plan: Plan) -> dict[str, int]:
    """Return the bytes of all files that a run has left, by rule, infos and reports left out."""
    found: dict[str, dict[str, Files]] = {}
    for rule in rules_of(plan):
        if not isinstance(rule.stage, Reports):
            add_outputs(rule, found.setdefault(rule.name, {}))
    return {name: sum(files.bytes for files in outputs.values()) for name, outputs in found.items()}
