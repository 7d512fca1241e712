"""Check once that Slurm answers and knows account and partition, instead of one failure per job and retry."""

import getpass
import os
import shutil
import subprocess
from collections.abc import Iterable

from connectomake.errors import ConfigError, RunError

SECONDS = 20.0
"""How long a command of Slurm may take. Without a controller they wait for minutes before they give up."""


def check_slurm(account: str | None, partition: str | None, seconds: float = SECONDS) -> str:
    """Check that jobs could be submitted; see `check_slurm_places`.

    Parameters
    ----------
    account, partition
        As the profile has them; None or empty: Slurm's default.
    seconds
        Time limit of each command.

    Returns
    -------
    str
        What was found, for people.

    Raises
    ------
    RunError, ConfigError
        See `check_slurm_places`.
    """
    return check_slurm_places([(account, partition)], seconds)[0]


def check_slurm_places(places: Iterable[tuple[str | None, str | None]], seconds: float = SECONDS) -> list[str]:
    """Check that jobs could be submitted to each of some places.

    Parameters
    ----------
    places
        Account and partition, as the profile has them; None or empty: Slurm's default.
    seconds
        How long each of at most three commands may take; each is called once, whatever the number of places, for a site's
        database serves everybody.

    Returns
    -------
    list[str]
        What was found, for people, for each place.

    Raises
    ------
    RunError
        If Slurm is not installed here, its controller does not answer, or the environment sends jobs to other clusters.
    ConfigError
        If there is no such partition, or the user has no such account on this cluster.
    """
    if not shutil.which("sbatch"):
        raise RunError("sbatch is not found; start snakemake on a login node of the cluster, or take another profile")
    _check_one_cluster(seconds)
    wanted = list(places)
    partitions = _partitions(seconds)
    for _, partition in wanted:
        _check_partition(partition, partitions)
    _check_accounts([account for account, _ in wanted if account], seconds)
    return [_found(account, partition, partitions) for account, partition in wanted]


def _found(account: str | None, partition: str | None, partitions: dict[str, int]) -> str:
    names = partitions if partition is None else partition.split(",")
    nodes = sum(partitions[name] for name in names)
    return f"Slurm answers: partition {partition or '(default)'} with {nodes} node(s), account {account or '(default)'}"


def _check_one_cluster(seconds: float) -> None:
    """All commands must speak of the same Slurm: jobs that `sbatch` sends to another would be looked for here."""
    told = {name: value for name in ("SBATCH_CLUSTERS", "SLURM_CLUSTERS") if (value := os.environ.get(name))}
    for name, value in told.items():
        if "," in value or value == "all":
            raise RunError(f"{name}={value} in the environment names several Slurm clusters, and a run has one; {_ONE}")
    to, asked = told.get("SBATCH_CLUSTERS"), told.get("SLURM_CLUSTERS")
    if to and to.lower() != (asked.lower() if asked else _cluster(seconds)):
        raise RunError(
            f"SBATCH_CLUSTERS={to} in the environment sends jobs to another Slurm cluster than the one that squeue asks, "
            f"{asked or _cluster(seconds) or 'that of this machine'}; {_ONE}"
        )


_ONE = "unset it and start snakemake on a login node of the cluster that is to run the jobs, or set SLURM_CLUSTERS to its name"


def _partitions(seconds: float) -> dict[str, int]:
    """Return the number of nodes of each partition."""
    try:
        lines = _call(["sinfo", "--noheader", "--format=%P %D"], seconds)
    except subprocess.TimeoutExpired:
        raise RunError(f"{_NO_ANSWER} within {seconds:.0f} s; {_ASK}") from None
    except subprocess.CalledProcessError as error:
        raise RunError(f"{_NO_ANSWER} ({_last_line(error.stderr)}); {_ASK}") from error
    found: dict[str, int] = {}
    for line in lines:
        name, count = line.rsplit(None, 1)
        found[name.rstrip("*")] = found.get(name.rstrip("*"), 0) + int(count)
    return found


_NO_ANSWER = "Slurm's controller does not answer"
_ASK = "see `scontrol ping`, and ask the cluster's administrators"


def _check_partition(partition: str | None, partitions: dict[str, int]) -> None:
    wanted = [] if partition is None else partition.split(",")
    for name in wanted:
        if name not in partitions:
            raise ConfigError(
                f"there is no partition {name!r}; set slurm_partition in the profile to one of {', '.join(sorted(partitions))}"
            )


def _check_accounts(wanted: list[str], seconds: float) -> None:
    """Compare with the user's associations; a cluster that keeps no accounts, or does not tell, says nothing against any."""
    if not wanted or not shutil.which("sacctmgr"):
        return
    user = getpass.getuser()
    try:
        lines = _call(["sacctmgr", "-n", "-P", "show", "associations", f"user={user}", "format=account,cluster"], seconds)
    except (subprocess.TimeoutExpired, subprocess.CalledProcessError):
        return
    columns = [[*line.strip().split("|"), ""] for line in lines if line.strip()]
    rows = [(row[0], row[1] if len(row) == 3 else "") for row in columns]
    here = _cluster(seconds) if len({cluster for _, cluster in rows}) > 1 else None
    known = sorted({name for name, cluster in rows if here is None or cluster.lower() == here})
    for account in wanted:
        if known and account.lower() not in (name.lower() for name in known):
            elsewhere = sorted({cluster for name, cluster in rows if here is not None and name.lower() == account.lower()})
            raise ConfigError(_no_account(user, account, known, here, elsewhere))


def _no_account(user: str, account: str, known: list[str], here: str | None, elsewhere: list[str]) -> str:
    choice = f"set slurm_account in the profile to one of {', '.join(known)}"
    if not elsewhere:
        return f"{user} has no account {account!r}; {choice}"
    return (
        f"{user} has the account {account!r} on Slurm cluster {', '.join(elsewhere)}, not on {here}, which is the one here; "
        f"{choice}, or start snakemake on a login node of the other"
    )


def _cluster(seconds: float) -> str | None:
    """Return the name of the cluster that commands here speak of, in small letters; None if it does not say."""
    try:
        lines = _call(["scontrol", "show", "config"], seconds)
    except (subprocess.TimeoutExpired, subprocess.CalledProcessError, OSError):
        return None
    found = [line.partition("=")[2].strip().lower() for line in lines if line.partition("=")[0].strip() == "ClusterName"]
    return found[0] if found else None


def _call(command: list[str], seconds: float) -> list[str]:
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=True, stdin=subprocess.DEVNULL)
    return done.stdout.splitlines()


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no message"])[-1].strip()
