"""Interpretation of a Slurm job's state. Pure functions of the answers of Slurm, the end note and the log."""

import re
from dataclasses import dataclass
from typing import Literal

from snakemake_executor_plugin_sbatch.slurm import Record

Kind = Literal["wait", "done", "failed", "again", "never", "held", "elsewhere"]

GOES_ON = {
    "PENDING", "RUNNING", "COMPLETING", "CONFIGURING", "SUSPENDED", "RESIZING", "SIGNALING", "STAGE_OUT", "STOPPED", "REQUEUED",
    "REQUEUE_FED",
}  # fmt: skip
HELD = {"REQUEUE_HOLD", "RESV_DEL_HOLD", "SPECIAL_EXIT"}
NOT_ITS_FAULT = {"PREEMPTED", "NODE_FAIL", "BOOT_FAIL", "REVOKED"}
ENDED = {"FAILED", "OUT_OF_MEMORY", "TIMEOUT", "DEADLINE", "CANCELLED"}
_LAUNCH = re.compile(r"launch failed|joblaunchfailure|raisedsignal:53|systemfailure|prolog|jobholdmaxrequeue", re.IGNORECASE)
_NEVER = re.compile(
    r"BadConstraints|DependencyNeverSatisfied|Partition(Time|Node)Limit|Invalid(Account|QOS)|(Account|QOS)NotAllowed|DeadLine|"
    r"\w*Max\w*Per(Job|Node)(Limit)?|QOSMin\w*|ReservationDeleted",
)
_HOLDS = re.compile(r"JobHeld(Admin|User)|held", re.IGNORECASE)
_NO_NODE = re.compile(r"ReqNodeNotAvail|NodeDown|Nodes.required.for.job|Partition(Down|Inactive)")
_MEMORY = re.compile(r"exceeded (?:virtual )?memory limit \((\d+) > (\d+)\)")
_WORDS = {
    "TIMEOUT": "ran longer than its runtime; each retry gets more",
    "DEADLINE": "could not end before its deadline",
    "CANCELLED": "was cancelled by someone",
}
_KILLED = re.compile(r"oom[-_ ]kill|exceeded (job|step|virtual)? ?memory limit|out of memory handler", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The action for a job.

    Parameters
    ----------
    kind
        ``wait``. ``done``. ``failed``: the try has ended, Snakemake may retry it with more. ``again``: ended by no fault of its
        own. ``never``: it cannot run as it was asked for. ``held``: it waits for a person. ``elsewhere``: no node may take it
        now, perhaps because of those that it shall not run on.
    message
        Why, one sentence without its full stop; empty where there is nothing to say.
    """

    kind: Kind
    message: str = ""


def judge(record: Record, log: str = "") -> Verdict:
    """Return what Slurm's word on a job means; what a state of tomorrow means is asked again.

    A batch script that was ended for its memory is called ``JobLaunchFailure`` (Slurm 22.05): the end of its log decides.
    """
    if record.state in {"FAILED", "CANCELLED"} and _KILLED.search(log):
        return Verdict("failed", "OUT_OF_MEMORY")
    if record.state in {"COMPLETED", *NOT_ITS_FAULT, *ENDED}:
        return _of_ended(record)
    return _of_open(record) if record.state in {"PENDING", *HELD} else _of_other(record)


def _of_ended(record: Record) -> Verdict:
    where = f" on {record.nodes}" if record.nodes else ""
    if record.state == "COMPLETED":
        return Verdict("done")
    if record.state in NOT_ITS_FAULT:
        return Verdict("again", f"{record.state}{where}")
    if record.state in {"FAILED", "CANCELLED"} and _LAUNCH.search(record.reason):
        return Verdict("again", f"it was not started, or lost,{where} ({record.reason})")
    return Verdict("failed", f"{record.state}{where}")


def _of_open(record: Record) -> Verdict:
    reason = record.reason.strip()
    if _LAUNCH.search(reason):
        return Verdict("again", f"it could not be started ({reason})")
    if record.state in HELD or _HOLDS.search(reason):
        return Verdict("held", f"held ({reason}): `scontrol release {record.base}`, or ask the cluster's administrators")
    if _NEVER.fullmatch(reason):
        return Verdict("never", reason)
    return Verdict("elsewhere", reason) if _NO_NODE.search(reason) else Verdict("wait")


def _of_other(record: Record) -> Verdict:
    if record.state in {"SUSPENDED", "STOPPED"}:
        return Verdict("wait", f"{record.state} by Slurm or an administrator")
    return Verdict("wait", "" if record.state in GOES_ON else f"in an unknown state, {record.state}")


def node_of(record: Record) -> str:
    """Return the node that a job was on; empty if it was on none, or on several."""
    return record.nodes if re.fullmatch(r"[\w.-]+", record.nodes) and record.nodes != "None" else ""


def why_failed(record: Record, code: int | None, log: str, asked: str) -> str:
    """Return in one sentence why a try has failed.

    Parameters
    ----------
    record
        Slurm's last word; its state may be empty, where there is none.
    code
        The exit code in the end note, if there is one.
    log
        The end of what the job printed.
    asked
        The memory that was asked for, for people; empty if unknown.
    """
    name = f"Slurm job {record.id}" + (f" on {record.nodes}" if record.nodes else "")
    if record.state == "OUT_OF_MEMORY" or _KILLED.search(log):
        return f"{name} ran out of memory ({_memory(log, asked)}); each retry gets more"
    if record.state in _WORDS:
        return f"{name} {_WORDS[record.state]}"
    if code is None:
        return f"{name} ended: {record.state}" + (f" ({record.reason})" if record.reason not in {"", "None"} else "")
    why = "; does the environment's folder exist on that node?" if code in {126, 127} else ""
    return f"{name} ended with exit code {code}{why}"


def _memory(log: str, asked: str) -> str:
    used = _MEMORY.search(log)
    took = f"it used {int(used[1]) / 2**20:,.0f} MB" if used else ""
    return ", ".join(filter(None, (f"it asked for {asked}" if asked else "", took))) or "OUT_OF_MEMORY"
