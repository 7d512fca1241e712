"""``connectomake verify``: whether every file that should be there is there and whole, and what makes it so."""

import shlex
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from connectomake.cli import common
from connectomake.cli.common import DEFAULT_CONFIG, ConfigPath
from connectomake.cli.content import compare_sources, conclude, faults_of
from connectomake.errors import ConfigError, RunError

if TYPE_CHECKING:
    from connectomake.planning.plan import Plan
    from connectomake.verify import VerifyReport


def verify(
    config: ConfigPath = DEFAULT_CONFIG,
    deep: Annotated[
        bool, typer.Option("--deep", help="Decode every storage chunk; compare segmentation, halos and object table.")
    ] = False,
    stage: Annotated[list[str] | None, typer.Option(help="Only this stage; may be given more than once.")] = None,
    source: Annotated[
        bool,
        typer.Option(
            "--source", help="Read source and ground truth again, and compare them with what the blocks were made from."
        ),
    ] = False,
    limit: Annotated[int, typer.Option(help="Print at most this many problems; 0: all.", min=0)] = 100,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair", help="Remove what is damaged, and print the command that remakes it and everything made from it."
        ),
    ] = False,
    run: Annotated[bool, typer.Option("--run", help="With --repair: also run that command.")] = False,
) -> None:
    """Check that every file that should be there is there, opens, has the right shape and the config's settings."""
    from connectomake.cli.bar import bar
    from connectomake.verify import stage_names
    from connectomake.verify import verify as look

    known = stage_names()
    for name in stage or ():
        if name not in known:
            raise ConfigError(f"there is no stage {name!r}; stages are {', '.join(known)}")
    if run and not repair:
        raise ConfigError("--run goes with --repair: it runs the command that --repair prints")
    if repair and Path(config).is_dir():
        raise ConfigError(f"--repair needs the config that made {config}: files are remade from it")
    plan, comparisons = compare_sources(config) if source else (common.read_plan(config), [])
    way_out = _repair_command(config, deep, source)
    if repair:
        _check_idle(plan)
    with bar("files") as progress:
        report = look(plan, set(stage) if stage else None, deep, progress, partial(common.run_command, config), way_out)
    report.faults += faults_of(comparisons)
    conclude(plan, comparisons)
    for text in report.notes:
        common.note(text)
    if not report.problems:
        print(f"✓ {report.checked:,} files of {plan.outdir} are {'whole' if deep else 'there'}{_hint(deep)}")
        return
    _print_some(report.problems, limit)
    found = f"✗ {len(report.problems):,} problem(s) in {report.checked:,} files of {plan.outdir}"
    if not repair:
        print(f"{found}; `{way_out}` removes what is damaged, and prints the one command that makes all whole")
        sys.exit(1)
    print(found)
    sys.exit(_repair(plan, report, config, run))


def _repair(plan: "Plan", report: "VerifyReport", config: str, run: bool) -> int:
    """Remove and date anew, name the command, and run it if that is wanted; return the exit code."""
    from connectomake.verify import carry_out, plan_repair

    todo = plan_repair(plan, report)
    for text in carry_out(todo):
        print(text)
    if todo.left:
        print(f"{len(todo.left):,} file(s) could not be read this time and were left as they are, such as {todo.left[0]}")
        return 1
    command = common.run_command(config, todo.targets)
    if not run:
        print(f"now run `{command}`")
        return 0
    print(f"running `{command}`", flush=True)
    return subprocess.run(shlex.split(command), check=False).returncode


def _check_idle(plan: "Plan") -> None:
    """Raise a RunError if a run is at work on the results: its files may not be whole yet."""
    from connectomake.lock import held, in_use

    holder = held(plan.outdir)
    if holder is not None and not holder.is_gone():
        raise RunError(in_use(plan.outdir, holder))


def _repair_command(config: str, deep: bool, source: bool) -> str:
    looks = [*(["--deep"] if deep else []), *(["--source"] if source else [])]
    arguments = [common.program("connectomake"), "verify", *looks, "--repair"]
    return shlex.join([*arguments, *([] if config == DEFAULT_CONFIG else [config])])


def _print_some(texts: list[str], limit: int) -> None:
    shown = texts[: limit or None]
    for text in shown:
        print(text)
    if len(texts) > len(shown):
        print(f"... and {len(texts) - len(shown):,} more; --limit 0 prints all")


def _hint(deep: bool) -> str:
    return ", every storage chunk decoded" if deep else ", open and fit the config; --deep decodes every storage chunk"
