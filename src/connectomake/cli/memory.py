"""Jobs of a run that took more memory than they request: a cluster that enforces limits would kill them."""

from dataclasses import dataclass
from types import SimpleNamespace

from connectomake.errors import ConfigError
from connectomake.pipeline.demands import Demands
from connectomake.pipeline.job import all_of
from connectomake.pipeline.registry import Stages
from connectomake.planning.fan_out import MB
from connectomake.planning.plan import Plan
from connectomake.reporting.benchmarks import job_memory

MEASURED = ("image", "affinity", "components", "agglomerate", "segmentation", "measures", "fragments", "traces", "skeletons",
            "contingency", "pyramid")  # fmt: skip
"""Rules whose jobs are measured."""


@dataclass(frozen=True, slots=True)
class Excess:
    """The jobs of a rule that took more than they ask for: how many, and the one that exceeded most, in bytes."""

    rule: str
    jobs: int
    name: str
    asked: float
    took: float


def excesses(plan: Plan) -> list[Excess]:
    """Return the rules with jobs that took more memory than the first attempt of such a job asks for."""
    demands, found = Demands(plan), []
    for rule in MEASURED:
        over: list[tuple[float, str, float, float]] = []
        for name, took in job_memory(plan.outdir, rule):
            asked = float(MB * demands.memory(rule, 1, _tables(plan, rule, name)))
            if took * MB > asked:
                over.append((took * MB / asked, name, asked, took * MB))
        if over:
            _, name, asked, took = max(over)
            found.append(Excess(rule, len(over), name, asked, took))
    return found


def _tables(plan: Plan, rule: str, name: str) -> list[str]:
    """Return the tables that a job reads, by the name of its benchmark: of an octree node, ``LEVEL.NODE`` and a threshold."""
    if rule not in ("agglomerate", "skeletons"):
        return []
    level, _, rest = name.partition(".")
    node, separator, number = rest.partition("_")
    wildcards = SimpleNamespace(level=level, node=node, at=f"{separator}{number}", number=name)
    try:
        found = Stages(plan).rule(rule, wildcards)
        inputs = found.inputs(found.parse(wildcards))
    except (ValueError, ConfigError):
        return []
    return [path for paths in all_of(inputs).values() for path in paths]
