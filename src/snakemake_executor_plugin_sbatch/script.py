"""The batch script of one or of many jobs: it runs a job's command and leaves its exit code as a small file, the end note."""

import shlex
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

SCRIPT_BYTES = 1_000_000  # of Slurm's 4 MB: the controller sends it to a node for each job of an array

_FRAME = """#!/bin/sh
# connectomake: {what}
t=${{SLURM_ARRAY_TASK_ID:-1}}
case $t in
{cases}
*) echo "no job $t in this script" >&2; exit 2 ;;
esac
n={note}.$t
( eval {first}"$j"{last} )
c=$?
echo $c > "$n.part" && mv "$n.part" "$n.exit"
exit $c
"""


def batch_script(commands: Sequence[str], note: Path, what: str) -> str:
    """Return a script that runs one of some commands, the one with the number of the array's task, counted from 1.

    What commands begin and end with in common stands in it once.

    Parameters
    ----------
    commands
        Each a line for the shell.
    note
        Path of the end notes without their end, ``.NUMBER.exit``.
    what
        For people who read it.

    Examples
    --------
    >>> print(batch_script(["run a now", "run b now"], Path("/n/7"), "two").split("esac")[0].splitlines()[4])
    1) j=a ;;
    """
    first = _common(commands)
    rests = [command[len(first) :] for command in commands]
    last = _common([rest[::-1] for rest in rests])[::-1]
    middles = [rest[: len(rest) - len(last)] for rest in rests]
    cases = "\n".join(f"{number}) j={shlex.quote(middle)} ;;" for number, middle in enumerate(middles, 1))
    quoted = {"note": shlex.quote(str(note)), "first": shlex.quote(first), "last": shlex.quote(last)}
    return _FRAME.format(what=" ".join(what.split()), cases=cases, **quoted)


def _common(texts: Sequence[str]) -> str:
    """Return what several texts begin with."""
    if len(texts) == 1:
        return ""
    least, most = min(texts), max(texts)
    return least[: sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(least, most, strict=False)))]


def read_code(path: Path) -> int | None:
    """Return the exit code in an end note; None while it cannot be read."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None
