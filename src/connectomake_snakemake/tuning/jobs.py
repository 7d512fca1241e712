"""Queries about single jobs, made for each of them, answered without Snakemake's temporary or cached objects.

All of it is for jobs whose files lie on this machine and have no flag; others are asked as ever.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import chain
from typing import Any

from snakemake.exceptions import ProtectedOutputException, WildcardError

from connectomake_snakemake.replaced import instead
from connectomake_snakemake.replaced import replace as put
from connectomake_snakemake.tuning.files import file_of, filled, is_ordinary, is_plain

SAME_FEW = 4
"""Outputs among which one is found by looking at each."""


def measured(job: Any) -> Any:
    """Return the file of measurements of a job, or None; it is not kept."""
    pattern = job.rule.benchmark
    if job._benchmark is not None or not pattern or type(pattern._file) is not str:
        return job.benchmark
    return file_of(filled(pattern._file, job.wildcards_dict), job.rule)


def valid(is_valid: Callable[[Any], None]) -> Callable[[Any], None]:
    """Wrap the check of a job's log and file of measurements: their names are enough for it."""

    def check(self: Any) -> None:
        rule = self.rule
        patterns = [*rule.log, rule.benchmark] if rule.benchmark else rule.log
        try:
            if all(type(p._file) is str and is_ordinary(filled(p._file, self.wildcards_dict)) for p in patterns):
                return
        except WildcardError:
            pass
        is_valid(self)

    return check


def missing(missing_output: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap the search for outputs that are not there: needs no dictionary of the job's outputs."""

    async def look(self: Any, requested: Any) -> AsyncIterator[Any]:
        for file in requested:
            own = next((f for f in self.output if f == file), None) if len(self.output) <= SAME_FEW else None
            if own is None or not is_plain(own):
                async for found in missing_output(self, [file]):
                    yield found
            elif not await own.exists_local():
                yield own

    return look


def oldest(output_mintime: property) -> property:
    """Wrap the search for the oldest output: one after the other, for all are on this machine."""

    async def look(self: Any) -> Any:
        measurements = measured(self)
        files = [*self.output, measurements] if measurements else self.output
        if not all(map(is_plain, files)):
            return await output_mintime.fget(self)  # type: ignore[misc]
        return min([(await file.mtime()).local_or_storage() for file in files if await file.exists_local()], default=None)

    return property(look)


def protected(check_protected_output: Callable[[Any], Awaitable[None]]) -> Callable[[Any], Awaitable[None]]:
    """Wrap the search for outputs that may not be written, in the same way."""

    async def check(self: Any) -> None:
        if not all(map(is_plain, self.output)):
            await check_protected_output(self)
            return
        found = [file for file in self.output if await file.protected()]
        if found:
            raise ProtectedOutputException(self, found)

    return check


async def mtime_inventory(self: Any, jobs: Any, n_workers: int = 8) -> None:  # noqa: ARG001
    """Note when each file that is there was changed: each is looked at once, and only those of this machine, as ever."""
    seen = set()
    for job in jobs:
        measurements = measured(job)
        for file in chain(job.input, job.output, [measurements] if measurements else ()):
            if file not in seen:
                seen.add(file)
                if not file.is_storage and await file.exists_local() and file not in self.mtime:
                    self.mtime[file] = await self.collect_mtime(file)


def cache_job(self: Any, job: Any) -> None:
    """Note which job makes its outputs; that of a log is found by its wildcards, should one be asked for."""
    for file in job.output or job.products():
        self.job_cache[job.rule, file] = job


def none_incomplete(filter_keys: Callable[..., set[str]]) -> Callable[..., set[str]]:
    """Wrap the search for files that a killed run left half written: where it left none, no name needs to be encoded."""

    def look(self: Any, keys: Any) -> set[str]:
        return filter_keys(self, () if self._incomplete_cache == NONE else keys)

    return look


NONE: set[str] = set()


def replace() -> None:
    """Put all that in place."""
    put(
        {
            "snakemake.jobs:Job.is_valid": valid,
            "snakemake.jobs:Job.missing_output": missing,
            "snakemake.jobs:Job.output_mintime": oldest,
            "snakemake.jobs:Job.check_protected_output": protected,
            "snakemake.io:IOCache.mtime_inventory": instead(mtime_inventory),
            "snakemake.dag:DAG.cache_job": instead(cache_job),
            "snakemake.persistence.file:FilePersistence._filter_incomplete_keys": none_incomplete,
        }
    )
