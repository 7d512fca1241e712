# Requires: plan, HEAD. Makes: the same questions about files for runs on a disk and for runs in a bucket (default-storage-provider).
import hashlib
import json

from snakemake.io import IOFile
from snakemake.storage import flag_with_storage_object

from connectomake.planning.freshness import is_stale
from connectomake.planning.infos import info_text, is_info_stale
from connectomake.planning.opening import NAME, leave_plan
from connectomake.planning.stored import SHARED, StoredRun, unshipped
from connectomake.storage.listing import LISTERS, STORES

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


def storage_client():
    """The client of the storage plugin."""
    provider = workflow.storage_registry.default_storage_provider
    return provider.s3c.meta.client if PROVIDER == "s3" else provider.client


def list_objects():
    """List the run's bucket: objects by path, and how to read them."""
    prefix = workflow.storage_settings.default_storage_prefix
    return LISTERS[PROVIDER](storage_client(), prefix, plan.outdir)


def list_storage():
    """List the run's bucket once; None for a storage whose objects have no record that could be read."""
    if PROVIDER not in LISTERS:
        return None
    objects, fetch = list_objects()
    prefix = workflow.storage_settings.default_storage_prefix
    name = hashlib.sha256(f"{prefix}/{plan.outdir}".encode()).hexdigest()[:16]
    cache = f".connectomake/records-{name}.json"
    return StoredRun(objects, fetch, noted_time, cache, f"{plan.outdir}/{SHARED}")


def leave_plan_beside():
    """Leave the plan beside the results, so that a copy of them can be opened alone."""
    try:
        if HEAD and not PROVIDER:
            leave_plan(plan)
        elif (
            HEAD
            and stored is not None
            and f"{plan.outdir}/{NAME}" not in stored.objects
        ):
            prefix = workflow.storage_settings.default_storage_prefix
            text = json.dumps({"plan": plan.to_json()}).encode()
            STORES[PROVIDER](storage_client(), prefix).put(
                f"{plan.outdir}/{NAME}", text
            )
    except (
        Exception
    ) as error:  # of the store's client, or of the disk: the results can be opened by their config
        logger.warning(f"{plan.outdir}/{NAME} could not be written ({error})")


def leave_records():
    """At a good end, leave in the bucket what is known of all objects, so that another head need not read each record."""
    if stored is None:
        return
    try:
        text = stored.summary(list_objects()[0])
        prefix = workflow.storage_settings.default_storage_prefix
        STORES[PROVIDER](storage_client(), prefix).put(f"{plan.outdir}/{SHARED}", text)
    except Exception as error:  # of the store's client: the run itself is done
        logger.warning(
            f"{SHARED} could not be left in the bucket ({error}); another head will read each record"
        )


stored = None
if HEAD and PROVIDER:
    try:
        stored = list_storage()
        for problem in unshipped(plan):
            logger.warning(problem)
    except ConnectomakeError as error:
        raise WorkflowError(str(error)) from None


reports = set(targets.reports.values())  # those made before they had records stay


def is_made_otherwise(path, fingerprint, others=()):
    """Whether a file is there but is damaged or was made with other settings; in a bucket objects are whole or absent."""
    if PROVIDER:
        if stored is None:
            return False
        old = path not in reports and stored.is_stale(path, fingerprint)
        return old or stored.any_empty([path, *others])
    return known_folders.has(path) and is_stale(path, fingerprint, others)


def is_info_otherwise(layer, path):
    """Whether an info file is there but describes another layer."""
    if PROVIDER:
        return stored is not None and stored.is_other_text(path, info_text(plan, layer))
    return is_info_stale(plan, layer, path)


include: "inventory.smk"
