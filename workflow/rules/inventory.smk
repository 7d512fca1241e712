# Requires: storage.smk, which has listed the run's bucket. Makes: Snakemake takes existence, time and size of all objects from
# that one listing, instead of asking for each object several times.
#
# What defeats the s3 plugin's own inventory: it lists the folder of the first object only, yet notes the whole bucket as listed,
# and in a place where nobody looks, so that missing objects are asked for one by one. Each question is up to three requests:
# the object, the bucket, a listing of what would lie below if it were a folder.
from functools import cache as once

from snakemake_interface_storage_plugins.io import Mtime


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


def head_of(self):
    """One request for all that is known of an object; a job asks once, the head anew each time, as others write objects."""
    known = getattr(self, "_known_head", None)
    if known is None:
        known = self.provider.s3c.meta.client.head_object(
            Bucket=self.bucket, Key=self.key
        )
        self._known_head = None if HEAD else known
    return known


def exists(self):
    try:
        head_of(self)
    except ClientError as error:
        if error.response["Error"]["Code"] in {"404", "NoSuchKey"}:
            return False
        raise
    return True


def storing(store_object):
    """Forget what was known of an object when it is stored anew."""

    def store(self):
        self._known_head = None
        return store_object(self)

    return store


def remove(self):
    """Delete the object; the plugin would then delete the bucket, too, if it were empty."""
    self._known_head = None
    self.provider.s3c.meta.client.delete_object(Bucket=self.bucket, Key=self.key)


if PROVIDER in {"s3", "gcs"}:
    OBJECT = workflow.storage_registry.default_storage_provider.get_storage_object_cls()
    OBJECT.inventory = inventory
    OBJECT.get_inventory_parent = get_inventory_parent

if PROVIDER == "s3":
    from botocore.exceptions import ClientError

    OBJECT.exists = exists
    OBJECT.mtime = lambda self: head_of(self)["LastModified"].timestamp()
    OBJECT.size = lambda self: head_of(self)["ContentLength"]
    OBJECT.is_dir = lambda self: False  # no target is a folder
    OBJECT.bucket_exists = lambda self: True  # it has been listed
    OBJECT.store_object = storing(OBJECT.store_object)
    OBJECT.remove = remove
