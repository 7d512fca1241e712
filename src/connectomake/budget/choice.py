"""The blocks that suit a budget: those that fit the memory, and of these the fastest."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from connectomake.budget.candidates import blocks_of, chunk_for
from connectomake.budget.forecast import Forecast, forecast
from connectomake.budget.limits import START_SECONDS, Budget
from connectomake.budget.network_fit import Accepts, fit_network, network_accepts
from connectomake.budget.rates import Rates
from connectomake.budget.work import rules_of
from connectomake.config import check_config
from connectomake.errors import ConfigError
from connectomake.geometry import Vec
from connectomake.pipeline.demands import REMOTE_MB, Demands
from connectomake.planning.fan_out import MB
from connectomake.planning.mask import with_blocks
from connectomake.planning.plan import Plan

NEAR = 1.05
"""The config's own block is kept if it takes at most this many times as long as the fastest."""
CHANGE_RESULT = ("patch", "output_patch", "overlap", "batch")
"""Keys of `inference` that are part of the result."""


@dataclass(frozen=True)
class Candidate:
    """A plan, the bytes of its largest job with the rule that needs them, and what its run takes."""

    plan: Plan
    memory: float
    rule: str
    forecast: Forecast


@dataclass(frozen=True)
class Choice:
    """The choice.

    Parameters
    ----------
    before, best
        The config's own, and the one that was chosen.
    original
        The normalised config as it was.
    changed
        Values of the config that change, by the path of their key, ``inference.patch``.
    tried, fitting
        Block shapes.
    larger
        The smallest of those that would be faster but do not fit; None if there is none.
    network
        What is to be said of batch and patch.
    """

    before: Candidate
    best: Candidate
    original: dict[str, Any]
    changed: dict[str, Any]
    tried: int
    fitting: int
    larger: Candidate | None
    network: tuple[str, ...]

    @property
    def alters(self) -> list[str]:
        """The keys that change the result."""
        return [key for key in self.changed if key.partition(".")[2] in CHANGE_RESULT]


def choose(
    plan: Plan, budget: Budget, rates: Rates, start: float = START_SECONDS, accepts: Accepts = network_accepts
) -> Choice:
    """Return the fastest blocks that a budget allows.

    Parameters
    ----------
    plan
        The plan of the config as it is.
    budget
        What a job, the GPU and the whole run may take.
    rates
        Seconds of rules.
    start
        Seconds that a job takes before it works.
    accepts
        Asked of patches that are smaller than the configured one.

    Raises
    ------
    ConfigError
        If nothing fits; the message names the minimum.
    """
    notes: list[str] = []
    fit = replace(plan, mask=None)  # it knows the blocks of the config alone
    if plan.mask is not None:
        notes.append("blocks are compared as if nothing were masked; a mask saves time on top")
    if budget.gpu_memory is not None:
        if plan.inference is not None and plan.inference.device == "cpu":
            raise ConfigError("--gpu-memory has no meaning with inference.device: cpu; leave it out, or set device to auto")
        found = fit_network(fit, budget.gpu_memory, "--gpu-memory", accepts)
        fit, notes = found.plan, [*notes, *found.reasons]
    machines = budget.machines or 1
    before = _candidate(fit, rates, machines, start)
    every = [_candidate(p, rates, machines, start) for p in _plans(fit, budget)]
    fitting = [c for c in every if budget.memory is None or c.memory <= budget.memory]
    if not fitting:
        _refuse_memory(every, budget)
    best = _masked(_best(fitting, plan.block, budget), plan, rates)
    larger = [c for c in every if c not in fitting and c.forecast.hours < best.forecast.hours]
    changed = changes(plan.config, best.plan.config)
    next_one = min(larger, key=lambda c: c.memory, default=None)
    return Choice(before, best, plan.config, changed, len(every), len(fitting), next_one, tuple(notes))


def _masked(best: Candidate, plan: Plan, rates: Rates) -> Candidate:
    """Return the same with the mask of a plan, looked at in the blocks that were chosen."""
    if plan.mask is None:
        return best
    found = replace(best.plan, mask=with_blocks(plan.mask, best.plan.grid))
    return replace(best, plan=found, forecast=forecast(found, rates, best.forecast.machines, best.forecast.start))


