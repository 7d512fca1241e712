"""The state of a Slurm cluster, read from its own commands: settings, partitions, nodes, limits of the user's associations.

Only what Slurm prints for people and programs alike since version 20 is used (``scontrol show``, ``sinfo -o``,
``sacctmgr -P``): the JSON of newer versions differs from one to the next. Names of settings are in small letters.
"""

import getpass
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

UNLIMITED = {"UNLIMITED", "INFINITE", "NONE", "N/A", "(NULL)", ""}
_LIMITS = ("account", "partition", "maxjobs", "maxsubmit", "grpjobs", "grpsubmit", "maxwall", "qos", "defaultqos")
_QOS_LIMITS = ("name", "maxjobspu", "maxsubmitpu", "grpjobs", "grpsubmit", "maxwall")


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition: its settings as ``scontrol show partition`` prints them, by names in small letters."""

    name: str
    values: Mapping[str, str]

    @property
    def minutes(self) -> int | None:
        """The longest time limit of a job; None: any."""
        return minutes_of(self.values.get("maxtime", ""))

    @property
    def tier(self) -> int:
        """Jobs of partitions with a higher one may preempt those of this."""
        return int(self.values.get("prioritytier", "1") or 1)

    def takes(self, account: str | None) -> bool:
        """Whether jobs of an account may run here."""
        allowed, denied = (_names(self.values.get(key, "")) for key in ("allowaccounts", "denyaccounts"))
        return account is None or ((not allowed or account.lower() in allowed) and account.lower() not in denied)


@dataclass(frozen=True, slots=True)
class Nodes:
    """So many nodes of one kind in one state: cores and memory (MB) of each, generic resources such as GPUs."""

    partition: str
    count: int
    cores: int
    memory: int
    gres: str
    state: str

    @property
    def usable(self) -> bool:
        """Whether they take jobs, now or when they are free again."""
        return self.state.strip("*~#!%$@^-+").lower() not in {"down", "drained", "draining", "fail", "failing", "unknown"}


@dataclass(frozen=True, slots=True)
class Answers:
    """All that was asked.

    Attributes
    ----------
    settings
        Of ``scontrol show config``, the control groups' among them; by names in small letters. Empty if Slurm did not say.
    partitions, nodes
        All of them.
    limits
        Of the user's associations and the QOS that these name: where the limit stands, and its values.
    accounting
        Why accounting does not answer; None if it does.
    absent
        Commands of Slurm that are not here.
    """

    settings: Mapping[str, str]
    partitions: Mapping[str, Partition]
    nodes: tuple[Nodes, ...]
    limits: Mapping[str, Mapping[str, str]]
    accounting: str | None
    absent: tuple[str, ...]

    @property
    def version(self) -> str:
        """Of Slurm, as ``22.05.8``."""
        return self.settings.get("slurm_version", "of an unknown version")

    def number(self, key: str) -> int | None:
        """Return the number that a setting begins with; None if it has none."""
        found = re.match(r"-?\d+", self.settings.get(key.lower(), ""))
        return int(found[0]) if found else None

    def option(self, key: str, name: str) -> str | None:
        """Return the value of one option of a setting that lists several, ``name=value,…``; "" if it stands alone."""
        for item in self.settings.get(key.lower(), "").split(","):
            word, _, value = item.partition("=")
            if word.strip().lower() == name.lower():
                return value.strip()
        return None


def ask_slurm(seconds: float, qos: str | None = None) -> Answers:
    """Ask Slurm about itself; what it does not say is left out.

    Parameters
    ----------
    seconds
        How long each of at most six commands may take.
    qos
        The quality of service that jobs ask for; None: the default of the user's associations.
    """
    partitions = read_partitions(_lines(["scontrol", "--oneliner", "show", "partition"], seconds))
    return Answers(
        settings=read_settings(_lines(["scontrol", "show", "config"], seconds)),
        partitions=partitions,
        nodes=read_nodes(_lines(["sinfo", "--noheader", "--exact", "--format=%R|%D|%c|%m|%G|%T"], seconds)),
        limits=_ask_limits(seconds, qos),
        accounting=_ask_accounting(seconds),
        absent=tuple(name for name in ("squeue", "sacct", "scancel", "scontrol", "sinfo") if not shutil.which(name)),
    )


def read_settings(lines: Iterable[str]) -> dict[str, str]:
    """Read ``scontrol show config``: lines of ``Key = value``."""
    pairs = [line.partition("=") for line in lines if "=" in line]
    return {key.strip().lower(): value.strip() for key, _, value in pairs}


def read_partitions(lines: Iterable[str]) -> dict[str, Partition]:
    """Read ``scontrol --oneliner show partition``: a line of ``Key=value`` for each."""
    rows = [dict(word.split("=", 1) for word in line.split() if "=" in word) for line in lines]
    found = {row["PartitionName"]: {key.lower(): value for key, value in row.items()} for row in rows if "PartitionName" in row}
    return {name: Partition(name, values) for name, values in found.items()}


def read_nodes(lines: Iterable[str]) -> tuple[Nodes, ...]:
    """Read ``sinfo --format=%R|%D|%c|%m|%G|%T``; ``4+`` and the like are the least of several."""
    rows = [line.strip().split("|") for line in lines]
    return tuple(
        Nodes(row[0], _number(row[1]), _number(row[2]), _number(row[3]), row[4], row[5]) for row in rows if len(row) == 6
    )


def _number(text: str) -> int:
    found = re.match(r"\d+", text)
    return int(found[0]) if found else 0


def minutes_of(text: str) -> int | None:
    """Turn Slurm's ``[days-][hours:]minutes[:seconds]`` into minutes; None: no limit."""
    before, dash, after = text.strip().rpartition("-")
    parts = after.split(":")
    if text.strip().upper() in UNLIMITED or not all(part.isdigit() for part in (*parts, before or "0")) or len(parts) > 3:
        return None
    if dash:  # days-hours[:minutes[:seconds]]
        hours, minutes, _ = (*map(int, parts), 0, 0)[:3]
    else:  # minutes[:seconds] or hours:minutes:seconds
        hours, minutes = (int(parts[0]), int(parts[1])) if len(parts) == 3 else (0, int(parts[0]))
    return int(before or 0) * 1440 + hours * 60 + minutes


