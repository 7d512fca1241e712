"""Memory, time and other resources of jobs: worked out once for all jobs of a rule for which they are the same."""

import os
from collections.abc import Callable
from typing import Any

from snakemake.iocontainers import ResourceList

from connectomake_snakemake.replaced import replace as put

SAME, SAME_AT_FIRST = "_same_for_all", "_same_at_first"


def same_for_all(function: Callable[..., Any]) -> Callable[..., Any]:
    """Note that a function for resources gives the same for all jobs of its rule at the same attempt."""
    setattr(function, SAME, True)
    return function


def same_at_first(function: Callable[..., Any]) -> Callable[..., Any]:
    """Note that it does so while a job's first input is not there."""
    setattr(function, SAME_AT_FIRST, True)
    return function


class Known:
    """Results by rule, attempt, what is left for later, and whether the first input exists."""

    def __init__(self) -> None:
        self.lists: dict[Any, ResourceList] = {}
        self.dicts: dict[Any, dict[str, Any]] = {}
        self.shared: set[int] = set()
        self.alone: set[str] = set()
        """Rules whose jobs are given more resources one by one, and so share none."""
        self.dropped: list[ResourceList] = []

    def expanding(self, expand: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap what works out the resources of a job."""

        def look(rule: Any, wildcards: Any, input: Any, attempt: int, skip_evaluation: Any = None) -> Any:  # noqa: A002
            later = frozenset(skip_evaluation or ())
            waits = bool(input) and not os.path.lexists(input[0])
            key = rule.name, attempt, later, waits
            if key in self.lists:
                return self.lists[key]
            found = expand(rule, wildcards, input, attempt, skip_evaluation=skip_evaluation)
            if rule.name not in self.alone and all(_is_same(resource, waits) for resource in rule.resources.values()):
                self.lists[key] = found
                self.shared.add(id(found))
            return found

        return look

    def scheduling(self, for_scheduler: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap what reports them to the scheduler."""

        def look(job: Any) -> Any:
            if job._scheduler_resources is not None or job.is_group():
                return for_scheduler(job)
            resources = job.resources
            if id(resources) not in self.shared:
                return for_scheduler(job)
            key = id(resources), job.is_local
            if key not in self.dicts:
                self.dicts[key] = for_scheduler(job)
            job._scheduler_resources = self.dicts[key]
            return self.dicts[key]

        return look

    def adding(self, add: Callable[..., None]) -> Callable[..., None]:
        """Wrap what gives one job more resources: its rule shares none any more."""

        def more(job: Any, name: str, value: Any) -> None:
            self.alone.add(job.rule.name)
            for key in [key for key in self.lists if key[0] == job.rule.name]:
                self.dropped.append(self.lists.pop(key))  # other jobs have it, so its id stays its own
            add(job, name, value)

        return more


def _is_same(resource: Any, waits: bool) -> bool:
    if not resource.is_evaluable() or (resource.name == "tmpdir" and resource.raw == "system_tmpdir"):
        return True
    function = resource._evaluator
    return getattr(function, SAME, False) or (waits and getattr(function, SAME_AT_FIRST, False))


def replace() -> None:
    """Put all that in place."""
    known = Known()
    put(
        {
            "snakemake.rules:Rule.expand_resources": known.expanding,
            "snakemake.jobs:AbstractJob._get_scheduler_resources": known.scheduling,
            "snakemake.jobs:Job.add_aux_resource": known.adding,
        }
    )
