"""Every call of a command of Slurm, noted: what was called, how it ended. The commands themselves are the real ones."""

import shutil
from dataclasses import dataclass
from pathlib import Path

SCRIPT = """#!/bin/sh
# {name}, with its call noted
{real} "$@"
code=$?
words=$(printf '%s ' "$@" | tr '\\n' ' ' | cut -c 1-2000)
printf '%s %s %s\\n' {name} "$code" "$words" >> '{calls}'
exit $code
"""
SRUN = """#!/bin/sh
# srun, where an executor's job step has dropped SLURM_CONF and srun would look in /etc/slurm: not ours
SLURM_CONF='{conf}' exec {real} "$@"
"""


@dataclass(frozen=True)
class Call:
    """A call: the command's name, its exit code, its words."""

    name: str
    code: int
    words: tuple[str, ...]


def wrap(folder: Path, names: tuple[str, ...], conf: Path, calls: Path) -> None:
    """Put scripts into a folder, first on a PATH, that call Slurm's commands and note it."""
    folder.mkdir()
    calls.touch()
    for name in names:
        script = folder / name
        text = SRUN if name == "srun" else SCRIPT
        script.write_text(text.format(name=name, real=shutil.which(name), calls=calls, conf=conf))
        script.chmod(0o755)


def read_calls(calls: Path) -> list[Call]:
    """Return what was noted."""
    rows = [line.split() for line in calls.read_text().splitlines()]
    return [Call(row[0], int(row[1]), tuple(row[2:])) for row in rows if len(row) > 1]
