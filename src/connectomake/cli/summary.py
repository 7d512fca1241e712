"""``connectomake summary``: what a run made."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from connectomake.cli import common
from connectomake.cli.absent import filled_rows
from connectomake.cli.common import DEFAULT_CONFIG, ConfigPath
from connectomake.reporting.texts import bytes_text, counted, seconds_text, shape_text, voxels_text
from connectomake.shell import command

if TYPE_CHECKING:
    import numpy as np
    from rich.table import Table

    from connectomake.planning.plan import Plan
    from connectomake.reporting.stage_files import StageFiles

LARGEST = 5


def summary(config: ConfigPath = DEFAULT_CONFIG) -> None:
    """Show what a run made: blocks, objects, speed of each stage, bytes, and where to look."""
    from rich.panel import Panel

    from connectomake.reporting.stage_files import Freshness, stage_files, stages_of_files

    plan = common.read_plan(config)
    found = stages_of_files(plan, stage_files(plan), Freshness(plan))
    out = common.console()
    out.print(Panel(common.key_value_table(_rows(plan, found)), title=plan.outdir, title_align="left", expand=False))
    out.print(_stage_table(plan, found))
    _warn_of_memory(plan)
    out.print(common.key_value_table(_where_to_look(plan, config)))


def _rows(plan: "Plan", found: "list[StageFiles]") -> list[tuple[str, str]]:
    blocks = next(t for t in found if t.stage == "segmentation")
    layers = _layers(plan, "segmentation")  # a block counts as done where all thresholds have it
    whole = "all" if blocks.done else f"{blocks.there // layers:,} of"
    rows = [
        ("image", f"{plan.source.path}: {shape_text(plan.roi.shape)} voxels, {voxels_text(plan.roi.volume)}"),
        ("blocks", f"{whole} {blocks.total // layers:,} segmented, {shape_text(plan.grid.shape)} of {shape_text(plan.block)}"),
    ]
    if plan.source.blank_sections:
        count = counted(plan.source.blank_sections, "section")
        rows.insert(1, ("blank", f"{count} of the source missing, read as zeros (source.missing_sections: blank)"))
    rows += filled_rows(plan) + _object_rows(plan) + _score_rows(plan)
    if plan.inference is not None and plan.inference.void:
        rows.append(("promise", plan.inference.void_note))
    missing = [t for t in found if not t.done and not t.temporary]
    if missing:
        rows.append(("not finished", ", ".join(f"{t.stage} {t.there:,}/{t.total:,}" for t in missing)))
    stale = sum(t.stale for t in found)
    if stale:
        rows.append(("out of date", f"{counted(stale, 'file')} made with other settings than the config's, not counted here"))
    return rows


def _object_rows(plan: "Plan") -> list[tuple[str, str]]:
    from connectomake.pipeline.targets import Targets

    path = Targets(plan).objects
    if not os.path.lexists(path):
        return [("objects", "not yet counted")]
    from connectomake.objects import Overview
    from connectomake.pipeline.checks import object_batches
    from connectomake.verify.faults import sentence

    found, several = Overview.none(), 0
    try:
        for part in object_batches(path):
            found, several = found.with_rows(part, LARGEST), several + int(_spans_blocks(plan, part).sum())
    except Exception as error:  # whatever a damaged file makes a library raise
        return [("objects", sentence(path, error))]
    if not found.count:
        return [("objects", "none: no object reaches min_size; is the threshold right?")]
    share = 100 * found.voxels / plan.roi.volume
    largest = ", ".join(f"{i} ({voxels_text(int(n))})" for i, n in zip(found.ids, found.sizes, strict=True))
    return [
        ("objects", f"{found.count:,}, {share:.1f} % of the voxels; {several:,} of them cross blocks"),
        ("largest", largest),
    ]


def _score_rows(plan: "Plan") -> list[tuple[str, str]]:
    from connectomake.pipeline.targets import Targets
    from connectomake.verify.faults import sentence

    path = Targets(plan).evaluation().get("scores", "")
    if plan.truth is None or not os.path.lexists(path):
        return []
    try:
        return _rows_of_scores(json.loads(Path(path).read_bytes()))
    except Exception as error:  # whatever a damaged file holds instead
        return [("scores", sentence(path, error))]


def _rows_of_scores(found: "dict[str, Any]") -> list[tuple[str, str]]:
    rows = []
    for key, name in (("all_voxels", "scores"), ("where_segmented", "")):
        s = found[key]
        where = "all voxels" if key == "all_voxels" else f"where segmented ({100 * found['coverage']:.1f} %)"
        if s["voi"] is not None:
            voi = f"VOI {s['voi']:.3f} = {s['voi_split']:.3f} split + {s['voi_merge']:.3f} merge"
            rows.append((name, f"{where}: {voi}, adapted Rand error {s['adapted_rand_error']:.3f}"))
    return rows


def _spans_blocks(plan: "Plan", table: "dict[str, np.ndarray]") -> "np.ndarray":
    """Tell which objects' boxes lie in more than one block."""
    import numpy as np

    spans = np.zeros(len(table["id"]), bool)
    for axis, start, block in zip("zyx", plan.roi.start, plan.block, strict=True):
        spans |= (table[f"start_{axis}"] - start) // block != (table[f"stop_{axis}"] - 1 - start) // block
    return spans


