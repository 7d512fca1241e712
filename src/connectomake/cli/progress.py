"""``connectomake progress``: how far a run is."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from connectomake.cli import common
from connectomake.cli.common import DEFAULT_CONFIG, ConfigPath
from connectomake.reporting.texts import counted, seconds_text

if TYPE_CHECKING:
    from rich.table import Table

    from connectomake.planning.plan import Plan
    from connectomake.reporting.stage_files import Freshness, StageFiles

BAR_WIDTH = 24
SECONDS_BETWEEN_LOOKS = 2.0


def progress(
    config: ConfigPath = DEFAULT_CONFIG,
    watch: Annotated[bool, typer.Option("--watch", help="Look again every two seconds until all is done.")] = False,
) -> None:
    """Show how many files of each stage are there, at what rate they come, and when all will be there."""
    from connectomake.reporting.stage_files import Freshness, stage_files, stages_of_files

    plan = common.read_plan(config)
    files, freshness = stage_files(plan), Freshness(plan)
    if watch:
        _watch(plan, files, freshness)
        return
    found = stages_of_files(plan, files, freshness)
    common.console().print(_table(plan, found))
    stale = sum(t.stale for t in found)
    if stale:
        common.note(f"{counted(stale, 'more file')} made with other settings than the config's; snakemake will remake them")


def _watch(plan: "Plan", files: dict[str, dict[str, str]], freshness: "Freshness") -> None:
    from rich.live import Live

    from connectomake.reporting.stage_files import stages_of_files

    found = stages_of_files(plan, files, freshness)
    try:
        with Live(_table(plan, found), console=common.console(), auto_refresh=False) as live:
            while not all(t.done or t.temporary for t in found):
                time.sleep(SECONDS_BETWEEN_LOOKS)
                found = stages_of_files(plan, files, freshness)
                live.update(_table(plan, found), refresh=True)
    except KeyboardInterrupt:
        return


def _table(plan: "Plan", found: "list[StageFiles]") -> "Table":
    table = common.columns_table(f"{plan.outdir}", ["stage", ""], ["files", "of", "%", "rate", "left"])
    for t in _with_used(plan, found):
        table.add_row(t.stage, _bar(t), f"{t.there:,}", f"{t.total:,}", f"{_percent(t):.0f}", *_pace(t))
    return table


def _with_used(plan: "Plan", found: "list[StageFiles]") -> "list[StageFiles]":
    """Count files of temporary stages as done where the stage that uses them is."""
    from dataclasses import replace

    from connectomake.reporting.stage_files import users_of_temporary

    by_name = {t.stage: t for t in found}
    users = users_of_temporary(plan)
    out = []
    for t in found:
        user = by_name[users[t.stage]] if t.temporary else t
        if t.temporary and (user.done or (t.stage == "affinity" and user.there > t.there)):
            out.append(replace(t, there=t.total if user.done else min(t.there + user.there, t.total)))
        else:
            out.append(t)
    return out


def _percent(files: "StageFiles") -> float:
    return 100.0 if files.done else min(100 * files.there / files.total, 99.0)


def _bar(files: "StageFiles") -> str:
    full = int(BAR_WIDTH * files.there / files.total)
    return "█" * full + "░" * (BAR_WIDTH - full)


def _pace(files: "StageFiles") -> tuple[str, str]:
    """Return the rate, and the time left or why there is none."""
    from connectomake.reporting.stage_files import is_active, rate

    speed = rate(files.times)
    text = "" if speed is None else f"{speed:.3g}/s" if speed >= 1 else f"{speed * 3600:.3g}/h"
    if files.done:
        return text, "done"
    if not files.times:
        return "", "deleted when used" if files.temporary else "not begun"
    if speed is None or not is_active(files.times, speed):
        return text, f"last file {seconds_text(max(time.time() - files.times[-1], 0))} ago"
    return text, seconds_text((files.total - files.there) / speed)
