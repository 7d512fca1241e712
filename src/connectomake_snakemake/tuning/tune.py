"""Install the replacements that a process needs: on the head for the graph of jobs, in a job so that it knows no other."""

import gc
from collections.abc import Callable
from functools import cache
from inspect import signature
from typing import Any, TypeVar

from snakemake.common import overwrite_function_params

from connectomake_snakemake.replaced import instead, replace
from connectomake_snakemake.tuning import folders, is_tried, measures, own_jobs

Function = TypeVar("Function", bound=Callable[..., Any])


def with_params(function: Function) -> Function:
    """Note a function's parameters on it: Snakemake asks for them many times per job, and to work them out takes long."""
    overwrite_function_params(function, signature(function).parameters)
    return function


def cached_get_source(get_source: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap Snakemake's way to a script's text, so that it opens each script once and not for every job."""
    known: dict[tuple[str, Any], Any] = {}

    def look(path: Any, sourcecache: Any, basedir: Any = None, wildcards: Any = None, params: Any = None) -> Any:
        key = (str(path), basedir)
        if "{" in key[0]:
            return get_source(path, sourcecache, basedir, wildcards, params)
        if key not in known:
            known[key] = get_source(path, sourcecache, basedir, wildcards, params)
        return known[key]

    return look


@cache
def shared_guard(kind: Any, name: str) -> Any:  # noqa: ARG001  (which it is made anew for)
    """Give the one guard of a name: Snakemake makes a dozen per job that never differ."""
    return object.__new__(kind)


def tune(workflow: Any) -> folders.Folders:
    """Put in place what this process needs.

    Returns
    -------
    Folders
        What lies in folders, each read once while the head makes the graph.
    """
    known = folders.Folders()
    measures.replace()
    replace({"snakemake.resources:Resource.evaluate": with_params})  # through which Snakemake calls resource functions
    if workflow.is_main_process:
        _tune_head(workflow, known)
    else:
        own_jobs.replace(lambda: workflow.dag_settings.target_jobs)
    return known


def _tune_head(workflow: Any, known: folders.Folders) -> None:
    gc.set_threshold(1_000_000, 50, 100)  # the graph of jobs is large and stays
    replace({"snakemake.iocontainers:AttributeGuard.__new__": instead(staticmethod(shared_guard))})
    replace({"snakemake.script:get_source": cached_get_source})
    replace({"snakemake.sourcecache:SourceCache.exists": cache})
    if not is_tried():
        return
    from connectomake_snakemake.tuning import ending, files, graph, inputs, jobs, lists, resources

    folders.replace(known)
    for part in (files, lists, inputs, jobs, resources, graph):
        part.replace()
    measures.touch_at_once()
    ending.leave_at_end(workflow)
