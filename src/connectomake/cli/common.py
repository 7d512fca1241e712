"""Shared by all commands: the config's argument, the plan, the console, readable numbers."""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from connectomake.credentials import redacted
from connectomake.errors import ConfigError, ContentError, ModelError, SourceError
from connectomake.shell import command

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from connectomake.planning.plan import Plan

ConfigPath: TypeAlias = Annotated[
    str, typer.Argument(metavar="[CONFIG]", help="The run's config, or the folder of its results.", show_default=True)
]
DEFAULT_CONFIG = "config.yaml"
WIDTH_OF_FILES = 140
NO_NETWORK = "no network (inference is null): the source is taken as the probability"
LABELS = "no network: the source holds the labels"


def read_plan(config: str) -> "Plan":
    """Return the plan of a config; if source, truth or model are out of reach, the plan that the last run wrote.

    Parameters
    ----------
    config
        The config; or the folder of a run's results, whose plan is then taken as it is.

    Raises
    ------
    ConfigError
        If the config is wrong.
    SourceError, ModelError, ContentError
        If source or model cannot be opened and no run has written the plan.
    """
    from connectomake.planning.opening import earlier_plan, open_run
    from connectomake.planning.resolve import changes, resolve_seen

    if Path(config).is_dir():
        return open_run(config)
    values = load(config)
    try:
        plan, seen = resolve_seen(values)
    except (SourceError, ModelError, ContentError) as error:
        try:
            plan = earlier_plan(values)
        except ConfigError:
            raise error from None
        reason = f"the source cannot be reached ({error})" if isinstance(error, SourceError) else str(error)
        note(f"{reason}; using the plan of the last run")
        return plan
    for text in changes(plan, seen):
        note(text)
    return plan


def open_plan(config: str) -> "Plan":
    """Return the plan of a config, whose source must be within reach.

    Raises
    ------
    ConfigError, SourceError
        If the config is wrong or the source cannot be opened.
    """
    from connectomake.planning.resolve import resolve

    return resolve(load(config))


def load(config: str) -> dict[str, Any]:
    """Read a config, or say that the word is no config."""
    from connectomake.config import load_config

    if config.startswith("-"):
        raise ConfigError(f"there is no option {config}; see --help")
    return load_config(config)


def program(name: str) -> str:
    """Return how a program of this environment can be typed here: its name if the shell finds it, else its path."""
    path = Path(sys.executable).with_name(name)
    if shutil.which(name) or not path.exists():
        return name
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def run_command(config: str, target: str = "") -> str:
    """Return the command that makes targets of a config, or all, for a shell; the config stands last, as it may be several."""
    option = [] if config == DEFAULT_CONFIG else ["--configfile", config]
    return command(program("snakemake"), "--profile", "profiles/local", *target.split(), *option)


def console() -> "Console":
    """Return the console to print to: as wide as the terminal, or wide enough for paths where there is none."""
    from rich.console import Console

    wide = None if sys.stdout.isatty() else WIDTH_OF_FILES
    return Console(width=wide, highlight=False, emoji=False)


def key_value_table(rows: Sequence[tuple[str, str]]) -> "Table":
    """Return a table of names and values without lines."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, Text(value))
    return table


def columns_table(title: str, left: Sequence[str], right: Sequence[str]) -> "Table":
    """Return an empty table with columns of text and, after them, columns of numbers."""
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in left:
        table.add_column(name, overflow="fold")
    for name in right:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def note(text: str) -> None:
    """Print a remark to stderr."""
    print(f"note: {redacted(text)}", file=sys.stderr)
