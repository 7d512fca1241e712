# Requires: plan, HEAD. Makes: the same questions about files for runs on a disk and for runs in a bucket (default-storage-provider).
import hashlib

from snakemake.io import IOFile
from snakemake.storage import flag_with_storage_object

from connectomake.planning.freshness import is_stale
from connectomake.planning.infos import info_text, is_info_stale
from connectomake.planning.stored import StoredRun, list_gs, list_s3, unshipped

PROVIDER = workflow.storage_settings.default_storage_provider


def stored_name(path):
    """The name under which Snakemake knows a file of the run."""
    return str(stored_object(path).local_path()) if PROVIDER else path


def stored_object(path):
    """The object of the default storage that a path stands for."""
    prefix = workflow.storage_settings.default_storage_prefix.rstrip("/")
    return workflow.storage_registry.default_storage_provider.object(f"{prefix}/{path}")


def noted_time(path):
    """When Snakemake noted a file as finished, or None."""
    file = IOFile(flag_with_storage_object(path, stored_object(path)))
    record = workflow.persistence.metadata(file)
    return None if record is None or record.incomplete else record.endtime


def list_storage():
    """List the run's bucket once; None for a storage whose objects have no record that could be read."""
    lister = {"s3": list_s3, "gcs": list_gs}.get(PROVIDER)
    if lister is None:
        return None
    provider = workflow.storage_registry.default_storage_provider
    client = provider.s3c.meta.client if PROVIDER == "s3" else provider.client
    prefix = workflow.storage_settings.default_storage_prefix
    objects, fetch = lister(client, prefix, plan.outdir)
    name = hashlib.sha256(f"{prefix}/{plan.outdir}".encode()).hexdigest()[:16]
    return StoredRun(objects, fetch, noted_time, f".connectomake/records-{name}.json")


stored = None
if HEAD and PROVIDER:
    try:
        stored = list_storage()
        for problem in unshipped(plan):
            logger.warning(problem)
    except ConnectomakeError as error:
        raise WorkflowError(str(error)) from None


def is_made_otherwise(path, fingerprint):
    """Whether a file is there but was made with other settings."""
    if PROVIDER:
        return stored is not None and stored.is_stale(path, fingerprint)
    return is_stale(path, fingerprint)


def is_info_otherwise(layer, path):
    """Whether an info file is there but describes another layer."""
    if PROVIDER:
        return stored is not None and stored.is_other_text(path, info_text(plan, layer))
    return is_info_stale(plan, layer, path)


include: "inventory.smk"
