"""The graph of jobs on the head: without repeated look-ups for each edge, and without sets that stay empty."""

import functools
import logging
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from snakemake.logging import logger

from connectomake_snakemake.replaced import instead
from connectomake_snakemake.replaced import replace as put
from connectomake_snakemake.tuning import inputs
from connectomake_snakemake.tuning.files import is_plain

Update = Callable[..., Coroutine[Any, Any, Any]]
NOTHING: frozenset[Any] = frozenset()
RARE = ("protected_output", "touch_output", "pipe_or_service_output", "temp_output", "_queue_input")
"""Sets of a job that are filled when it is made, if at all."""


def remembering(update: Update) -> Update:
    """Wrap what adds the job to the graph that makes a file: the next job that reads the file need not look for it."""

    async def add(self: Any, jobs: Any, file: Any = None, *, known_producers: Any = None, **others: Any) -> Any:
        producer = await update(self, jobs, file=file, known_producers=known_producers, **others)
        if known_producers is not None and file is not None:
            known_producers[file] = [producer]
        return producer

    return add


def sharing(update_: Update) -> Update:
    """Wrap what adds a job and all that it needs to the graph: an edge's set of files stands for both of its directions.

    Most edges are one file: a tuple, a quarter of a set, which stands for all jobs that read it; nothing is added to it later.
    """

    async def add(self: Any, job: Any, **others: Any) -> None:
        if job in self._dependencies:
            return
        await update_(self, job, **others)
        needs, alone = self._dependencies[job], self.__dict__.setdefault("_files_alone", {})
        for other, found in needs.items():
            # a flag, such as ancient, is that of one reader; of files in a bucket Snakemake joins the sets
            if len(found) == 1 and is_plain(file := next(iter(found))):
                found = alone.setdefault(file, (file,))  # noqa: PLW2901
            needs[other] = self.depending[other][job] = found

    return add


def forgetting(init: Update, known: dict[str, Any]) -> Update:
    """Wrap what makes the graph: what was kept to make it is not needed later."""

    async def make(self: Any, *args: Any, **values: Any) -> None:
        await init(self, *args, **values)
        known.clear()
        self.__dict__.pop("_files_alone", None)

    return make


def sparing(make: Callable[..., None]) -> Callable[..., None]:
    """Wrap what makes a job: its empty sets are one."""

    def begin(self: Any, *args: Any, **values: Any) -> None:
        make(self, *args, **values)
        for name in RARE:
            if not getattr(self, name):
                setattr(self, name, NOTHING)

    return begin


def is_reason(self: Any) -> bool:
    """Return whether there is a reason to run a job; asks no set that was never filled, which would make it."""
    return not self.finished and bool(
        self._updated_input
        or self._missing_output
        or self.forced
        or self._updated_input_run
        or self.noio
        or self.nooutput
        or self.pipe
        or self.service
        or self.code_changed
        or self.params_changed
        or self.software_stack_changed
        or self.input_changed
        or self.unfinished_queue_input
    )


def unless_nested(check: Callable[[Any], None]) -> Callable[[Any], None]:
    """Wrap the search for outputs that lie in an output of another job: it looks at each pair only where one is a folder."""

    def look(self: Any) -> None:
        outputs = {str(path) for job in self.jobs for path in job.output}
        folders = {path.rpartition("/")[0] for path in outputs}
        above = {folder[:end] for folder in folders for end in (*_slashes(folder), len(folder))}
        if not outputs.isdisjoint(above) or any("//" in path or "./" in path or path[:1] == "/" for path in outputs):
            check(self)

    return look


def _slashes(folder: str) -> list[int]:
    return [i for i, letter in enumerate(folder) if letter == "/"]


