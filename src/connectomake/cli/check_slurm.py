"""``connectomake check --profile slurm``: whether the jobs of this plan fit the cluster."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from connectomake.cli.estimates import rule_costs
from connectomake.pipeline.demands import REMOTE_MB, Demands

if TYPE_CHECKING:
    from connectomake.planning.plan import Plan
    from connectomake.preflight import Site
    from connectomake.preflight.finding import Finding
    from connectomake.preflight.slurm_fit import Ask


def is_slurm(site: "Site") -> bool:
    """Whether a profile sends jobs to Slurm."""
    from connectomake.preflight.slurm_look import EXECUTORS

    return site.executor in EXECUTORS


def check_slurm_site(site: "Site", plan: "Plan", probe: bool) -> "Iterator[Finding]":
    """Yield what a look at the site finds, see `look_at_slurm`."""
    from connectomake.preflight.slurm_look import look_at_slurm

    paths = {"the folder of results": plan.outdir} if site.storage is None else {}
    if "://" not in plan.source.path:
        paths["the source"] = plan.source.path
    return look_at_slurm(site, asks_of(plan, site), paths, with_probe=probe)


def asks_of(plan: "Plan", site: "Site") -> "list[Ask]":
    """Return what the jobs of a plan ask for at each attempt, with what the profile sets for single rules.

    Parameters
    ----------
    plan
        The plan.
    site
        The profile: its retries, its partitions, its ``set-resources``.
    """
    from connectomake.preflight.slurm_fit import Ask

    demands, attempts = Demands(plan), range(1, site.retries + 2)
    asks = []
    for cost in rule_costs(plan):
        inference = plan.inference if cost.rule == "affinity" else None
        memory = tuple(demands.memory(cost.rule, n) + (REMOTE_MB << (n - 1)) for n in attempts)
        asks.append(
            Ask(
                rule=cost.rule,
                memory=_set(site, cost.rule, "mem_mb", memory),
                minutes=_set(site, cost.rule, "runtime", tuple(demands.minutes(cost.rule, n) for n in attempts)),
                cores=inference.threads if inference is not None else 1,
                gpu=inference is not None and inference.device.startswith("cuda"),
                partition=site.partition_of(cost.rule),
            )
        )
    return asks


def _set(site: "Site", rule: str, name: str, computed: tuple[int, ...]) -> tuple[int, ...]:
    """Return what the profile sets for a rule, the same at each attempt, where that is a number; else what was computed."""
    told = site.resource(rule, name) or ""
    return (int(told),) * len(computed) if told.isdigit() else computed
