# Requires: nothing. Makes: signed. What Snakemake works out anew for every job, here once: half the time of a dry run of many blocks.
import gc
from functools import cache
from inspect import signature

import snakemake.script
from snakemake.common import overwrite_function_params
from snakemake.iocontainers import AttributeGuard
from snakemake.resources import Resource

from snakemake_tuning import folders, is_tried, measures, own_jobs
from snakemake_tuning.resources import same_at_first, same_for_all


def signed(function):
    """Note a function's parameters on it: Snakemake asks for them many times per job, and to work them out takes long."""
    overwrite_function_params(function, signature(function).parameters)
    return function


def remembered(get_source):
    """Wrap Snakemake's way to a script's text, so that it opens each script once and not for every job."""
    known = {}

    def look(path, sourcecache, basedir=None, wildcards=None, params=None):
        key = (str(path), basedir)
        if "{" in key[0]:
            return get_source(path, sourcecache, basedir, wildcards, params)
        if key not in known:
            known[key] = get_source(path, sourcecache, basedir, wildcards, params)
        return known[key]

    return look


@cache
def shared_guard(kind, name):
    """Give the one guard of a name: Snakemake makes a dozen per job that never differ."""
    return object.__new__(kind)


known_folders = folders.Folders()
measures.replace()
signed(Resource.evaluate)  # through which Snakemake calls resource functions

if workflow.is_main_process:
    AttributeGuard.__new__ = staticmethod(shared_guard)
    gc.set_threshold(1_000_000, 50, 100)  # the graph of jobs is large and stays
    snakemake.script.get_source = remembered(snakemake.script.get_source)
    workflow.sourcecache.exists = cache(workflow.sourcecache.exists)
    if is_tried():
        from snakemake_tuning import (
            ending,
            files,
            graph,
            inputs,
            jobs,
            lists,
            resources,
        )

        folders.replace(known_folders)
        for part in (files, lists, inputs, jobs, resources, graph):
            part.replace()
        measures.touch_at_once()
        ending.leave_at_end(workflow)
else:
    own_jobs.replace(lambda: workflow.dag_settings.target_jobs)
