"""Consequences of a cluster's Slurm settings for a run: memory, preemption, arrays, retention of jobs, limits, accounting."""

from collections.abc import Iterator

from connectomake.preflight.finding import Finding
from connectomake.preflight.profile import Site
from connectomake.preflight.slurm_answers import Answers, Partition, limit_of, minutes_of

SCRIPT_BYTES = 4 * 1024 * 1024
"""The longest batch script that Slurm takes, unless `max_script_size` says otherwise."""
NEEDED_SCRIPT_BYTES = 1_000_000
"""What the executor puts into the batch script of an array at most."""
LONGEST_PAUSE = 60.0
"""Seconds between two questions of the executor while nothing ends."""


def look_at_settings(site: Site, answers: Answers) -> list[Finding]:
    """Return a finding for each thing that differs from site to site.

    Parameters
    ----------
    site
        What the profile says.
    answers
        What Slurm says of itself.
    """
    if not answers.settings:
        return [Finding(False, "scontrol show config says nothing: memory, preemption and arrays of this Slurm are not known")]
    return [
        *_commands(answers),
        _memory(answers),
        *_preemption(site, answers),
        _arrays(answers),
        *_script(answers),
        _age(site, answers),
        _accounting(answers),
        *_limits(site, answers),
    ]


def _commands(answers: Answers) -> Iterator[Finding]:
    needed = [name for name in answers.absent if name in {"squeue", "scancel"}]
    if needed:
        yield Finding(False, f"{' and '.join(needed)} not found: start on a login node that has all of Slurm's commands")
    else:
        yield Finding(True, f"Slurm {answers.version}: sbatch, squeue and scancel are here")


def _memory(answers: Answers) -> Finding:
    """Say who counts and who enforces memory."""
    settings = answers.settings
    if "memory" not in settings.get("selecttypeparameters", "").lower():
        chosen = settings.get("selecttypeparameters", "none")
        return Finding(
            False,
            f"this Slurm does not count memory (SelectTypeParameters {chosen}): the jobs of a node may take more than it has; "
            "ask for more cores (set-threads in the profile), or ask the administrators for CR_Core_Memory",
        )
    if "cgroup" in settings.get("taskplugin", "") and settings.get("constrainramspace", "").lower() == "yes":
        return Finding(True, "memory is enforced (control groups): a job that takes more than it asked for is killed")
    if answers.option("jobacctgatherparams", "OverMemoryKill") is not None:
        every = answers.option("jobacctgatherfrequency", "task") or settings.get("jobacctgatherfrequency", "?")
        text = (
            f"memory is enforced (OverMemoryKill, looked at every {every} s): a job that takes more than it asked for is killed"
        )
        return Finding(True, text)
    if "cgroup" in settings.get("taskplugin", "") and "constrainramspace" not in settings:
        return Finding(True, "control groups are used; whether they enforce memory depends on the nodes' cgroup.conf")
    return Finding(
        False,
        "memory is counted but not enforced: a job that takes more than it asked for goes on, and may bring the others of its "
        "node down; compare `connectomake plan` with what sacct says (MaxRSS) of the first jobs",
    )


def _preemption(site: Site, answers: Answers) -> Iterator[Finding]:
    kind = answers.settings.get("preempttype", "preempt/none").removeprefix("preempt/")
    if kind in {"none", "(null)", ""}:
        yield Finding(True, "no job is preempted here")
        return
    for name in site.partitions or ("",):
        partition = answers.partitions.get(name)
        mode = (partition.values.get("preemptmode") if partition else None) or answers.settings.get("preemptmode", "OFF")
        yield _preempted(kind, mode.upper(), partition, answers)


