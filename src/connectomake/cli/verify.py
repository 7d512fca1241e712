"""``connectomake verify``: whether every file that should be there is there and whole."""

import sys
from functools import partial
from typing import Annotated

import typer

from connectomake.cli import common
from connectomake.cli.common import DEFAULT_CONFIG, ConfigPath
from connectomake.cli.content import compare_sources, conclude, faults_of
from connectomake.errors import ConfigError


def verify(
    config: ConfigPath = DEFAULT_CONFIG,
    deep: Annotated[
        bool, typer.Option("--deep", help="Decode every storage chunk; compare segmentation, halos and object table.")
    ] = False,
    stage: Annotated[list[str] | None, typer.Option(help="Only this stage; may be given more than once.")] = None,
    source: Annotated[
        bool, typer.Option("--source", help="Read source and ground truth again; compare with what the blocks were made from.")
    ] = False,
    limit: Annotated[int, typer.Option(help="Print at most so many problems; 0: all.", min=0)] = 100,
) -> None:
    """Check that every file that should be there is there, opens, has the right shape and the config's settings."""
    from connectomake.cli.bar import bar
    from connectomake.verify import STAGES
    from connectomake.verify import verify as look

    for name in stage or ():
        if name not in STAGES:
            raise ConfigError(f"there is no stage {name!r}; stages are {', '.join(STAGES)}")
    plan, comparisons = compare_sources(config) if source else (common.read_plan(config), [])
    with bar("files") as progress:
        report = look(plan, set(stage) if stage else None, deep, progress, partial(common.run_command, config))
    report.faults += faults_of(comparisons)
    conclude(plan, comparisons)
    for text in report.notes:
        common.note(text)
    shown = report.problems[: limit or None]
    for text in shown:
        print(text)
    if len(report.problems) > len(shown):
        print(f"... and {len(report.problems) - len(shown):,} more; --limit 0 prints all")
    if report.problems:
        print(f"✗ {len(report.problems):,} problem(s) in {report.checked:,} files of {plan.outdir}")
        sys.exit(1)
    print(f"✓ {report.checked:,} files of {plan.outdir} are {'whole' if deep else 'there'}{_hint(deep)}")


def _hint(deep: bool) -> str:
    return ", every storage chunk decoded" if deep else ", open and fit the config; --deep decodes every storage chunk"
