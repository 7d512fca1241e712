"""Admission of tasks by a worker: the task in a message, checked against this machine, and where its files are."""

import contextlib
import importlib
from dataclasses import dataclass
from pathlib import Path

from connectomake.errors import QueueError, StorageError
from connectomake.pipeline.modules import modules_of
from connectomake.queueing.bounds import outside
from connectomake.queueing.messages import Drawn, OthersTaskError
from connectomake.queueing.task import Task, plan_hash
from connectomake.queueing.task_files import TaskFiles
from connectomake.shell import command
from connectomake.storage.stores import FolderStore, Store, open_store


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """Options of a worker.

    Parameters
    ----------
    workflow
        Folder of Snakefile and scripts.
    lease
        Seconds for which a task is leased; renewed while it is made.
    tries
        A task drawn so often without success is given up.
    idle
        End after so many seconds without a task; None: when the queue holds none, leased ones included.
    forever
        Never end for want of tasks.
    storage, endpoint
        In place of those that the tasks name.
    plan
        Hash of the only plan whose tasks are made; None: any.
    retry
        Seconds before a task that failed can be drawn again.
    allow
        Folders and files outside the run's folder that a task may name.
    """

    workflow: Path
    lease: int = 120
    tries: int = 5
    idle: float | None = None
    forever: bool = False
    storage: str | None = None
    endpoint: str | None = None
    plan: str | None = None
    retry: int = 5
    allow: tuple[Path, ...] = ()


class Admission:
    """Takes tasks, or says why not.

    Parameters
    ----------
    options
        How the worker works.
    """

    def __init__(self, options: WorkerOptions) -> None:
        self._options = options
        self._places: dict[tuple[str | None, str | None], TaskFiles] = {}

    def take(self, drawn: Drawn, scratch: Path) -> tuple[Task, TaskFiles]:
        """Return the task of a message, checked, and where its files lie.

        Raises
        ------
        OthersTaskError, StorageError
            If this worker cannot make it.
        QueueError
            If nobody can.
        """
        if drawn.fault is not None:
            raise (OthersTaskError if drawn.others else QueueError)(drawn.fault)
        task = Task.from_json(drawn.value)
        plan = task.check_plan()
        if self._options.plan is not None and plan_hash(task.plan) != self._options.plan:
            raise OthersTaskError(
                f"the queue holds tasks of another plan, with outdir {plan.outdir!r}; name its config, or leave --config out"
            )
        script = self._options.workflow / "scripts" / task.script
        if not script.is_file():
            raise OthersTaskError(
                f"{script} is missing: this checkout has no rule {task.rule}; use the checkout that filled the queue"
            )
        forbidden = outside(task.plan, [Path.cwd(), self._options.workflow, *self._options.allow])
        if forbidden is not None:
            key, path = forbidden
            raise OthersTaskError(
                f"a task names {key} {path!r}, outside the run's folder; "
                f"if it may be read, start the worker with {command('--allow', path)}"
            )
        for name in modules_of(task.rule):
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
        return task, self._place(task, scratch)

    def _place(self, task: Task, scratch: Path) -> TaskFiles:
        storage = self._options.storage or task.storage
        endpoint = self._options.endpoint or task.endpoint
        if (storage, endpoint) not in self._places:
            home = Path.cwd()
            store = _open(storage, endpoint) if storage else FolderStore(f"file://{home}")
            self._places[storage, endpoint] = TaskFiles(store, None if storage else home, home, self._options.workflow, scratch)
        return self._places[storage, endpoint]


def _open(storage: str, endpoint: str | None) -> Store:
    """Open a store that a task names.

    Raises
    ------
    StorageError
        If its library cannot, whatever it says.
    """
    try:
        return open_store(storage, endpoint)
    except StorageError:
        raise
    except Exception as error:
        raise StorageError(f"the storage {storage} cannot be used: {' '.join(str(error).split())}") from error
