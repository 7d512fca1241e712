"""The cause of a pod's end: its own job, by exceeding its requests, or something external. Pure functions of the pod's JSON.

The sentences are those of the kubelet, of Kubernetes 1.20 to 1.33.
"""

import contextlib
import re
from datetime import datetime, timedelta
from typing import Any

from snakemake_executor_plugin_pods.room import quantity

CONTAINER = "snakemake"
_RESOURCE = re.compile(r"low on resource: ([\w.-]+)")
_USED = re.compile(r"Container (\S+) was using ([\w.]+), (?:which exceeds its request of|request is) ([\w.]*\w)")
_OWN_DISK = re.compile(
    r"Pod ephemeral local storage usage exceeds|Usage of EmptyDir volume \S+ exceeds|"
    rf"Container {CONTAINER} exceeded its local ephemeral storage limit"
)
_LOST = {"Unknown", "ContainerStatusUnknown"}  # of a container whose node was started anew


def used_beyond_request(pod: dict[str, Any]) -> str:
    """Return ``memory`` or ``ephemeral-storage``, if a pod was evicted because it used more than it asked for; else empty."""
    status = pod.get("status", {})
    message = status.get("message") or ""
    if status.get("reason") != "Evicted":
        return ""
    if _OWN_DISK.search(message):
        return "ephemeral-storage"
    low = _RESOURCE.search(message)
    return low[1].rstrip(".") if low and any(_exceeds(*found) for found in _USED.findall(message)) else ""


def _exceeds(container: str, used: str, asked: str) -> bool:
    """Whether it is the job's own container that takes more than it asked for: sidecars are no fault of its."""
    with contextlib.suppress(ValueError):  # quantities in a form of tomorrow; the kubelet names only those that exceed
        return container == CONTAINER and quantity(used) > quantity(asked)
    return container == CONTAINER


def ended_from_outside(pod: dict[str, Any], ended: dict[str, Any]) -> str:
    """Return why a pod has not ended by itself, empty if it has.

    Parameters
    ----------
    pod
        That has ended, but not well.
    ended
        How its container ended; empty if unknown.
    """
    status = pod.get("status", {})
    if status.get("reason"):  # set where the kubelet or a controller ends a pod, never where a script does
        return f"{status['reason']}: {' '.join((status.get('message') or '').split())}".rstrip(": .")
    for condition in status.get("conditions") or []:
        if condition.get("type") == "DisruptionTarget" and condition.get("status") == "True":
            return f"{condition.get('reason', 'disrupted')}: {condition.get('message', '')}".rstrip(": .")
    if _deleted_before(pod, ended):
        return "it was deleted while it ran"
    if not ended or ended.get("reason") in _LOST:
        return "its node lost it"
    return ""


def _deleted_before(pod: dict[str, Any], ended: dict[str, Any]) -> bool:
    """Whether a pod's deletion was asked for before its container ended: the second in which both fell counts."""
    metadata = pod["metadata"]
    if not metadata.get("deletionTimestamp"):
        return False
    try:
        until = datetime.fromisoformat(metadata["deletionTimestamp"])
        asked = until - timedelta(seconds=metadata.get("deletionGracePeriodSeconds") or 0)
        return datetime.fromisoformat(ended["finishedAt"]) >= asked
    except (KeyError, TypeError, ValueError):
        return True
