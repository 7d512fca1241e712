"""Every attribute of Snakemake and its plugins that the workflow puts something in place of; there are no others.

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
    "inventory": ("self cache", "one listing of the bucket tells all"),
    "get_inventory_parent": ("self", "what a listing has told of"),
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
REPLACED = [
    _snakemake("script:PythonScript.execute_script", "self fname edit", "scripts of the head start in forks, 0.3 s sooner"),
    _snakemake("scheduling.job_scheduler:JobScheduler.update_input_sizes", "self jobs", "a bucket is not asked for sizes"),
    _snakemake("api:print_exception", "ex linemaps", "of errors that come at once the first is told, not all tracebacks"),
    _snakemake("dag:DAG.summary", "self detailed", "workflow/list_jobs.py lists the jobs for a queue in its place"),
    _snakemake("report:ConfigfileRecord.__post_init__", "self configfile", "a report shows no password of a config"),
    *_OF_STORAGE,
]
BY_PLACE = {attribute.place: attribute for attribute in REPLACED}
