"""Watching pods: what the server says of each, and the action taken."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from snakemake_executor_plugin_pods.api import ApiError, PodApi
from snakemake_executor_plugin_pods.room import is_lost, never_fits
from snakemake_executor_plugin_pods.task import Task
from snakemake_executor_plugin_pods.verdict import NOT_PULLED, TERMINATING, Verdict, gone, has_run, judge

MOST_AGAIN = 10  # how often a pod is made again by no fault of its job
FIRST_PAUSE, LONGEST_PAUSE = 2.0, 60.0  # before that
REFUSED_SECONDS = 5.0  # how long a container may be refused, an image not be pulled, a pod not fit on any node
PULL_SECONDS = 25.0
ROOM_SECONDS = 10.0
LOST_SECONDS = 60.0  # how long a pod may be deleted without going, before its node is asked for
NODES_SECONDS, FRESH_SECONDS = 60.0, 10.0  # between questions for the nodes: of their size, of their health


class Fatal(Exception):  # noqa: N818
    """The whole run cannot go on; the message says why and what to do."""


@dataclass
class Watch:
    """Decides on pods.

    Parameters
    ----------
    api
        Pods of the namespace.
    settings
        Of the executor.
    add
        Takes a task whose pod is to be made again after some seconds.
    let_go
        Keeps what a pod has printed, and deletes it.
    warn
        Says a sentence, always.
    clock
        For tests.
    waiting
        Why pods wait, where there is something to say.
    """

    api: PodApi
    settings: Any
    add: Callable[[Task, float], None]
    let_go: Callable[[str], Any]
    warn: Callable[[str], Any]
    clock: Callable[[], float]
    waiting: dict[str, str] = field(default_factory=dict)
    _image_good: bool = False
    _troubled: dict[str, tuple[str, float]] = field(default_factory=dict)
    _leaving: dict[str, str] = field(default_factory=dict)
    _nodes: tuple[float, list[dict[str, Any]] | None] | None = None

    def see(self, pods: list[dict[str, Any]]) -> None:
        """Note whether any pod has started: the image is good."""
        self._image_good = self._image_good or any(map(has_run, pods))

    def decide(self, task: Task, pods: dict[str, dict[str, Any]] | None) -> Verdict:
        """Return ``wait``, ``done`` or ``failed`` for a task, given all pods by name, or None if they are not known now.

        Raises
        ------
        Fatal
            If no pod of this run can start.
        """
        if task.verdict is not None:
            return task.verdict
        if not task.made or pods is None:
            return Verdict("wait")
        pod = pods.get(task.pod) or self._ask_for(task.pod)
        if pod == {}:
            return Verdict("wait")
        verdict = gone(task.pod) if pod is None else judge(pod)
        if pod is None or (verdict.state in ("wait", "done", "failed") and verdict.reason != TERMINATING):
            self._troubled.pop(task.pod, None)
        if pod is None or verdict.state == "again":
            return self._again(task, pod, verdict)
        if verdict.state in ("done", "failed"):
            return verdict
        return self._open(task, pod, verdict)

    def _ask_for(self, name: str) -> dict[str, Any] | None:
        """Ask for a pod that the list lacks: None if it is gone, an empty one if there is no answer."""
        try:
            return self.api.pod(name)
        except ApiError:
            return {}

    def _open(self, task: Task, pod: dict[str, Any], verdict: Verdict) -> Verdict:
        """Decide on a pod that has not ended."""
        if verdict.reason == TERMINATING:
            self._may_be_lost(pod)
            return Verdict("wait")
        if verdict.state == "wait":
            return verdict
        return self._trouble(task, pod, verdict)

    # ---- ended from outside ------------------------------------------------------------------------------------------------

    def _again(self, task: Task, pod: dict[str, Any] | None, verdict: Verdict) -> Verdict:
        """Let a pod be made again, once the one before is gone: two copies of a job never run at once."""
        if pod is not None:
            self._leaving.setdefault(task.pod, verdict.message)
            self._send_away(pod)
            return Verdict("wait")
        why = self._leaving.pop(task.pod, verdict.message)
        if task.again >= MOST_AGAIN:
            text = f"pod {task.name} was made {task.again + 1} times and never ended by itself (the last time: {why})"
            return Verdict("failed", f"{text}; ask the cluster's administrators", verdict.reason)
        task.renew()
        self.warn(f"{why}; it is made again as {task.pod} ({task.again} of {MOST_AGAIN}).")
        self.add(task, min(FIRST_PAUSE**task.again, LONGEST_PAUSE))
        return Verdict("wait")

    def _send_away(self, pod: dict[str, Any]) -> None:
        if pod["metadata"].get("deletionTimestamp"):
            self._may_be_lost(pod)
        else:
            self.let_go(pod["metadata"]["name"])

    def _may_be_lost(self, pod: dict[str, Any]) -> None:
        """Forget a pod that is deleted but does not go, if its node is lost; else say what keeps it."""
        name, node = pod["metadata"]["name"], pod["spec"].get("nodeName", "")
        self.waiting[name] = f"pod {name} is being deleted"
        if self._seconds_of(name, "leaving") < LOST_SECONDS:
            return
        nodes = self._cached_nodes(FRESH_SECONDS)
        if nodes is None:
            by_hand = f"kubectl delete pod {name} -n {self.api.namespace} --force --grace-period=0"
            self.waiting[name] = f"pod {name} is being deleted but is still there; if its node {node} is lost: {by_hand}"
        elif not is_lost(node, nodes):
            self.waiting[name] = f"pod {name} is being deleted, but its node {node} does not stop it"
        else:
            self._leaving[name] = f"pod {name}: its node {node} is lost"
            with contextlib.suppress(ApiError):  # asked again in the next round
                self.api.delete_pod(name, forget=True)

    # ---- not started -------------------------------------------------------------------------------------------------------

    def _trouble(self, task: Task, pod: dict[str, Any], verdict: Verdict) -> Verdict:
        """Give a pod that cannot start a moment; then it is made again, or the run has failed, if no pod ever started."""
        kind = "pull" if verdict.reason in NOT_PULLED else verdict.state
        limit = {"pull": PULL_SECONDS, "stuck": REFUSED_SECONDS, "no room": ROOM_SECONDS}[kind]
        if self._seconds_of(task.pod, kind) < limit:
            return Verdict("wait")
        self.waiting[task.pod] = verdict.message
        if kind == "no room":
            return self._room(pod, verdict)
        if not self._image_good:
            raise Fatal(verdict.message)
        return self._again(task, pod, verdict)  # the image is good, so it is that node's fault

    def _seconds_of(self, name: str, kind: str) -> float:
        """Return how long a pod has been in trouble of a kind."""
        if self._troubled.get(name, ("",))[0] != kind:
            self._troubled[name] = (kind, self.clock())
        return self.clock() - self._troubled[name][1]

    def _room(self, pod: dict[str, Any], verdict: Verdict) -> Verdict:
        """A full cluster is waited for; what no node could ever take fails, unless nodes are added by themselves."""
        if "persistentvolumeclaim" in verdict.message and "not found" in verdict.message:
            raise Fatal(f"pods cannot start: {verdict.message}; correct pods-persistent-volumes in the profile")
        if self.settings.autoscaling:
            return Verdict("wait")
        nodes = self._cached_nodes()
        why = None
        with contextlib.suppress(ValueError):  # quantities in a form of tomorrow
            why = None if nodes is None else never_fits(pod, nodes)
        if why is None:
            return Verdict("wait")
        name = pod["metadata"]["name"]
        text = f"pod {name} can never run here: {why}; take smaller blocks or larger nodes, or set pods-autoscaling"
        return Verdict("failed", text, "Unschedulable")

    def _cached_nodes(self, seconds: float = NODES_SECONDS) -> list[dict[str, Any]] | None:
        """Return the nodes as they were some seconds ago at most; None where they may not be seen."""
        now = self.clock()
        if self._nodes is None or now - self._nodes[0] > seconds:
            try:
                self._nodes = now, self.api.nodes()
            except ApiError:
                self._nodes = now, None
        return self._nodes[1]
