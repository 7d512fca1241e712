"""One run in the cluster: its pods by label, its secret, what is known of each pod, and the end of it all."""

import atexit
import contextlib
import secrets
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from connectomake_heads import Note, read_notes
from snakemake_executor_plugin_pods.api import ApiError, PodApi, connect, explain
from snakemake_executor_plugin_pods.room import never_fits
from snakemake_executor_plugin_pods.spec import RUN_LABEL, make_pod, make_secret, pod_name
from snakemake_executor_plugin_pods.verdict import NOT_PULLED, Verdict, gone, has_run, judge

SUBMIT_SECONDS = 120.0  # how long a pod that the server will not take now is offered again
LOGIN_SECONDS = 45.0  # how long a refused login is tried again
GONE_SECONDS = 60.0  # how long to wait until deleted pods are gone
REFUSED_SECONDS = 5.0  # how long a container may be refused, an image not be pulled, a pod not fit on any node
PULL_SECONDS = 25.0
ROOM_SECONDS = 10.0
MOST_SECONDS = 20.0  # between questions while the server does not answer
TELL_SECONDS = 60.0


class Fatal(Exception):  # noqa: N818
    """The whole run cannot go on; the message says why and what to do."""


class Ended(Exception):  # noqa: N818
    """One job's try has ended before it had a pod."""


