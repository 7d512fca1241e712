# Requires: storage.smk, which has listed the run's bucket. Makes: Snakemake takes existence, time and size of all objects from
# that one listing, instead of asking for each object several times.
#
# What defeats the plugins' own inventories: they list the folder of the first object only, yet note the whole bucket as listed,
# and in a place where nobody looks, so that missing objects are asked for one by one. Each question is several requests:
# the object, the bucket, a listing of what would lie below if it were a folder.
import time
from functools import cache as once

import snakemake.api
from snakemake.scheduling.job_scheduler import JobScheduler
from snakemake_interface_storage_plugins.io import Mtime

from connectomake.storage.google import GoogleStore
from connectomake.storage.refusals import naming
from connectomake.storage.s3 import S3Store


@once
def root_of_run():
    """What the names of all the run's files begin with, as Snakemake's cache has them."""
    return stored_name(plan.outdir)


async def inventory(self, cache):
    """Note what the listing says of all objects of the run, once."""
    root = root_of_run()
    if not HEAD or root in cache.exists_in_storage.has_inventory:
        return
    above = root.removesuffix(plan.outdir)
    for path, found in stored.objects.items():
        cache.exists_in_storage[above + path] = True
        cache.mtime[above + path] = Mtime(storage=found.time)
        cache.size[above + path] = found.size
    cache.exists_in_storage.has_inventory.add(root)


def get_inventory_parent(self):
    """Of what this object is known once it has been listed."""
    return root_of_run()


SECONDS = (
    1.0  # for which an answer of the store counts; a job cannot start and end within
)


def answer(self):
    """What the store says of an object, None if it is not there. A job asks once for what is there, the head anew each second."""
    asked, known = getattr(self, "_answer", (0.0, None))
    recent = time.monotonic() - asked < SECONDS
    if not recent and (HEAD or known is None):
        known = ASK[PROVIDER](self)
        self._answer = time.monotonic(), known
    return known


def ask_s3(self):
    """One request; the plugin's own question is up to three."""
    return S3Store(self.bucket, "", None, self.provider.s3c.meta.client).head(self.key)


def ask_gcs(self):
    """One request; the plugin's own question is up to five."""
    return GoogleStore(self.bucket.name, "", self.provider.client).head(self.key)


def telling(method):
    """Wrap what asks the store: where it refuses, the error names the object and the way out."""

    def ask(self):
        with naming(self.query, self.local_path()):
            return method(self)

    return ask


def first_of_group(print_exception):
    """Wrap Snakemake's way to print an error: of a group, which several questions at once raise, it would print all tracebacks."""

    def show(error, linemaps=None):
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        print_exception(error, linemaps)

    return show


def forgetting(method):
    """Wrap what changes an object: what was known of it counts no more."""

    def change(self):
        self._answer = 0.0, None
        return method(self)

    return change


def remove_s3(self):
    """Delete the object; the plugin would then delete the bucket, too, if it were empty."""
    S3Store(self.bucket, "", None, self.provider.s3c.meta.client).delete(self.key)


ASK = {"s3": ask_s3, "gcs": ask_gcs}


async def count_inputs(self, jobs):
    """What the scheduler weighs ready jobs by: their number of inputs; it would ask the store for each one's size, every round."""
    self._input_sizes.update({path: 1 for job in jobs for path in job.input})


if PROVIDER in ASK:
    JobScheduler.update_input_sizes = count_inputs
    snakemake.api.print_exception = first_of_group(snakemake.api.print_exception)
    OBJECT = workflow.storage_registry.default_storage_provider.get_storage_object_cls()
    OBJECT.inventory = inventory
    OBJECT.get_inventory_parent = get_inventory_parent
    OBJECT.exists = telling(lambda self: answer(self) is not None)
    OBJECT.mtime = lambda self: answer(self).time
    OBJECT.size = lambda self: answer(self).size
    OBJECT.is_dir = OBJECT.is_directory = lambda self: False  # no target is a folder
    OBJECT.bucket_exists = lambda self: True  # it has been listed
    OBJECT.ensure_bucket_exists = lambda self: None
    OBJECT.store_object = telling(forgetting(OBJECT.store_object))
    OBJECT.retrieve_object = telling(OBJECT.retrieve_object)

if PROVIDER == "s3":
    OBJECT.remove = remove_s3

if PROVIDER in ASK:
    OBJECT.remove = telling(forgetting(OBJECT.remove))
