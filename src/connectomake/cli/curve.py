"""``connectomake curve``: the scores of a finished run over thresholds of its agglomeration."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from connectomake.cli import common
from connectomake.cli.common import DEFAULT_CONFIG, ConfigPath
from connectomake.errors import ConfigError

if TYPE_CHECKING:
    from connectomake.evaluation import Point, Tally
    from connectomake.geometry import Box
    from connectomake.planning.plan import Plan

STEPS = 16
HIGHEST = 0.99
COLUMNS = ("voi_split", "voi_merge", "voi", "adapted_rand_error")


def curve(
    config: ConfigPath = DEFAULT_CONFIG,
    threshold: Annotated[
        list[float] | None, typer.Option(help="Threshold to score, not below the run's; may be given more than once.")
    ] = None,
) -> None:
    """Score a finished run at thresholds from its own up, from the history of merges; write curve.csv and curve.png.

    Small segments are absorbed only at the run's own threshold, and dust (segmentation.min_size) is never dropped.
    """
    from connectomake.atomic import write_text
    from connectomake.evaluation import csv_text, curve_of, curve_rows, write_picture

    plan = common.read_plan(config)
    chosen = _thresholds(plan, threshold)
    points = curve_of(_supervoxels(plan), _mappings(plan, chosen))
    folder = Path(plan.outdir, "evaluation")
    write_text(folder / "curve.csv", csv_text(curve_rows(points)))
    write_picture(str(folder / "curve.png"), points)
    _print(points)
    print(f"written: {folder / 'curve.csv'}, {folder / 'curve.png'}")


def _thresholds(plan: "Plan", wanted: list[float] | None) -> list[float]:
    section = plan.config["agglomeration"]
    if plan.truth is None or section is None:
        raise ConfigError("a curve needs evaluation.ground_truth and agglomeration in the config; add them and run snakemake")
    lowest = float(section["threshold"])
    chosen = sorted(set(wanted or [lowest + i * (HIGHEST - lowest) / (STEPS - 1) for i in range(STEPS)]))
    if chosen[0] < lowest or chosen[-1] > 1:
        raise ConfigError(
            f"--threshold {chosen[0] if chosen[0] < lowest else chosen[-1]:g} is not between agglomeration.threshold "
            f"{lowest:g}, down to which the run noted merges, and 1; change one of them"
        )
    return chosen


def _supervoxels(plan: "Plan") -> "Tally":
    """Return the voxels per (true object, supervoxel), streamed through the blocks."""
    from connectomake.cli.bar import bar
    from connectomake.evaluation import overlap_of, tile_of_chunks
    from connectomake.planning.truth import open_truth

    bounds = plan.evaluation_box
    read_gt = open_truth(plan.config["evaluation"]).read
    boxes = [plan.grid.box(b).intersect(bounds) for b in plan.grid.ids_meeting(bounds)]
    with bar("blocks") as report:

        def watched():  # type: ignore[no-untyped-def]
            for done, box in enumerate(boxes):
                report(done, len(boxes))
                yield box

        tile = tile_of_chunks(plan.chunk, plan.block)
        return overlap_of(read_gt, _Reader(plan).read, watched(), tile, bounds).pairs


class _Reader:
    """Reads supervoxels: local labels of the components, and the look-up tables of the merge."""

    def __init__(self, plan: "Plan") -> None:
        import functools

        self._plan = plan
        self._ids = functools.lru_cache(64)(self._table)

    def _table(self, block: int):  # type: ignore[no-untyped-def]
        from connectomake.octree import read_ids
        from connectomake.planning.targets import Targets

        lookup = Targets(self._plan).lookup(1, self._plan.octree.parent(0, block))
        return read_ids(lookup, self._plan.grid.name(block))

    def read(self, box: "Box"):  # type: ignore[no-untyped-def]
        """Return the supervoxels of a box, (z, y, x) uint64."""
        import numpy as np

        from connectomake.layers import ShardReader
        from connectomake.planning.targets import Targets

        plan, out = self._plan, np.empty(box.shape, np.uint64)
        for block in plan.grid.ids_meeting(box):
            common_box = plan.grid.box(block).intersect(box)
            shard = Targets(plan).shard("components", block)
            labels = ShardReader(shard, plan.layers["components"], block).read(common_box)[0]
            out[common_box.slices(box.start)] = self._ids(block)[labels]
        return out


def _mappings(plan: "Plan", thresholds: list[float]):  # type: ignore[no-untyped-def]
    """Yield the threshold, all supervoxels that merge with any, and their segments."""
    import numpy as np

    from connectomake.agglomeration import read_merges, segments_at
    from connectomake.planning.targets import Targets

    merges, lowest = read_merges(Targets(plan).history), float(plan.config["agglomeration"]["threshold"])
    keys = np.unique(np.concatenate([merges.a, merges.b]))
    for value in thresholds:
        yield value, keys, segments_at(keys, merges, value, plan.agglomeration.dtype, absorbed=value == lowest)


def _print(points: "list[Point]") -> None:
    names = ("split", "merge", "VOI", "Rand error")
    kinds = ("all voxels", "where segmented")
    table = common.columns_table("", [], ["threshold", "coverage %", *(f"{name}\n{kind}" for kind in kinds for name in names)])
    for p in points:
        scores = [getattr(s, name) for s in (p.all_voxels, p.where_segmented) for name in COLUMNS]
        coverage = "" if p.coverage is None else f"{100 * p.coverage:.1f}"
        table.add_row(f"{p.threshold:.3f}", coverage, *("" if v is None else f"{v:.3f}" for v in scores))
    common.console().print(table)
