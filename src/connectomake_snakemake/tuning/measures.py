"""Measurements of a job are not results: no job waits for them, or fails because they are missing.

Snakemake counts the file of `benchmark:` among the outputs. Where it is missing, as on a file system that shows it late or on
a full disk, Snakemake waits for `latency-wait`, and all else with it, then calls the job failed and deletes what it made.
"""

from collections.abc import Callable, Coroutine
from typing import Any

from connectomake_snakemake.replaced import instead
from connectomake_snakemake.replaced import replace as put

Finish = Callable[..., Coroutine[Any, Any, None]]
NONE: tuple[()] = ()
"""In place of the name of a file that is not there."""


def without_measures(finish: Finish) -> Finish:
    """Wrap what checks and keeps the outputs of a job: its measurements may be missing."""

    async def end(self: Any, *args: Any, **others: Any) -> None:
        wanted = self.benchmark
        if wanted and not await wanted.exists_local() and not (wanted.is_storage and await wanted.exists_in_storage()):
            self._benchmark = NONE
        try:
            await finish(self, *args, **others)
        finally:
            self._benchmark = wanted

    return end


def replace() -> None:
    """Put that in place; needed on the head and in each job."""
    put({"snakemake.jobs:Job.postprocess": without_measures})


def touch_at_once() -> None:
    """Make ``--touch`` not sleep for a tenth of a second before each job: files are dated in their order without it."""
    put({"snakemake.executors.touch:Executor.SLEEPING_TIME": instead(0.0)})
