"""Pods that the server has not taken yet: offered one after the other, and again while it is away or a quota is full."""

import threading
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from snakemake_executor_plugin_pods.api import ApiError, PodApi, explain
from snakemake_executor_plugin_pods.room import beyond_quota
from snakemake_executor_plugin_pods.task import Task
from snakemake_executor_plugin_pods.verdict import Verdict

LOGIN_SECONDS = 45.0  # how long what the server refuses is tried again
FIRST_SECONDS, MOST_SECONDS = 1.0, 20.0  # between offers that it does not take
_ALL = ""


@dataclass
class Submissions:
    """Makes pods. One thread calls `offer`; others add tasks, and end it.

    Parameters
    ----------
    api
        Pods of the namespace.
    warn
        Says a sentence, about the same thing once a minute.
    clock
        For tests.
    """

    api: PodApi
    warn: Callable[[str, str], None]
    clock: Callable[[], float]
    ended: bool = False
    _new: deque[Task] = field(default_factory=deque)
    _queue: list[Task] = field(default_factory=list)
    _held: dict[str, tuple[float, float, str]] = field(default_factory=dict)
    _making: threading.Lock = field(default_factory=threading.Lock)

    def add(self, task: Task, seconds: float = 0.0) -> None:
        """Take a task; it is offered after some seconds."""
        task.not_before = self.clock() + seconds if seconds else 0.0
        self._new.append(task)

    def offer(self) -> None:
        """Make the pods that the server takes now. A task that it will never take gets its verdict."""
        self._queue += [self._new.popleft() for _ in range(len(self._new))]
        for task in list(self._queue):
            if self._is_held(_ALL):
                break
            if task.not_before > self.clock() or self._is_held(task.rule):
                continue
            with self._making:
                if self.ended:
                    return
                self._make(task)
            if not task.made and task.verdict is None:  # the next of its rule may be taken
                self._queue.remove(task)
                self._queue.append(task)
        self._queue = [task for task in self._queue if not task.made and task.verdict is None]

    def end(self) -> None:
        """Make no pod any more."""
        with self._making:
            self.ended = True

    def there_is_room(self) -> None:
        """Offer again at once what was held back for a quota: a pod has gone."""
        self._held = {rule: held for rule, held in self._held.items() if rule == _ALL}

    @property
    def waiting(self) -> dict[str, int]:
        """Why tasks are held back, and how many."""
        counts, now = Counter[str](), self.clock()
        for task in self._queue:
            until, _, why = self._held.get(task.rule, (0.0, 0.0, ""))
            if until > now and why:
                counts[why] += 1
        return counts

    def _is_held(self, rule: str) -> bool:
        return rule in self._held and self._held[rule][0] > self.clock()

    def _hold(self, rule: str, why: str) -> None:
        pause = min(2 * self._held[rule][1] if rule in self._held else FIRST_SECONDS, MOST_SECONDS)
        self._held[rule] = (self.clock() + pause, pause, why)

    def _make(self, task: Task) -> None:
        try:
            self.api.create_pod(task.body)
        except ApiError as error:
            self._not_taken(task, error)
        else:
            task.made, task.refused = True, None
            for rule in (_ALL, task.rule):
                self._held.pop(rule, None)

    def _not_taken(self, task: Task, error: ApiError) -> None:
        """Hold the task back, or give it up: what the server refuses after a while, or always will."""
        now = self.clock()
        if error.kind == "busy":
            self._hold(_ALL, "")
            for other in self._queue:
                other.refused = None
            self.warn(f"a pod could not be made yet: {error}", "making")
            return
        never = beyond_quota(str(error)) if error.kind == "full" else ""
        if error.kind == "full" and not never:
            self._hold(task.rule, _without_name(str(error)))
            return
        task.refused = now if task.refused is None else task.refused
        if never or error.kind == "invalid" or now - task.refused >= LOGIN_SECONDS:
            why = never or explain(error, self.api.namespace)
            task.verdict = Verdict("failed", f"no pod could be made: {why}", error.kind)
            return
        self._hold(task.rule, "")
        self.warn(f"a pod could not be made yet: {error}", "making")


def _without_name(text: str) -> str:
    """Return what a quota says of one pod, for all of its kind."""
    return text.partition(" is forbidden: ")[2] or text