def _stage_table(plan: "Plan", found: "list[StageFiles]") -> "Table":
    from connectomake.reporting.benchmarks import measured

    table = common.columns_table(
        "", ["stage"], ["files", "size", "time of all jobs", "voxels/s per job", "most memory of a job"]
    )
    seconds = 0.0
    for t in found:
        files = f"{t.there:,}" if t.done or t.temporary else f"{t.there:,} of {t.total:,}"
        timed = measured(plan.outdir, t.stage)
        row = [t.stage, files, bytes_text(t.bytes)]
        if timed is None:
            table.add_row(*row)
            continue
        seconds += timed.seconds
        voxels = plan.roi.volume * timed.jobs * _layers(plan, t.stage) / t.total
        speed = _speed(voxels / timed.seconds) if timed.seconds else ""
        memory = "" if timed.memory_mb is None else bytes_text(timed.memory_mb * 2**20)
        table.add_row(*row, seconds_text(timed.seconds), speed, memory)
    table.add_section()
    time = seconds_text(seconds) if seconds else ""
    table.add_row("together", f"{sum(t.there for t in found):,}", bytes_text(sum(t.bytes for t in found)), time)
    return table


def _warn_of_memory(plan: "Plan") -> None:
    from connectomake.cli.memory import excesses
    from connectomake.planning.fan_out import MB

    for e in excesses(plan):
        common.note(
            f"{counted(e.jobs, 'job')} of {e.rule} took more memory than asked for, {e.name} most: "
            f"{bytes_text(e.took)} of {bytes_text(e.asked)}; a cluster that enforces memory would end it: "
            f"--set-resources {e.rule}:mem_mb={int(1.2 * e.took / MB) + 1}"
        )


def _layers(plan: "Plan", stage: str) -> int:
    """Return how many times a stage goes over the region: once for each threshold of agglomeration, where it follows that."""
    return len(plan.thresholds) if stage in ("agglomerate", "assign", "history", "segmentation") else 1


def _speed(voxels_per_second: float) -> str:
    return f"{voxels_text(voxels_per_second)}/s"


def _where_to_look(plan: "Plan", config: str) -> list[tuple[str, str]]:
    from connectomake.pipeline.targets import Targets
    from connectomake.planning.skeletons import Skeletons

    program, argument = common.program("connectomake"), [] if config == DEFAULT_CONFIG else [config]
    made = [*(["meshes"] if plan.meshes_enabled else []), *(["skeletons"] if Skeletons(plan).enabled else [])]
    meshes = f", with {' and '.join(made)}" if made else ""
    return [
        ("look", f"{command(program, 'view', *argument)}  (at one object: --id ID)"),
        ("check", command(program, "verify", *argument, "--deep")),
        ("segmentation", f"{plan.outdir}/segmentation  (Neuroglancer precomputed{meshes})"),
        ("object table", Targets(plan).objects),
        *((("scores", Targets(plan).evaluation()["scores"]),) if plan.truth else ()),
    ]
