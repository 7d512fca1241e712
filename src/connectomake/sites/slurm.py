"""Whether Slurm is there and knows account and partition: asked once, instead of one failure per job and retry."""

import getpass
import shutil
import subprocess

from connectomake.errors import ConfigError, RunError

SECONDS = 20.0
"""How long a command of Slurm may take. Without a controller they wait for minutes before they give up."""


def check_slurm(account: str | None, partition: str | None, seconds: float = SECONDS) -> str:
    """Check that jobs could be submitted.

    Parameters
    ----------
    account, partition
        As the profile has them; None or empty: Slurm's default.
    seconds
        How long each of at most three commands may take.

    Returns
    -------
    str
        What was found, for people.

    Raises
    ------
    RunError
        If Slurm is not installed here or its controller does not answer.
    ConfigError
        If there is no such partition, or the user has no such account.
    """
    if not shutil.which("sbatch"):
        raise RunError("sbatch is not found; start snakemake on a login node of the cluster, or take another profile")
    partitions = _partitions(seconds)
    _check_partition(partition, partitions)
    _check_account(account, seconds)
    nodes = sum(partitions.values()) if partition is None else partitions[partition]
    return f"Slurm answers: partition {partition or '(default)'} with {nodes} node(s), account {account or '(default)'}"


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


def _check_account(account: str | None, seconds: float) -> None:
    """Compare with the user's associations; a cluster that keeps no accounts, or does not tell, says nothing against any."""
    if not account or not shutil.which("sacctmgr"):
        return
    user = getpass.getuser()
    try:
        lines = _call(["sacctmgr", "-n", "-P", "show", "associations", f"user={user}", "format=account"], seconds)
    except (subprocess.TimeoutExpired, subprocess.CalledProcessError):
        return
    known = sorted({line.strip() for line in lines if line.strip()})
    if known and account.lower() not in (name.lower() for name in known):
        raise ConfigError(f"{user} has no account {account!r}; set slurm_account in the profile to one of {', '.join(known)}")


def _call(command: list[str], seconds: float) -> list[str]:
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=True, stdin=subprocess.DEVNULL)
    return done.stdout.splitlines()


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no message"])[-1].strip()
