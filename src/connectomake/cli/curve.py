"""``connectomake curve``: the scores of a finished run over thresholds of its agglomeration."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from connectomake.cli import common
from connectomake.cli.common import DEFAULT_CONFIG, ConfigPath
from connectomake.errors import ConfigError, RunError

if TYPE_CHECKING:
    from connectomake.evaluation import Point
    from connectomake.planning.plan import Plan

COLUMNS = ("voi_split", "voi_merge", "voi", "adapted_rand_error")


def curve(
    config: ConfigPath = DEFAULT_CONFIG,
    threshold: Annotated[
        list[float] | None,
        typer.Option(help="Threshold to score, not below the lowest of the config; may be given more than once."),
    ] = None,
) -> None:
    """Show the scores of a finished run over thresholds, from the history of merges, and those of its own segmentation.

    Between thresholds nothing is absorbed or dropped; the run's own segmentation is scored as it is. The run itself writes
    evaluation/curve.csv and curve.png.
    """
    from connectomake.agglomeration import read_merges, segments_over
    from connectomake.evaluation import curve_of, point_of
    from connectomake.evaluation.files import read_contingency

    plan = common.read_plan(config)
    chosen, inputs = _thresholds(plan, threshold), _inputs(plan)
    counted = read_contingency(inputs["tallies"]).without(plan.config["evaluation"]["ignore"])
    merges = read_merges(inputs["history"])
    points = curve_of(counted.supervoxels, segments_over(merges, chosen, plan.agglomeration().dtype))
    _print(points, point_of(counted.pairs, plan.thresholds[""] or 0))


def _thresholds(plan: "Plan", wanted: list[float] | None) -> list[float]:
    from connectomake.evaluation import thresholds_of

    if not plan.curved:
        raise ConfigError("a curve needs evaluation.ground_truth and agglomeration in the config; add them and run snakemake")
    lowest = plan.thresholds[plan.lowest] or 0
    chosen = sorted(set(wanted or thresholds_of(lowest, plan.thresholds[""] or 0)))
    if chosen[0] < lowest or chosen[-1] > 1:
        raise ConfigError(
            f"--threshold {chosen[0] if chosen[0] < lowest else chosen[-1]:g} is not between {lowest:g}, the config's lowest "
            "threshold of agglomeration, down to which the run notes merges, and 1; change one of them"
        )
    return chosen


def _inputs(plan: "Plan") -> dict[str, str]:
    from connectomake.pipeline.evaluation import curve_inputs
    from connectomake.planning.paths import Paths

    inputs = curve_inputs(Paths(plan))
    for path in inputs.values():
        if not Path(path).exists():
            raise RunError(f"{path} is missing; run snakemake first")
    return inputs


def _print(points: "list[Point]", own: "Point") -> None:
    names = ("split", "merge", "VOI", "Rand error")
    kinds = ("all voxels", "where segmented")
    table = common.columns_table("", [], ["threshold", "coverage %", *(f"{name}\n{kind}" for kind in kinds for name in names)])
    for p in points:
        table.add_row(f"{p.threshold:.3f}", *_row(p))
    table.add_section()
    table.add_row("this run", *_row(own))
    common.console().print(table)


def _row(point: "Point") -> list[str]:
    scores = [getattr(s, name) for s in (point.all_voxels, point.where_segmented) for name in COLUMNS]
    coverage = "" if point.coverage is None else f"{100 * point.coverage:.1f}"
    return [coverage, *("" if v is None else f"{v:.3f}" for v in scores)]
