"""A task: one job of a rule, complete in itself, as plain JSON values."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from connectomake import __version__
from connectomake.atomic import canonical_json
from connectomake.errors import ConnectomakeError, QueueError
from connectomake.pipeline.registry import Stages
from connectomake.planning.plan import Plan
from connectomake.queueing.bounds import check_paths, check_types
from connectomake.queueing.messages import OthersTaskError

FORMAT = 1


class Named(list[Any]):
    """A list of paths or texts, some of them under names, as Snakemake hands them to scripts.

    Parameters
    ----------
    items
        All values.
    names
        Of each name the position, or start and stop of a part of the list.
    """

    __slots__ = ("_names",)

    def __init__(self, items: list[str], names: dict[str, list[int | None]]) -> None:
        super().__init__(items)
        self._names = names

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in self._names:
            raise AttributeError(name)
        start, stop = self._names[name]
        return self[start or 0] if stop is None else self[start:stop]

    def get(self, name: str, default: Any = None) -> Any:
        """Return what a name stands for, or `default`."""
        return getattr(self, name, default)

    def keys(self) -> Iterator[str]:
        """Return the names."""
        return iter(self._names)


@dataclass(frozen=True, slots=True)
class Task:
    """One job.

    Parameters
    ----------
    rule, script
        Of the workflow; the script is a file name in its folder ``scripts``.
    plan
        The plan, as `Plan.to_json` gives it.
    wildcards
        Texts by name.
    input, output
        ``items``: paths relative to the run's folder; ``names``: see `Named`.
    log
        Where the job's log goes: no or one path.
    benchmark
        Where time and memory are noted, or None.
    threads
        Of the rule.
    stage, fingerprint
        What the records of the outputs will say; None for files without a record.
    storage, endpoint
        Where the run's files lie, such as ``s3://bucket/prefix``; None: in the worker's folder.
    version
        Of connectomake, that put the task into the queue.

    Raises
    ------
    QueueError
        If a value is not what a task can hold.
    """

    rule: str
    script: str
    plan: dict[str, Any]
    wildcards: dict[str, str]
    input: dict[str, Any]
    output: dict[str, Any]
    log: list[str]
    benchmark: str | None
    threads: int
    stage: str | None
    fingerprint: str | None
    storage: str | None = None
    endpoint: str | None = None
    version: str = __version__

    def __post_init__(self) -> None:
        check_types(self)
        check_paths(self)

    @property
    def inputs(self) -> list[str]:
        """All files that the job reads."""
        return list(self.input["items"])

    @property
    def outputs(self) -> list[str]:
        """All files that the job writes."""
        return list(self.output["items"])

    @property
    def name(self) -> str:
        """The rule and its wildcards, as people say it."""
        return " ".join([self.rule, *self.wildcards.values()])

    def to_json(self) -> dict[str, Any]:
        """Return the task as plain JSON values, with its format and the plan's hash."""
        return {"format": FORMAT, "plan_hash": plan_hash(self.plan), **asdict(self)}

    @classmethod
    def from_json(cls, value: Any) -> "Task":
        """Make the task from what `to_json` gave.

        Raises
        ------
        QueueError
            If the value is no task.
        OthersTaskError
            If it is one of another version of connectomake.
        """
        if not isinstance(value, dict) or "format" not in value:
            raise QueueError("the queue holds messages of another program; name a queue of its own for connectomake")
        values = dict(value)
        version, form = values.get("version"), values.pop("format")
        if not isinstance(version, str) or not isinstance(form, int):
            raise QueueError("a message of the queue is damaged (its version is missing); fill the queue again")
        if form != FORMAT or version != __version__:
            raise OthersTaskError(
                f"the queue was filled by connectomake {version[:20]}, this is {__version__}; "
                "install one version on all machines"
            )
        expected = values.pop("plan_hash", None)
        try:
            task = cls(**values)
            found = plan_hash(task.plan)
        except (TypeError, KeyError, ValueError, RecursionError) as error:
            raise QueueError(f"a message of the queue is damaged ({error}); fill the queue again") from error
        if found != expected:
            raise QueueError("a message of the queue is damaged: its plan is not the one that was put in; fill it again")
        return task

    def check_plan(self) -> Plan:
        """Return the plan; it must mean here what it meant where the queue was filled.

        Raises
        ------
        QueueError
            If the plan is damaged.
        OthersTaskError
            If this installation would note other settings in the files.
        """
        try:
            plan = Plan.from_json(json.loads(json.dumps(self.plan)))
            fingerprint = None if self.stage is None else Stages(plan).fingerprint(self.stage)
        except (
            ValueError,
            TypeError,
            KeyError,
            AttributeError,
            IndexError,
            ArithmeticError,
            RecursionError,
            ConnectomakeError,
        ) as error:
            raise QueueError(
                f"a message of the queue is damaged: its plan cannot be read ({error}); fill the queue again"
            ) from error
        if fingerprint != self.fingerprint:
            raise OthersTaskError(
                f"stage {self.stage} of the queue's plan has another fingerprint here than where the queue was filled; "
                "install the same connectomake on all machines and fill the queue again"
            )
        return plan


def plan_hash(plan: dict[str, Any]) -> str:
    """Return the hash that a plan is known by in a queue."""
    return hashlib.sha256(canonical_json(plan).encode()).hexdigest()[:16]