def limit_of(text: str) -> int | None:
    """Turn a limit into a number; None: no limit."""
    return int(text) if text.strip().isdigit() else None


def _names(text: str) -> set[str]:
    return set() if text.upper() in {"ALL", *UNLIMITED} else {name.lower() for name in text.split(",")}


def _ask_limits(seconds: float, qos: str | None) -> dict[str, dict[str, str]]:
    command = ["sacctmgr", "-n", "-P", "show", "associations", f"user={getpass.getuser()}", f"format={','.join(_LIMITS)}"]
    rows = read_table(_lines(command, seconds), _LIMITS)
    found = {f"account {row['account']}" + (f" in {row['partition']}" if row["partition"] else ""): row for row in rows}
    names = {qos} if qos else {row["defaultqos"] or _usual(row["qos"].split(",")) for row in rows} - {""}
    if names:
        command = ["sacctmgr", "-n", "-P", "show", "qos", f"name={','.join(sorted(names))}", f"format={','.join(_QOS_LIMITS)}"]
        found |= {f"QOS {row['name']}": row for row in read_table(_lines(command, seconds), _QOS_LIMITS)}
    return found


def _usual(names: list[str]) -> str:
    """Return the QOS that a job gets where none is asked for and the association names no default."""
    return "normal" if "normal" in names else names[0]


def read_table(lines: Iterable[str], columns: tuple[str, ...]) -> list[dict[str, str]]:
    """Read what ``sacctmgr -n -P`` prints with the columns that were asked for."""
    rows = [line.rstrip("\n").split("|") for line in lines]
    return [dict(zip(columns, row, strict=True)) for row in rows if len(row) == len(columns)]


def _ask_accounting(seconds: float) -> str | None:
    """Return why `sacct` does not answer."""
    if not shutil.which("sacct"):
        return "sacct is not here"
    try:
        done = run(["sacct", "-n", "-X", "-P", "-j", "1", "-o", "jobid"], seconds)
    except subprocess.TimeoutExpired:
        return f"sacct does not answer within {seconds:.0f} s"
    return (done.stderr.strip().splitlines() or ["no message"])[-1].strip() if done.returncode else None


def _lines(command: list[str], seconds: float) -> list[str]:
    """Return what a command prints; nothing if it is not here, fails or takes too long."""
    try:
        done = run(command, seconds)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [] if done.returncode else done.stdout.splitlines()


def run(command: list[str], seconds: float) -> "subprocess.CompletedProcess[str]":
    """Run a command with no standard input, and return what it printed.

    Parameters
    ----------
    command
        Program and arguments; no shell is involved.
    seconds
        Time limit.

    Raises
    ------
    OSError
        If the program cannot be started.
    subprocess.TimeoutExpired
        If it has not ended in time.
    """
    return subprocess.run(
        command, capture_output=True, text=True, timeout=seconds, check=False, stdin=subprocess.DEVNULL, errors="replace"
    )
