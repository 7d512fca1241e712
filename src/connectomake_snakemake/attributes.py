"""The complete list of attributes of Snakemake and its plugins that the workflow replaces.

A test names those that are gone or take other parameters, whenever a lock file moves on; then look at what is put in their
place, and add the version here.
"""

from connectomake_snakemake.replaced import Attribute

SNAKEMAKE = ("9.27.",)
PLUGINS = {"s3": "snakemake_storage_plugin_s3", "gcs": "snakemake_storage_plugin_gcs"}
"""Modules of storage plugins, by the names that Snakemake gives them."""
_PLUGINS_TRIED = {"s3": ("0.3.",), "gcs": ("1.1.",)}


def _snakemake(place: str, parameters: str | None, why: str) -> Attribute:
    return Attribute(f"snakemake.{place}", None if parameters is None else tuple(parameters.split()), why, SNAKEMAKE)


_OBJECT = {
    "inventory": ("self cache", "one listing of the bucket has all objects"),
    "get_inventory_parent": ("self", "answered from the listing"),
    "exists": ("self", "one request and not three; an error names the object"),
    "mtime": ("self", "from the same answer"),
    "size": ("self", "from the same answer"),
    "store_object": ("self", "an error names the object and the way out"),
    "retrieve_object": ("self", "an error names the object and the way out"),
    "remove": ("self", "an error names the object; S3: an empty bucket is not deleted"),
}
_OF_PLUGIN = {
    "s3": {
        "is_dir": ("self", "no target is a folder: nothing is listed to see that"),
        "bucket_exists": ("self", "the bucket has been listed: nothing is asked for"),
    },
    "gcs": {
        "is_directory": ("self", "no target is a folder: nothing is listed to see that"),
        "ensure_bucket_exists": ("self", "the bucket has been listed: nothing is asked for"),
    },
}
_OF_STORAGE = [
    Attribute(f"{module}:StorageObject.{name}", tuple(parameters.split()), why, _PLUGINS_TRIED[plugin])
    for plugin, module in PLUGINS.items()
    for name, (parameters, why) in (_OBJECT | _OF_PLUGIN[plugin]).items()
]
_TUNING = [
    # names of files in the graph of jobs: plain where there is no flag
    _snakemake("io:_IOFile.apply_wildcards", "self wildcards", "a file without flags is a plain text"),
    _snakemake("io:_IOFile.check", "self", "an ordinary name is not looked at again"),
    _snakemake("io:_IOFile.flags", "self", "a plain file gets flags with the first that is set"),
    _snakemake("io:_IOFile.is_flagged", "self flag", "a plain file has no flag"),
    _snakemake("io:_IOFile.is_storage", "self", "a plain file lies in no storage"),
    _snakemake("io:_IOFile.get_inventory_parent", "self", "asked for a dozen times per file"),
    _snakemake("io:_IOFile.__hash__", "self", "a file is its name: as fast as a text in the thousand sets that hold it"),
    _snakemake("io:_IOFile.__eq__", "self other", "the same"),
    _snakemake("io:_IOFile.exists_local", "self", "a folder is read once, where each file was asked for twice"),
    _snakemake("rules:IOFile", "file rule", "a file of the rule stays as it is"),
    # what a job has
    _snakemake("iocontainers:AttributeGuard.__new__", "args kwargs", "a dozen per job never differ: one of each name"),
    _snakemake(
        "iocontainers:Namedlist.__init__",
        "self toclone fromdict plainstr strip_constraints custom_map",
        "what guards the methods of lists is shared",
    ),
    _snakemake(
        "iocontainers:Namedlist._set_name", "self name index end", "which names may be given is worked out once for each"
    ),
    _snakemake("jobs:Job.__init__", "self rule dag wildcards_dict format_wildcards targetfile groupid", "empty sets are one"),
    _snakemake("jobs:Job.is_valid", "self", "the names of log and measurements are enough for the check"),
    _snakemake("jobs:Job.missing_output", "self requested", "looked for without a dictionary of the job's outputs"),
    _snakemake("jobs:Job.output_mintime", "self", "one file after the other, for plain files are on this machine"),
    _snakemake("jobs:Job.check_protected_output", "self", "one file after the other, for plain files are on this machine"),
    _snakemake("jobs:Job.log_info", "self indent printshellcmd", "what will not be said is not put into words"),
    _snakemake(
        "jobs:Job.postprocess",
        "self store_in_storage handle_log handle_touch error ignore_missing_output check_output_mtime",
        "what is measured of a job is no result: it may be missing",
    ),
    _snakemake("jobs:Reason.__bool__", "self", "sets that were never filled are not made to be asked"),
    _snakemake("jobs:fmt_iofile", "f as_input as_output", "a file without a flag is its name"),
    _snakemake("rules:Rule.expand_input", "self wildcards groupid", "a file that jobs of the same rule read is made once"),
    _snakemake(
        "rules:Rule.expand_params",
        "self wildcards input output job omit_callable",
        "no lists of files for functions that ask for none",
    ),
    _snakemake("rules:Rule.expand_resources", "self wildcards input attempt skip_evaluation", "once per rule and attempt"),
    _snakemake("jobs:AbstractJob._get_scheduler_resources", "self", "once per rule and attempt"),
    _snakemake("jobs:Job.add_aux_resource", "self name value", "a job that is given more shares no resources any more"),
    _snakemake("resources:Resource.evaluate", "self args kwargs", "its own, with its parameters noted: asked for per job"),
    _snakemake("common:get_function_params", "func", "once for each function"),
    _snakemake("script:get_source", "path sourcecache basedir wildcards params", "each script is opened once, not per job"),
    _snakemake("sourcecache:SourceCache.exists", "self source_file", "asked once for each file"),
    # the graph
    _snakemake("dag:DAG.init", "self progress", "what was remembered while it was made is forgotten"),
    _snakemake(
        "dag:DAG.update",
        "self jobs file visited known_producers progress create_inventory",
        "the job that makes a file is remembered once it is found",
    ),
    _snakemake("dag:DAG.update_", "self job visited known_producers progress create_inventory", "one set for both directions"),
    _snakemake(
        "dag:DAG.toposorted", "self jobs inherit_pipe_dependencies", "counts what a job waits for, where there are no pipes"
    ),
    _snakemake("dag:DAG.handle_temp", "self job", "there is no temporary file among plain ones"),
    _snakemake("dag:DAG.update_ready", "self jobs", "without a line for each job in a log that nobody writes"),
    _snakemake("dag:DAG.check_directory_outputs", "self", "looks at pairs only where an output is a folder"),
    _snakemake("dag:DAG.cache_job", "self job", "only outputs are noted; a log's job is found by its wildcards"),
    _snakemake("io:IOCache.mtime_inventory", "self jobs n_workers", "each file is looked at once"),
    _snakemake(
        "persistence.file:FilePersistence._filter_incomplete_keys",
        "self keys",
        "no name is encoded where no file is left half written",
    ),
    _snakemake("output_index:OutputIndex.match_producers", "self targetfile", "a job of a cluster knows its own job only"),
    _snakemake("executors.touch:Executor.SLEEPING_TIME", None, "--touch does not sleep 0.1 s before each job"),
]
REPLACED = [
    _snakemake("script:PythonScript.execute_script", "self fname edit", "scripts of the head start in forks, 0.3 s sooner"),
    _snakemake("scheduling.job_scheduler:JobScheduler.update_input_sizes", "self jobs", "a bucket is not asked for sizes"),
    _snakemake("api:print_exception", "ex linemaps", "of simultaneous errors only the first is printed, not all tracebacks"),
    _snakemake("dag:DAG.summary", "self detailed", "workflow/list_jobs.py lists the jobs for a queue in its place"),
    _snakemake("report:ConfigfileRecord.__post_init__", "self configfile", "a report shows no password of a config"),
    *_TUNING,
    *_OF_STORAGE,
]
BY_PLACE = {attribute.place: attribute for attribute in REPLACED}