def _best(fitting: list[Candidate], block: Vec, budget: Budget) -> Candidate:
    """Return the fastest, or the one that needs fewest machines; the config's own block if it is nearly as good.

    Raises
    ------
    ConfigError
        If none is done in time.
    """
    own = next((c for c in fitting if c.plan.block == block), None)
    if budget.hours is not None and budget.machines is None:
        return _fewest(fitting, own, budget.hours)
    best = min(fitting, key=lambda c: (c.forecast.hours, c.memory))
    if own is not None and own.forecast.hours <= min(NEAR * best.forecast.hours, budget.hours or math.inf):
        return own
    if budget.hours is not None and best.forecast.hours > budget.hours:
        _refuse_hours(fitting, best, budget.hours)
    return best


def _fewest(fitting: list[Candidate], own: Candidate | None, hours: float) -> Candidate:
    """Return the candidate that is done in time with the fewest machines, and how many these are."""
    found = [replace(c, forecast=f) for c in fitting if (f := c.forecast.fewest(hours)) is not None]
    if not found:
        least = min(replace(c.forecast, machines=max(r.jobs for r in c.forecast.rules)).hours for c in fitting)
        raise ConfigError(
            f"--hours {hours:g} cannot be met by any number of machines: with one for each job it takes {least:.3g} h; "
            f"give more hours"
        )
    best = min(found, key=lambda c: (c.forecast.machines, c.forecast.hours, c.memory))
    same = next((c for c in found if own is not None and c.plan is own.plan), None)
    return same if same is not None and same.forecast.machines == best.forecast.machines else best


def _refuse_hours(fitting: list[Candidate], best: Candidate, hours: float) -> None:
    enough = [f.machines for f in (c.forecast.fewest(hours) for c in fitting) if f is not None]
    way = f"--machines {min(enough)} would suffice" if enough else "no number of machines would; give more hours"
    raise ConfigError(
        f"--hours {hours:g} cannot be met with --machines {best.forecast.machines}: the fastest blocks that fit, "
        f"{list(best.plan.block)}, take {best.forecast.hours:.3g} h; {way}"
    )


def _refuse_memory(every: list[Candidate], budget: Budget) -> None:
    least = min(every, key=lambda c: c.memory)
    raise ConfigError(
        f"--max-memory {(budget.memory or 0) / 1e6:,.0f}MB is too small for any block: the minimum is "
        f"{math.ceil(least.memory / 1e6):,}MB, for {least.rule} with blocks of {list(least.plan.block)}"
    )


def _candidate(plan: Plan, rates: Rates, machines: int, start: float) -> Candidate:
    memory, rule = peak(plan)
    return Candidate(plan, memory, rule, forecast(plan, rates, machines, start))


def peak(plan: Plan) -> tuple[float, str]:
    """Return the bytes that the largest job asks for on a cluster, and its rule."""
    demands = Demands(plan)
    megabytes, rule = max((demands.memory(name), name) for name in {rule.name for rule in rules_of(plan)})
    return float((megabytes + REMOTE_MB) * MB), rule


def _plans(plan: Plan, budget: Budget) -> Iterator[Plan]:
    """Yield the plan with every block that its config allows, and with smaller octree nodes where these do not fit."""
    for block in blocks_of(plan):
        config = {**plan.config, "block": list(block), "chunk": chunk_for(plan, block)}
        try:
            check_config(config)
        except ConfigError:
            continue
        other = replace(plan, config=config)
        yield other if budget.memory is None else _narrower(other, budget.memory)


def _narrower(plan: Plan, memory: float) -> Plan:
    """Return a plan whose octree nodes fit: with less `merge.memory_mb`, if that is what is too large; else the same."""
    demands = Demands(plan)
    nodes = [name for name in ("merge", "lookup", "agglomerate", "assign") if name in {r.name for r in rules_of(plan)}]
    largest = max((demands.memory(name) for name in nodes), default=0)
    if (largest + REMOTE_MB) * MB <= memory:
        return plan
    room = int(memory / MB) - REMOTE_MB - max(r.process() for r in rules_of(plan) if r.name in nodes)
    if room < 1 or room >= plan.config["merge"]["memory_mb"]:
        return plan
    return replace(plan, config={**plan.config, "merge": {**plan.config["merge"], "memory_mb": room}})


def changes(before: dict[str, Any], after: dict[str, Any], path: str = "") -> dict[str, Any]:
    """Return the values of a config that differ, by the path of their key."""
    found: dict[str, Any] = {}
    for key, value in after.items():
        name = f"{path}{key}"
        if isinstance(value, dict) and isinstance(before.get(key), dict):
            found |= changes(before[key], value, f"{name}.")
        elif value != before.get(key):
            found[name] = value
    return found
