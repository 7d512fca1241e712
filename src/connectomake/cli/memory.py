"""Which jobs of a run took more memory than they ask for: on a cluster that enforces it they would be killed."""

from dataclasses import dataclass

from connectomake.cli.benchmarks import job_memory
from connectomake.cli.estimates import DEMANDS_OF
from connectomake.planning.demands import Demands
from connectomake.planning.fan_out import MB
from connectomake.planning.plan import Plan
from connectomake.planning.skeletons import Skeletons
from connectomake.planning.targets import Targets

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
        stage = DEMANDS_OF.get(rule, rule)
        over: list[tuple[float, str, float, float]] = []
        for name, took in job_memory(plan.outdir, rule):
            asked = float(MB * demands.memory(stage, 1, _tables(plan, rule, name)))
            if took * MB > asked:
                over.append((took * MB / asked, name, asked, took * MB))
        if over:
            _, name, asked, took = max(over)
            found.append(Excess(rule, len(over), name, asked, took))
    return found


def _tables(plan: Plan, rule: str, name: str) -> list[str]:
    """Return the tables that a job reads, by the name of its benchmark: of an octree node, ``LEVEL.NODE`` and a threshold."""
    if rule == "skeletons":
        return Skeletons(plan).top_traces()
    if rule != "agglomerate":
        return []
    level, _, rest = name.partition(".")
    node, separator, number = rest.partition("_")
    try:
        place = int(level), plan.octree.parse(int(level), node)
    except (ValueError, KeyError):
        return []
    inputs = Targets(plan).agglomerate_inputs(*place, f"{separator}{number}")
    return [path for paths in inputs.values() for path in paths]
