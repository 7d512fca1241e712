"""Where the files of a task lie: in a folder that all workers share, or in a store, with a scratch folder for the job."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from connectomake.errors import LayerError, RunError
from connectomake.layers.records import decode_record
from connectomake.pipeline.segment_table import SegmentTableRule
from connectomake.queueing import files
from connectomake.queueing.task import Task
from connectomake.storage.refusals import explaining
from connectomake.storage.stores import Store

_TAIL = 1 << 14
_LONG_TAIL = 1 << 22


@dataclass(frozen=True, slots=True)
class TaskFiles:
    """The files of a run, as one worker reaches them.

    Parameters
    ----------
    store
        The run's files; for a shared folder a store of that folder.
    shared
        That folder; None if files are copied from the store and to it.
    home
        The worker's working directory.
    workflow
        Folder of Snakefile and scripts.
    scratch
        Folder for the worker's copies.
    """

    store: Store
    shared: Path | None
    home: Path
    workflow: Path
    scratch: Path

    def is_done(self, task: Task) -> bool:
        """Tell whether all outputs are there, younger than the inputs, and of the task's settings.

        A task may be drawn twice, when a lease ran out; to make its files again would outdate all that follows from them.

        Raises
        ------
        StorageError
            If the store cannot be reached.
        """
        if task.fingerprint is None:
            return False
        with explaining(self.store.url):
            times = [self.store.mtime(path) for path in task.outputs]
            if any(t is None for t in times):
                return False
            read = [self.store.mtime(path) for path in task.inputs]
            oldest = min(t for t in times if t is not None)
            if any(t is None or t > oldest for t in read):
                return False
            return all(self._fits(path, task.fingerprint) for path in task.outputs)

    def _fits(self, path: str, fingerprint: str) -> bool:
        for size in (_TAIL, _LONG_TAIL):
            try:
                return bool(decode_record(self.store.tail(path, size), path).get("fingerprint") == fingerprint)
            except LayerError:  # or a long record
                continue
        return False

    def folder(self, task_id: str) -> Path:
        """Return the folder that a job runs in."""
        return self.shared or self.scratch / f"job-{task_id}"

    def prepare(self, task: Task, folder: Path) -> None:
        """Bring a job's inputs."""
        for path in [*task.outputs, *task.log, *([task.benchmark] if task.benchmark else [])]:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
        if self.shared is not None:
            return
        with explaining(self.store.url):
            for path in task.inputs:
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                self.store.download(path, folder / path)
        cache = self.scratch / "files"
        cache.mkdir(exist_ok=True)
        table = task.rule == SegmentTableRule.name
        files.provide(task.check_plan(), self.store, folder, [self.home, self.workflow], cache, table=table)

    def publish(self, task: Task, folder: Path) -> None:
        """Bring a job's outputs to where they belong, or only see to it that they are younger than the inputs."""
        pending_tasks = [path for path in task.outputs if not (folder / path).exists()]
        if pending_tasks:
            raise RunError(f"the script of {task.rule} succeeded but did not write {pending_tasks[0]}")
        if self.shared is None:
            with explaining(self.store.url):
                for path in task.outputs:
                    self.store.upload(folder / path, path)
            return
        newest = max(((folder / path).stat().st_mtime_ns for path in task.inputs), default=0)
        for path in task.outputs:
            if (folder / path).stat().st_mtime_ns < newest:  # the clocks of two machines differ
                os.utime(folder / path, ns=(newest, newest))

    def publish_notes(self, task: Task, folder: Path) -> None:
        """Bring log and benchmark to the store; a job does not fail for want of them."""
        if self.shared is not None:
            return
        with explaining(self.store.url):
            for path in [*task.log, *([task.benchmark] if task.benchmark else [])]:
                if (folder / path).exists():
                    self.store.upload(folder / path, path)

    def tidy(self, task: Task, folder: Path, pid: int) -> None:
        """Remove what an ended job left: its scratch folder, or temporary files of its process."""
        if self.shared is None:
            shutil.rmtree(folder, ignore_errors=True)
            return
        for parent in {(folder / path).parent for path in task.outputs}:
            for left in parent.glob(f".*.{pid}.*.part"):
                left.unlink(missing_ok=True)