def _preempted(kind: str, mode: str, partition: Partition | None, answers: Answers) -> Finding:
    where = f"in partition {partition.name}" if partition else "here"
    higher = [name for name, p in answers.partitions.items() if partition and p.tier > partition.tier]
    if mode == "OFF" or (kind == "partition_prio" and partition and not higher):
        return Finding(True, f"no job is preempted {where}")
    by = f" by jobs of {', '.join(higher)}" if kind == "partition_prio" and higher else ""
    if "SUSPEND" in mode:
        text = f"jobs may be preempted {where}{by} (PreemptMode {mode}): they are suspended while their time limit runs on"
        return Finding(True, text)
    return Finding(
        True, f"jobs may be preempted {where}{by} (PreemptMode {mode}): such a job is submitted again, no attempt lost"
    )


def _arrays(answers: Answers) -> Finding:
    size = answers.number("maxarraysize")
    if size is None:
        return Finding(True, "Slurm does not say how large an array may be")
    if size < 2:
        return Finding(True, f"this Slurm accepts no arrays (MaxArraySize {size}): each job is submitted on its own")
    return Finding(True, f"arrays of up to {size - 1:,} jobs are taken (MaxArraySize {size:,})")


def _script(answers: Answers) -> Iterator[Finding]:
    told = answers.option("schedulerparameters", "max_script_size")
    size = int(told) if told and told.isdigit() else SCRIPT_BYTES
    if size < NEEDED_SCRIPT_BYTES:
        yield Finding(
            False,
            f"batch scripts may be {size:,} bytes long (max_script_size), and one of an array may take "
            f"{NEEDED_SCRIPT_BYTES:,}: larger ones are refused and offered again in parts; "
            "ask the administrators for Slurm's default of 4 MB",
        )


def _age(site: Site, answers: Answers) -> Finding:
    age, pause = answers.number("minjobage"), max(LONGEST_PAUSE, site.status_seconds)
    if not age or age >= 2 * pause:
        return Finding(True, f"ended jobs are remembered for {f'{age} s' if age else 'ever'} (MinJobAge)")
    text = f"ended jobs are forgotten after {age} s (MinJobAge), and while nothing ends the head asks every {pause:g} s"
    if answers.accounting is None and _keeps_accounts(answers):
        return Finding(True, f"{text}: what it misses it looks up in accounting")
    return Finding(False, f"{text}: then only its end note says how a job ended; ask the administrators for MinJobAge=300")


def _keeps_accounts(answers: Answers) -> bool:
    kind = answers.settings.get("accountingstoragetype", "")
    return not kind.endswith("/none") and kind not in {"", "(null)"}


def _accounting(answers: Answers) -> Finding:
    kind = answers.settings.get("accountingstoragetype", "")
    if kind.endswith("/none") or kind in {"", "(null)"}:
        return Finding(
            True, "this Slurm keeps no accounting records; the end of a job is read from squeue and from its end note"
        )
    if answers.accounting is None:
        return Finding(True, "accounting answers (sacct)")
    return Finding(
        False,
        f"accounting does not answer ({answers.accounting}): while it is away, ended jobs are known from squeue and from their "
        "end notes alone; see `sacctmgr show cluster`, and ask the cluster's administrators",
    )


def _limits(site: Site, answers: Answers) -> Iterator[Finding]:
    """Say which limits of the user are below what the profile has."""
    found = []
    for where, row in answers.limits.items():
        if where.startswith("account ") and site.account and row["account"].lower() != site.account.lower():
            continue
        for key in ("maxsubmit", "grpsubmit", "maxsubmitpu"):
            limit = limit_of(row.get(key, ""))
            if limit is not None:
                found.append((limit, f"{where} may have {limit:,} job(s) in the queue"))
        wall = minutes_of(row.get("maxwall", ""))
        if wall is not None:
            yield Finding(True, f"{where} may ask for {wall:,} min a job (MaxWall)")
    for limit, text in sorted(found):
        if site.jobs is not None and limit < site.jobs:
            yield Finding(False, f"{text}, and the profile wants {site.jobs:,}: set jobs: {limit} there (or fewer)")
        else:
            yield Finding(True, text)
    if not found:
        yield Finding(True, "no limit on jobs in the queue is set for this user" if answers.limits else NO_LIMITS)


NO_LIMITS = "whether this user's jobs are limited cannot be read here (sacctmgr says nothing)"
