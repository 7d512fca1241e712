"""Forecast of a run: jobs, seconds, hours and bytes of each rule and in total."""

import math
from dataclasses import dataclass, replace

from connectomake.budget.limits import START_SECONDS
from connectomake.budget.rates import Line, Rates
from connectomake.budget.work import byte_units, key_of, rules_of, seams_of, time_units
from connectomake.pipeline.base import Rule
from connectomake.pipeline.kinds import BlockRule, GatherRule
from connectomake.planning.plan import Plan

DAG_SECONDS, DAG_BYTES = 2.0, 169e6
DAG_SECONDS_PER_JOB, DAG_BYTES_PER_JOB = 0.45e-3, 9_400
"""Of the head, to begin and for each job; measured by ``python -m benchmarks dryrun`` with the rule set as it is shipped."""


@dataclass(frozen=True, slots=True)
class RuleForecast:
    """A rule: its jobs, seconds of one core that they work, bytes of files (None: not measured), whether these stay."""

    rule: str
    jobs: int
    seconds: float
    bytes: float | None
    kept: bool

    def hours(self, machines: int, start: float) -> float:
        """Return the hours until all jobs are done, so many at a time, each of which needs `start` seconds to start."""
        waves = math.ceil(self.jobs / machines)
        return waves * (self.seconds / self.jobs + start) / 3600 if self.jobs else 0.0

    def paid_hours(self, start: float) -> float:
        """Return the hours of all jobs together."""
        return (self.seconds + self.jobs * start) / 3600


@dataclass(frozen=True, slots=True)
class Forecast:
    """A run: its rules in order, how many jobs run at a time, seconds to plan them, seconds that a job needs to start."""

    rules: tuple[RuleForecast, ...]
    machines: int
    head_seconds: float
    start: float

    @property
    def jobs(self) -> int:
        """All jobs."""
        return sum(r.jobs for r in self.rules)

    @property
    def hours(self) -> float:
        """Until the last file is there, one rule after another."""
        return sum(r.hours(self.machines, self.start) for r in self.rules) + self.head_seconds / 3600

    @property
    def paid_hours(self) -> float:
        """Of all machines together while they work or start jobs."""
        return sum(r.paid_hours(self.start) for r in self.rules)

    def fewest(self, hours: float) -> "Forecast | None":
        """Return the same with the fewest machines that finish in so many hours; None if no number does."""
        low, high = 1, max(r.jobs for r in self.rules)
        if replace(self, machines=high).hours > hours:
            return None
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if replace(self, machines=middle).hours <= hours else (middle + 1, high)
        return replace(self, machines=low)

    @property
    def bytes(self) -> float | None:
        """Of all files that stay, None where they were not measured."""
        sizes = [r.bytes for r in self.rules if r.bytes is not None and r.kept]
        return sum(sizes) if sizes else None


def dag_cost(jobs: int) -> tuple[float, float]:
    """Return the seconds and bytes that Snakemake needs to plan so many jobs."""
    return DAG_SECONDS + jobs * DAG_SECONDS_PER_JOB, DAG_BYTES + jobs * DAG_BYTES_PER_JOB


def forecast(plan: Plan, rates: Rates, machines: int = 1, start: float = START_SECONDS) -> Forecast:
    """Return what a run will take; counted from the geometry, never by listing the blocks.

    Parameters
    ----------
    plan
        The plan.
    rates
        Seconds and bytes of rules.
    machines
        Jobs that run at the same time.
    start
        Seconds that a job takes before it works.
    """
    by_name: dict[str, list[Rule[object]]] = {}
    for rule in rules_of(plan):
        by_name.setdefault(rule.name, []).append(rule)
    rules = tuple(_rule(name, found, rates) for name, found in by_name.items())
    return Forecast(rules, machines, dag_cost(sum(r.jobs for r in rules))[0], start)


def _rule(name: str, rules: list[Rule[object]], rates: Rates) -> RuleForecast:
    jobs = sum(rule.count() for rule in rules)
    seconds = sum(rates.seconds_of(rule).at(rule.count(), time_units(rule)) for rule in rules)
    sizes = [size for size in (_bytes(rule, rates) for rule in rules) if size is not None]
    return RuleForecast(name, jobs, seconds, sum(sizes) if sizes else None, rules[0].kept)


def _bytes(rule: Rule[object], rates: Rates) -> float | None:
    """Return the bytes of a rule's files; of packs that are gathered, those of what they are gathered from."""
    if not rule.count():
        return 0.0
    measured = rates.bytes.get(key_of(rule))
    if isinstance(rule, GatherRule):  # which small runs have none of
        measured = rates.bytes.get("meshes" if rule.name == "gather" else "traces")
    if not measured:
        return None
    names = rule.outputs(next(iter(rule.examples())))
    spare = Line() if len(measured) != 1 else next(iter(measured.values()))
    number, seams = rule.count(), seams_of(rule)
    return sum(measured.get(name, spare).at(number, byte_units(rule, path), seams) for name, path in names.items())


def stored_bytes(plan: Plan, rates: Rates) -> dict[str, float]:
    """Return the bytes of the shards of each layer at its finest scale; empty where nothing was measured."""
    found = {}
    for rule in rules_of(plan):
        line = rates.bytes.get(key_of(rule), {}).get("shard")
        if isinstance(rule, BlockRule) and line is not None:
            found[rule.layer.name] = line.at(
                rule.count(), byte_units(rule, rule.outputs(next(iter(rule.examples())))["shard"]), seams_of(rule)
            )
    return found