@dataclass
class Run:
    """A run: what it knows of its pods.

    Parameters
    ----------
    executor
        Snakemake's, for settings, logger and commands.
    api
        Pods and secrets of the namespace.
    name
        Eight letters and digits: the label of all that the run makes.
    folder, logs
        Of the run's note, of the pods' output.
    clock, sleep
        For tests.
    """

    executor: Any
    api: PodApi
    name: str
    folder: Path
    logs: Path
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    names: dict[str, str] = field(default_factory=dict)
    wait_seconds: float | None = None
    _image_good: bool = False
    ended: bool = False
    _troubled: dict[str, tuple[str, float]] = field(default_factory=dict)
    _waiting: dict[str, str] = field(default_factory=dict)
    _said: dict[str, float] = field(default_factory=dict)
    _nodes: tuple[float, list[dict[str, Any]] | None] | None = None
    _silent_since: float | None = None

    @classmethod
    def start(cls, executor: Any) -> "Run":
        """Reach the cluster, delete what killed runs of this folder left, make the secret.

        Raises
        ------
        Fatal
            If the cluster cannot be reached or refuses.
        """
        settings = executor.workflow.executor_settings
        base = Path(executor.workflow.persistence.path)
        name = secrets.token_hex(4)
        try:
            run = cls(executor, PodApi(connect(), settings.namespace), name, base / "pods", base / "log/pods" / name)
            run.clean_leftovers()
            run._open(executor.envvars())
        except ApiError as error:
            raise Fatal(explain(error, settings.namespace)) from error
        return run

    def _open(self, variables: Mapping[str, str]) -> None:
        """Note the run, then make its secret: in this order, so that nothing is made that no note names."""
        Note.own(self.name, self.api.namespace).write(self.folder)
        atexit.register(self.end)
        body, self.names = make_secret(self.secret, self.name, variables)
        self.api.create_secret(body)

    @property
    def secret(self) -> str:
        """Name of the secret."""
        return f"connectomake-{self.name}"

    @property
    def selector(self) -> str:
        """Selects what belongs to the run."""
        return f"{RUN_LABEL}={self.name}"

    def clean_leftovers(self) -> None:
        """Delete pods and secrets of runs of this folder whose process was killed; wait until the pods are gone.

        Raises
        ------
        Fatal
            If a pod does not go: two copies of a job must not run at once.
        """
        for note in list(read_notes(self.folder)):
            if not note.here:
                self._warn(f"run {note.run} was started on {note.host}; if it is dead: {_by_hand(note)}")
            elif not note.alive:
                api = PodApi(self.api.core, note.place, self.api.reconnect)
                selector = f"{RUN_LABEL}={note.run}"
                left = self._delete_and_wait(api, selector)
                if left:
                    raise Fatal(f"{len(left)} pod(s) of the killed run {note.run} do not go; delete them: {_by_hand(note)}")
                api.delete_secret(f"connectomake-{note.run}")
                note.remove(self.folder)
                self.executor.logger.info(f"Deleted the pods and the secret that the killed run {note.run} left.")

    def _delete_and_wait(self, api: PodApi, selector: str) -> list[dict[str, Any]]:
        until = self.clock() + GONE_SECONDS
        left = api.pods(selector)
        if left:
            api.delete_pods(selector)
        while left and self.clock() < until:
            self.sleep(1.0)
            left = api.pods(selector)
        return left

    def submit(self, job: Any) -> str:
        """Make the pod of a job and return its name; a busy server is asked again for two minutes.

        Raises
        ------
        Ended
            If the server does not take it.
        """
        body = make_pod(self.executor, job, self.secret, self.names, self.name)
        until, pause = self.clock() + SUBMIT_SECONDS, 1.0
        while True:
            try:
                self.api.create_pod(body)
            except ApiError as error:
                quota = error.kind == "forbidden" and "quota" in str(error)
                if not (error.kind == "busy" or quota) or self.clock() > until:
                    raise Ended(f"no pod could be made: {explain(error, self.api.namespace)}.") from error
                self._warn(f"a pod could not be made yet: {error}")
                self.sleep(pause)
                pause = min(2 * pause, MOST_SECONDS)
            else:
                return pod_name(self.name, job)

    def look(self) -> dict[str, dict[str, Any]] | None:
        """Return all pods of the run by name, in one request; None if the server does not answer now.

        Raises
        ------
        Fatal
            If the server refuses, and not just for a moment.
        """
        self._waiting.clear()
        try:
            found = self.api.pods(self.selector)
        except ApiError as error:
            self._endure(error)
            return None
        self.wait_seconds, self._silent_since = None, None
        self._image_good = self._image_good or any(map(has_run, found))
        return {pod["metadata"]["name"]: pod for pod in found}

    def _endure(self, error: ApiError) -> None:
        """Ask less and less often while the server does not answer; a refused login ends the run after a while."""
        now = self.clock()
        self._silent_since = self._silent_since or now
        if error.kind != "busy" and now - self._silent_since > LOGIN_SECONDS:
            raise Fatal(explain(error, self.api.namespace))
        self.wait_seconds = min(2 * (self.wait_seconds or 1.0), MOST_SECONDS)
        self._warn(f"Kubernetes does not answer ({error}); asking again in {self.wait_seconds:.0f} s")

    def decide(self, name: str, pods: dict[str, dict[str, Any]] | None) -> Verdict:
        """Return ``wait``, ``done`` or ``failed`` for a pod, given what `look` returned.

        Raises
        ------
        Fatal
            If no pod of this run can start.
        """
        if pods is None:
            return Verdict("wait")
        pod = pods.get(name)
        verdict = judge(pod) if pod is not None else self._missing(name)
        if verdict.state not in ("stuck", "no room"):
            self._troubled.pop(name, None)
            if verdict.message and verdict.state == "wait":
                self._waiting[name] = verdict.message
            return verdict
        assert pod is not None  # noqa: S101
        return self._trouble(name, pod, verdict)

    def _missing(self, name: str) -> Verdict:
        """Ask for a pod by name that the list lacks: it may have been made since."""
        try:
            pod = self.api.pod(name)
        except ApiError:
            return Verdict("wait")
        return gone(name) if pod is None else judge(pod)

    def _trouble(self, name: str, pod: dict[str, Any], verdict: Verdict) -> Verdict:
        """Give a pod that cannot start a moment; then the job has failed, or the run, if no pod ever started."""
        kind = "pull" if verdict.reason in NOT_PULLED else verdict.state
        if self._troubled.get(name, ("",))[0] != kind:
            self._troubled[name] = (kind, self.clock())
        seconds = self.clock() - self._troubled[name][1]
        limit = {"pull": PULL_SECONDS, "stuck": REFUSED_SECONDS, "no room": ROOM_SECONDS}[kind]
        if seconds < limit:
            return Verdict("wait")
        self._waiting[name] = verdict.message
        if kind == "no room":
            return self._room(pod, verdict)
        if not self._image_good:
            raise Fatal(verdict.message)
        return Verdict("failed", verdict.message, verdict.reason)

    def _room(self, pod: dict[str, Any], verdict: Verdict) -> Verdict:
        """A full cluster is waited for; what no node could ever take fails, unless nodes are added by themselves."""
        if "persistentvolumeclaim" in verdict.message and "not found" in verdict.message:
            raise Fatal(f"pods cannot start: {verdict.message}; correct pods-persistent-volumes in the profile")
        if self.executor.workflow.executor_settings.autoscaling:
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

    def _cached_nodes(self) -> list[dict[str, Any]] | None:
        """Return the nodes, asked for once a minute; None where they may not be seen."""
        now = self.clock()
        if self._nodes is None or now - self._nodes[0] > TELL_SECONDS:
            try:
                self._nodes = now, self.api.nodes()
            except ApiError:
                self._nodes = now, None
        return self._nodes[1]

    def finish(self, info: Any, verdict: Verdict) -> str | None:
        """Keep the output of an ended pod and delete the pod. Return the file, if there is one."""
        name = str(info.external_jobid)
        kept = None
        if verdict.state != "done" or self.executor.workflow.executor_settings.keep_logs == "all":
            kept = self._keep_log(name)
        try:
            self.api.delete_pod(name)
        except ApiError as error:
            self._warn(f"pod {name} could not be deleted yet: {error}")  # the end of the run deletes it
        return kept

    def _keep_log(self, name: str) -> str | None:
        try:
            text = self.api.log(name)
        except ApiError:
            return None
        self.logs.mkdir(parents=True, exist_ok=True)
        path = self.logs / f"{name}.log"
        path.write_bytes(text)
        return str(path)

    def tell_waiting(self) -> None:
        """Say now and then why pods wait."""
        for text, count in sorted(Counter(self._waiting.values()).items()):
            self._warn(f"{count} pod(s) wait: {text}", text)

    def _warn(self, text: str, about: str | None = None) -> None:
        """Say something, about the same thing at most once a minute."""
        now, key = self.clock(), about or text
        if now - self._said.get(key, -TELL_SECONDS) >= TELL_SECONDS:
            self._said[key] = now
            self.executor.logger.warning(text)

    def end(self) -> None:
        """Delete all pods and the secret, and take the note away once they are gone. May be called more than once."""
        if self.ended:
            return
        self.ended = True
        atexit.unregister(self.end)
        try:
            left = self._delete_and_wait(self.api, self.selector)
            self.api.delete_secret(self.secret)
        except ApiError as error:
            self._warn(f"pods and secret of run {self.name} could not be deleted: {error}; the next start will")
            return
        if left:
            self._warn(f"{len(left)} pods of run {self.name} do not go away; the next start waits for them")
            return
        Note.own(self.name, self.api.namespace).remove(self.folder)


def _by_hand(note: Note) -> str:
    return f"kubectl delete pod,secret -n {note.place} -l {RUN_LABEL}={note.run}"
