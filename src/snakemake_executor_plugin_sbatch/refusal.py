"""Interpretation of errors of ``sbatch``. Pure functions of its message (those of Slurm 20 to 24)."""

import re
from typing import Literal

Refusal = Literal["away", "full", "later", "place", "size", "options", "unknown"]
"""``away``: no answer, so that the job may be there or not. ``full``: a limit on the number of jobs. ``later``: something is
being worked on. ``place``, ``size``, ``options``: it cannot pass. ``unknown``: a sentence of the site's, or one of tomorrow."""

CANNOT_PASS = {"place", "size", "options"}
_SENTENCES: tuple[tuple[Refusal, str], ...] = (
    (
        "place",
        r"invalid (account|qos)|partition specified|not permitted to use this (partition|account|qos)|account or account",
    ),
    ("place", r"reservation is invalid|access denied to requested reservation|invalid reservation"),
    ("size", r"(max|min)\w*per_?(job|node)|maxwall\w*|qosmin\w*|min\w*notsatisfied"),
    ("size", r"memory specification can ?not be satisfied|memory required by task is not available"),
    ("size", r"node configuration is not available|requested time limit is invalid|time limit specification required"),
    ("size", r"more processors requested than permitted|node count specification invalid|cpu count"),
    ("size", r"requested more tasks than|requested nodes not in this partition|too many (cpus|nodes)"),
    (
        "full",
        r"submit\w*limit|submit limit|queue full|temporarily unable to accept|accounting/qos policy|maximum number of jobs",
    ),
    ("full", r"invalid job array specification|script is too large|script too large|script exceeds"),
    ("away", r"unable to contact|timed out|connection (refused|failure|shutdown|reset|timed)|communication|standby mode"),
    (
        "away",
        r"zero bytes were transmitted|transport endpoint|missing socket|can't find an address|munge|authentication|credential",
    ),
    ("later", r"try again|temporarily|currently unable|not usable now|inactive or drain|down, drained or reserved"),
    (
        "options",
        r"unrecognized option|invalid option|--help|requires an argument|invalid [^;]*specification|feature specification",
    ),
    ("options", r"invalid generic resource|invalid gres|cannot be started|no such file|permission denied|script is empty"),
)
_PATTERNS = [(kind, re.compile(pattern, re.IGNORECASE)) for kind, pattern in _SENTENCES]
_WAYS_OUT = {
    "place": "correct slurm_account, slurm_partition, qos or reservation in the profile",
    "size": "ask for less (mem_mb, runtime, cpus, gpu: smaller blocks, see `connectomake plan`), or name a partition with more",
    "options": "correct the resources in the profile (constraint, gres, slurm_extra)",
}


def refusal_of(text: str) -> Refusal:
    """Return what a sentence of ``sbatch`` means.

    Examples
    --------
    >>> refusal_of("Batch job submission failed: Invalid account or account/partition combination specified")
    'place'
    >>> refusal_of("QOSMaxSubmitJobPerUserLimit; Batch job submission failed: Job violates accounting/QOS policy (…)")
    'full'
    """
    return next((kind for kind, pattern in _PATTERNS if pattern.search(text)), "unknown")


def way_out(kind: Refusal) -> str:
    """Return what to do about a refusal that cannot pass."""
    return _WAYS_OUT.get(kind, "ask the cluster's administrators")
