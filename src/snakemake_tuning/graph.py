"""The graph of jobs on the head: what Snakemake looks up again for each edge, and sets that stay empty."""

import functools
from collections.abc import Awaitable, Callable
from typing import Any

Update = Callable[..., Awaitable[Any]]
NOTHING: frozenset[Any] = frozenset()
SAME = "_same_for_all"
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

    Most edges are one file, and then its set stands for all jobs that read it.
    """

    async def add(self: Any, job: Any, **others: Any) -> None:
        if job in self._dependencies:
            return
        await update_(self, job, **others)
        needs, alone = self._dependencies[job], self.__dict__.setdefault("_files_alone", {})
        for other, found in needs.items():
            files = alone.setdefault(next(iter(found)), found) if len(found) == 1 else found
            needs[other] = self.depending[other][job] = files

    return add


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


def as_before(expand: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap what works out memory, time, … of a job: once for each rule and attempt, where these are the same for all jobs."""
    from snakemake.iocontainers import ResourceList

    known: dict[Any, dict[str, Any]] = {}

    def look(self: Any, wildcards: Any, input: Any, attempt: int, skip_evaluation: Any = None) -> Any:  # noqa: A002
        key = self, attempt, frozenset(skip_evaluation or ())
        if key not in known:
            found = expand(self, wildcards, input, attempt, skip_evaluation=skip_evaluation)
            if not all(map(_is_same_for_all, self.resources.values())):
                return found
            known[key] = dict(found.items())
        return ResourceList(fromdict=known[key])

    return look


def _is_same_for_all(resource: Any) -> bool:
    """Return whether a resource is a number, or follows from the attempt alone; see `same_for_all`."""
    temporary = resource.name == "tmpdir" and resource.raw == "system_tmpdir"
    return temporary or not resource.is_evaluable() or getattr(resource._evaluator, SAME, False)


def same_for_all(function: Callable[..., Any]) -> Callable[..., Any]:
    """Note that a function for resources gives the same for all jobs of its rule at the same attempt."""
    setattr(function, SAME, True)
    return function


def unless_quiet(log_info: Callable[..., None]) -> Callable[..., None]:
    """Wrap what tells of a job: a dry run that is to say nothing of jobs need not put into words what it will not say."""
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


def replace() -> None:
    """Put all that in place."""
    from snakemake import common, jobs, rules
    from snakemake.dag import DAG

    common.get_function_params = once(common.get_function_params)

    DAG.update = remembering(DAG.update)
    DAG.update_ = sharing(DAG.update_)
    DAG.check_directory_outputs = unless_nested(DAG.check_directory_outputs)
    jobs.Job.__init__ = sparing(jobs.Job.__init__)
    jobs.Job.log_info = unless_quiet(jobs.Job.log_info)
    rules.Rule.expand_resources = as_before(rules.Rule.expand_resources)
    jobs.Reason.__bool__ = is_reason
    jobs.fmt_iofile = formatted(jobs.fmt_iofile)
