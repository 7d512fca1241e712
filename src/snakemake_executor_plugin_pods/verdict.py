"""Interpretation of a pod's state for its job. Pure functions of the pod's JSON."""

from dataclasses import dataclass
from typing import Any, Literal

from snakemake_executor_plugin_pods.outside import CONTAINER, ended_from_outside, used_beyond_request

REFUSED = {"InvalidImageName", "CreateContainerConfigError", "CreateContainerError", "ErrImageNeverPull"}
NOT_PULLED = {"ErrImagePull", "ImagePullBackOff", "RegistryUnavailable", "ImageInspectError"}

DELETED, TERMINATING = "Deleted", "Terminating"

State = Literal["wait", "done", "failed", "again", "stuck", "no room"]


@dataclass(frozen=True)
class Verdict:
    """The action for a pod.

    Parameters
    ----------
    state
        ``wait``: it runs, or will, or is being deleted. ``done``, ``failed``: it has ended. ``again``: it was ended from
        outside, by no fault of its job. ``stuck``: its container cannot start. ``no room``: no node takes it now.
    message
        Why, one sentence; empty where there is nothing to say.
    reason
        Kubernetes' word for it.
    """

    state: State
    message: str = ""
    reason: str = ""


def judge(pod: dict[str, Any]) -> Verdict:
    """Return what a pod's state means.

    A container that has ended decides, whatever the pod says: sidecars may keep a pod running. A pod that is being deleted
    while its container still runs is waited for, so that two copies of a job never run at once.
    """
    status, name = pod.get("status", {}), pod["metadata"]["name"]
    container = _container(status)
    state = container.get("state", {})
    ended, phase = state.get("terminated"), status.get("phase")
    if phase == "Succeeded" or (ended is not None and ended.get("exitCode") == 0):
        return Verdict("done")
    if ended is not None or phase == "Failed":
        return _failure(pod, ended or {})
    if pod["metadata"].get("deletionTimestamp"):
        return Verdict("wait", f"pod {name} is being deleted", TERMINATING)
    waiting = state.get("waiting", {})
    if waiting.get("reason") in REFUSED | NOT_PULLED:
        return Verdict("stuck", _stuck(pod, waiting), waiting["reason"])
    for condition in status.get("conditions", []):
        if condition.get("type") == "PodScheduled" and condition.get("reason") == "Unschedulable":
            return Verdict("no room", condition.get("message", ""), "Unschedulable")
    return Verdict("wait")


def has_run(pod: dict[str, Any]) -> bool:
    """Whether the pod's container has started: its image is good."""
    state = _container(pod.get("status", {})).get("state", {})
    return "running" in state or "terminated" in state


def gone(name: str) -> Verdict:
    """Return the verdict on a pod that is not there any more."""
    return Verdict("again", f"pod {name} is gone: someone deleted it, or it was lost with its node", DELETED)


def _container(status: dict[str, Any]) -> dict[str, Any]:
    found = (c for c in status.get("containerStatuses") or [] if c.get("name") == CONTAINER)
    return next(found, {})


def _failure(pod: dict[str, Any], ended: dict[str, Any]) -> Verdict:
    """Distinguish failures of the job itself from external ones."""
    status, name = pod["status"], pod["metadata"]["name"]
    reason = ended.get("reason") or ""
    if reason == "OOMKilled":
        text = f"pod {name} ran out of memory (OOMKilled, it had {asked_of(pod, 'memory')}); each retry gets more"
        return Verdict("failed", text, reason)
    if status.get("reason") == "DeadlineExceeded":
        return Verdict("failed", f"pod {name} ran longer than its `runtime`; each retry gets more", "DeadlineExceeded")
    if resource := used_beyond_request(pod):
        return Verdict("failed", _evicted(pod, resource), "Evicted")
    if why := ended_from_outside(pod, ended):
        return Verdict("again", f"pod {name}: {why}", status.get("reason") or "Outside")
    code = ended.get("exitCode", "?")
    more = f" ({ended['message']})" if ended.get("message") else ""
    return Verdict("failed", f"pod {name} ended with exit code {code}{more}", reason or "Error")


def _evicted(pod: dict[str, Any], resource: str) -> str:
    """Name what a pod took beyond what it asked for; Kubernetes' own words say how much."""
    name, said = pod["metadata"]["name"], " ".join(pod["status"].get("message", "").split()).rstrip(".")
    what, ask = ("memory", "mem_mb") if resource == "memory" else ("disk", "disk_mb")
    text = f"pod {name} took more {what} than it asked for (Evicted: {said}; it had {asked_of(pod, resource)})"
    return f"{text}; each retry gets more, where {ask} grows with `attempt` as in profiles/kubernetes"


def _stuck(pod: dict[str, Any], waiting: dict[str, Any]) -> str:
    image = _own_container(pod).get("image")
    text = " ".join(str(waiting.get("message", "")).split())
    if waiting["reason"] in NOT_PULLED | {"InvalidImageName", "ErrImageNeverPull"}:
        advice = f"correct container-image {image!r} in the profile, push it, or let the cluster pull it"
    else:
        advice = "correct the profile (secrets, volumes, security settings)"
    return f"a pod cannot start: {waiting['reason']}: {text}; {advice}"


def _own_container(pod: dict[str, Any]) -> dict[str, Any]:
    """Return the specification of the job's container: a cluster may put sidecars beside it, or before."""
    containers = pod["spec"]["containers"]
    return next((c for c in containers if c.get("name") == CONTAINER), containers[0])


def asked_of(pod: dict[str, Any], resource: str) -> str:
    """Return the limit of the pod's container, else what it asked for."""
    resources = _own_container(pod).get("resources", {})
    limit = (resources.get("limits") or {}).get(resource)
    return limit or (resources.get("requests") or {}).get(resource) or "no limit"
