"""One run in the cluster: its pods by label, its secret, and the end of it all."""

import atexit
import secrets
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from connectomake_heads import Note
from snakemake_executor_plugin_pods.api import ApiError, PodApi, connect, explain
from snakemake_executor_plugin_pods.leftovers import by_hand, clean_leftovers, delete_run, secret_of
from snakemake_executor_plugin_pods.spec import RUN_LABEL, make_pod, make_secret
from snakemake_executor_plugin_pods.submissions import LOGIN_SECONDS, MOST_SECONDS, Submissions
from snakemake_executor_plugin_pods.task import Task
from snakemake_executor_plugin_pods.verdict import Verdict
from snakemake_executor_plugin_pods.watch import Fatal, Watch

__all__ = ["Fatal", "Run"]

TELL_SECONDS = 60.0


@dataclass
class Run:
    """A run: what it knows of its pods. One thread offers, looks, decides and finishes; others submit jobs, and end it.

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
    ended: bool = False
    tasks: dict[str, Task] = field(default_factory=dict)
    _said: dict[str, float] = field(default_factory=dict)
    _refused_since: float | None = None

    def __post_init__(self) -> None:
        settings, say = self.executor.workflow.executor_settings, self.executor.logger.warning
        self.submissions = Submissions(self.api, self._warn, self.clock)
        self.watch = Watch(self.api, settings, self.submissions.add, self._let_go, say, self.clock)

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
        self._note.write(self.folder)
        atexit.register(self.end)
        body, self.names = make_secret(self.secret, self.name, variables)
        self.api.create_secret(body)

    @property
    def _note(self) -> Note:
        return Note.own(self.name, self.api.namespace)

    @property
    def secret(self) -> str:
        """Name of the secret."""
        return secret_of(self.name)

    def clean_leftovers(self) -> None:
        """Delete pods and secrets of runs of this folder whose process was killed; wait until the pods are gone.

        Raises
        ------
        Fatal
            If a pod does not go: two copies of a job must not run at once.
        """
        clean_leftovers(self.api, self.folder, self.executor.logger, self)

    def submit(self, job: Any) -> str:
        """Take a job and return the name of its pod; the server is asked to make it in `offer`."""
        body = make_pod(self.executor, job, self.secret, self.names, self.name)
        task = Task(body.metadata.name, body)
        self.tasks[task.name] = task
        self.submissions.add(task)
        return task.name

    def offer(self) -> None:
        """Make the pods that the server takes now."""
        self.submissions.offer()

    def look(self) -> dict[str, dict[str, Any]] | None:
        """Make pods, and return all pods of the run by name, in one request; None if the server does not answer now.

        Raises
        ------
        Fatal
            If the server refuses, and not just for a moment.
        """
        self.watch.waiting.clear()
        self.offer()
        try:
            found = self.api.pods(f"{RUN_LABEL}={self.name}")
        except ApiError as error:
            self._endure(error)
            return None
        self.wait_seconds, self._refused_since = None, None
        self.watch.see(found)
        return {pod["metadata"]["name"]: pod for pod in found}

    def _endure(self, error: ApiError) -> None:
        """Ask less and less often while the server does not answer; a refused login ends the run after a while."""
        now = self.clock()
        if error.kind == "busy":
            self._refused_since = None
        elif self._refused_since is None:
            self._refused_since = now
        elif now - self._refused_since > LOGIN_SECONDS:
            raise Fatal(explain(error, self.api.namespace))
        self.wait_seconds = min(2 * (self.wait_seconds or 1.0), MOST_SECONDS)
        self._warn(f"Kubernetes does not answer ({error}); asking again in {self.wait_seconds:.0f} s", "silence")

    def decide(self, name: str, pods: dict[str, dict[str, Any]] | None) -> Verdict:
        """Return ``wait``, ``done`` or ``failed`` for a job by the name of its pod, given what `look` returned.

        Raises
        ------
        Fatal
            If no pod of this run can start.
        """
        return self.watch.decide(self.tasks[name], pods)

    def finish(self, info: Any, verdict: Verdict) -> str | None:
        """Keep the output of an ended pod and delete the pod. Return the file, if there is one."""
        task = self.tasks.pop(str(info.external_jobid))
        if not task.made:
            return None
        kept = verdict.state != "done" or self.executor.workflow.executor_settings.keep_logs == "all"
        path = self._let_go(task.pod, keep=kept)
        self.submissions.there_is_room()
        return path

    def _let_go(self, name: str, *, keep: bool = True) -> str | None:
        """Delete a pod; what it printed is kept in the file that is returned."""
        kept = self._keep_log(name) if keep else None
        try:
            self.api.delete_pod(name)
        except ApiError as error:
            self._warn(f"pod {name} could not be deleted yet: {error}", "deleting")  # the end of the run deletes it
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
        for text, count in sorted((Counter(self.watch.waiting.values()) + Counter(self.submissions.waiting)).items()):
            self._warn(f"{count} pod(s) wait: {text}", text)

    def _warn(self, text: str, about: str) -> None:
        """Say something, about the same thing at most once a minute."""
        now = self.clock()
        if now - self._said.get(about, -TELL_SECONDS) >= TELL_SECONDS:
            self._said[about] = now
            self.executor.logger.warning(text)

    def end(self) -> None:
        """Delete all pods and the secret, and take the note away once they are gone. May be called more than once."""
        if self.ended:
            return
        self.ended = True
        self.submissions.end()
        atexit.unregister(self.end)
        try:
            left = delete_run(self.api, self.name, self)
        except ApiError as error:
            text = f"pods and secret of run {self.name} could not be deleted ({error}); the next start in this folder will"
            self.executor.logger.warning(f"{text}, or you: {by_hand(self._note)}")
            return
        if left:
            self.executor.logger.warning(f"{left} pod(s) of run {self.name} are still there; the next start waits for them.")
            return
        self._note.remove(self.folder)