def formatted(fmt_iofile: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap what writes a file's name for people: one without a flag is its name."""

    def write(file: Any, as_input: bool = False, as_output: bool = False) -> Any:
        return file if type(getattr(file, "_file", None)) is str else fmt_iofile(file, as_input, as_output)

    return write


def unless_quiet(log_info: Callable[..., None]) -> Callable[..., None]:
    """Wrap the printing of a job: a dry run that prints no jobs need not format them."""
    from snakemake.settings.types import Quietness

    silent = {Quietness.RULES, Quietness.ALL}

    def tell(self: Any, *args: Any, **values: Any) -> None:
        workflow = self.dag.workflow
        output = workflow.output_settings
        if not (workflow.dryrun and output.quiet and silent & set(output.quiet)) or output.log_handler_settings:
            log_info(self, *args, **values)

    return tell


def once(get_function_params: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Wrap what works out the parameters of a function: once for each."""
    return functools.cache(get_function_params)


def layered(toposorted: Callable[..., Iterator[list[Any]]]) -> Callable[..., Iterator[list[Any]]]:
    """Wrap what sorts jobs into layers, each after all that it needs: counts what a job waits for, where there are no pipes."""

    def sort(self: Any, jobs: Any = None, inherit_pipe_dependencies: bool = False) -> Iterator[list[Any]]:
        jobs = set(self.jobs if jobs is None else jobs)
        layers = None if any(job.pipe_group is not None for job in jobs) else _layers(jobs, self._dependencies, self.depending)
        yield from toposorted(self, jobs, inherit_pipe_dependencies) if layers is None else layers

    return sort


def _layers(jobs: set[Any], needs: Any, readers: Any) -> list[list[Any]] | None:
    """Return jobs in layers, or None where they wait for each other."""
    waits, layers = {}, []
    for job in jobs:
        waits[job] = sum([other in jobs for other in needs[job]])
    layer, placed = [job for job in jobs if not waits[job]], 0
    while layer:
        layers.append(layer)
        placed += len(layer)
        ready = []
        for job in layer:
            for reader in readers[job]:
                if reader in waits:
                    waits[reader] -= 1
                    if not waits[reader]:
                        ready.append(reader)
        layer = ready
    return layers if placed == len(jobs) else None


def unless_plain(handle_temp: Update) -> Update:
    """Wrap the search for temporary files that a job was the last to need: there are none among files without a flag."""

    async def look(self: Any, job: Any) -> None:
        if job.is_group() or not all(all(map(is_plain, one.output)) for one in (job, *self._dependencies[job])):
            await handle_temp(self, job)

    return look


def silently(update_ready: Callable[..., bool]) -> Callable[..., bool]:
    """Wrap the search for jobs that can start: without formatting a line for each in a log that is not written."""

    def look(self: Any, jobs: Any = None) -> bool:
        if self._group or logger.isEnabledFor(logging.DEBUG):
            return update_ready(self, jobs)
        waiting = (job for job in (self.needrun_jobs() if jobs is None else jobs) if job not in self._ready_jobs)
        ready = [
            job
            for job in waiting
            if job not in self._running
            and not self.finished(job)
            and self._n_until_ready[job] == 0
            and not job.has_unfinished_queue_input()
        ]
        if any(job.group is not None for job in ready):
            return update_ready(self, jobs)
        self._ready_jobs.update(ready)
        return bool(ready)

    return look


def replace() -> None:
    """Put all that in place."""
    put(
        {
            "snakemake.common:get_function_params": once,
            "snakemake.dag:DAG.init": lambda own: forgetting(own, inputs.KNOWN),
            "snakemake.dag:DAG.update": remembering,
            "snakemake.dag:DAG.update_": sharing,
            "snakemake.dag:DAG.toposorted": layered,
            "snakemake.dag:DAG.handle_temp": unless_plain,
            "snakemake.dag:DAG.update_ready": silently,
            "snakemake.dag:DAG.check_directory_outputs": unless_nested,
            "snakemake.jobs:Job.__init__": sparing,
            "snakemake.jobs:Job.log_info": unless_quiet,
            "snakemake.jobs:Reason.__bool__": instead(is_reason),
            "snakemake.jobs:fmt_iofile": formatted,
        }
    )
