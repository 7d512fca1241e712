"""Snakemake takes existence, time and size of all objects from one listing, instead of asking for each object several times.

What defeats the plugins' own inventories: they list the folder of the first object only, yet note the whole bucket as listed,
and in a place where nobody looks, so that missing objects are asked for one by one. Each question is several requests:
the object, the bucket, a listing of what would lie below if it were a folder.
"""

import time
from collections.abc import Callable
from functools import cached_property
from typing import Any

from snakemake_interface_storage_plugins.io import Mtime

from connectomake.storage.google import head_in
from connectomake.storage.refusals import naming
from connectomake.storage.s3 import S3Store
from connectomake.storage.stores import Stored
from connectomake_snakemake.attributes import PLUGINS
from connectomake_snakemake.replaced import Wrap, instead, replace
from connectomake_snakemake.stored_results import StoredResults

SECONDS = 1.0
"""For which an answer of the store counts; a job cannot start and end within."""
Method = Callable[[Any], Any]


def _s3(item: Any) -> S3Store:
    return S3Store(item.bucket, "", None, item.provider.s3c.meta.client)


ASK: dict[str, Callable[[Any], Stored | None]] = {
    "s3": lambda item: _s3(item).head(item.key),
    "gcs": lambda item: head_in(item.bucket, item.key),
}
"""One request each; the plugins' own questions are up to three and up to five."""


class Inventory:
    """The known objects of a run; its functions become methods of the plugin's objects.

    Parameters
    ----------
    results
        The run's.
    ask
        What the store says of an object of the plugin.
    """

    def __init__(self, results: StoredResults, ask: Callable[[Any], Stored | None]) -> None:
        self._results, self._ask = results, ask

    @cached_property
    def root(self) -> str:
        """What the names of all the run's files begin with, as Snakemake's cache has them."""
        return self._results.name(self._results.plan.outdir)

    def note(self, cache: Any) -> None:
        """Note in Snakemake's cache what the listing says of all objects of the run, once."""
        run = self._results.run
        if run is None or self.root in cache.exists_in_storage.has_inventory:
            return
        above = self.root.removesuffix(self._results.plan.outdir)
        for path, found in run.objects.items():
            cache.exists_in_storage[above + path] = True
            cache.mtime[above + path] = Mtime(storage=found.time)
            cache.size[above + path] = found.size
        cache.exists_in_storage.has_inventory.add(self.root)

    def stored(self, item: Any) -> Stored | None:
        """Return what the store says of an object. A job asks once for what is there, the head anew each second."""
        asked, known = getattr(item, "_answer", (0.0, None))
        recent = time.monotonic() - asked < SECONDS
        if not recent and (self._results.head or known is None):
            known = self._ask(item)
            item._answer = time.monotonic(), known
        return known

    def wraps(self, provider: str) -> dict[str, Wrap]:
        """Return what is put in place of the methods of a plugin's objects, by their names."""

        async def inventory(item: Any, cache: Any) -> None:  # noqa: ARG001  (all objects at once)
            self.note(cache)

        said = {
            "inventory": instead(inventory),
            "get_inventory_parent": instead(lambda item: self.root),  # noqa: ARG005
            "exists": instead(_telling(lambda item: self.stored(item) is not None)),
            "mtime": instead(lambda item: self.stored(item).time),  # type: ignore[union-attr]
            "size": instead(lambda item: self.stored(item).size),  # type: ignore[union-attr]
            "store_object": lambda own: _telling(_forgetting(own)),
            "retrieve_object": _telling,
            "remove": lambda own: _telling(_forgetting(own)),
        }
        if provider == "s3":  # no target is a folder; the bucket has been listed, and is not deleted when it is empty
            said |= {"is_dir": instead(lambda item: False), "bucket_exists": instead(lambda item: True)}  # noqa: ARG005
            said["remove"] = instead(_telling(_forgetting(lambda item: _s3(item).delete(item.key))))
        else:
            said |= {"is_directory": instead(lambda item: False)}  # noqa: ARG005
            said |= {"ensure_bucket_exists": instead(lambda item: None)}  # noqa: ARG005
        return said


def _telling(method: Method) -> Method:
    """Wrap what asks the store: where it refuses, the error names the object and the way out."""

    def ask(item: Any) -> Any:
        with naming(item.query, item.local_path()):
            return method(item)

    return ask


def _forgetting(method: Method) -> Method:
    """Wrap what changes an object: what was known of it counts no more."""

    def change(item: Any) -> Any:
        item._answer = 0.0, None
        return method(item)

    return change


def first_of_group(print_exception: Callable[..., None]) -> Callable[..., None]:
    """Wrap Snakemake's way to print an error: of a group, which several questions raise, it would print all tracebacks."""

    def show(error: BaseException, linemaps: Any = None) -> None:
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        print_exception(error, linemaps)

    return show


async def count_inputs(scheduler: Any, jobs: Any) -> None:
    """Weigh ready jobs by their number of inputs; Snakemake would ask the store for each one's size, every round."""
    scheduler._input_sizes.update({path: 1 for job in jobs for path in job.input})


def take_inventory(results: StoredResults, warn: Callable[[str], object]) -> None:
    """Let a plugin's objects answer from the run's listing, or from one request; those of other plugins do not change."""
    if results.provider not in ASK:
        return
    replace({"snakemake.scheduling.job_scheduler:JobScheduler.update_input_sizes": instead(count_inputs)}, warn)
    replace({"snakemake.api:print_exception": first_of_group}, warn)
    wraps = Inventory(results, ASK[results.provider]).wraps(results.provider)
    replace({f"{PLUGINS[results.provider]}:StorageObject.{name}": wrap for name, wrap in wraps.items()}, warn)
