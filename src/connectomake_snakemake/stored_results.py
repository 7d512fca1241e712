"""The files of a run in a bucket, which is listed once."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

from snakemake.io import IOFile

from connectomake.planning.bucket_records import SHARED, BucketRecords
from connectomake.planning.opening import NAME
from connectomake.planning.plan import Plan
from connectomake.storage.google import GoogleStore
from connectomake.storage.listing import LISTERS, STORES, Listed
from connectomake.storage.s3 import S3Store
from connectomake_snakemake.results import Folders, Results


class StoredResults(Results):
    """The files of a run in a bucket, where objects are whole or absent; see `Results`.

    Parameters
    ----------
    unrecorded
        Files whose kind had no record once: those stay.
    """

    def __init__(self, workflow: Any, plan: Plan, folders: Folders, logger: Any, unrecorded: Iterable[str]) -> None:
        super().__init__(workflow, plan, folders, logger)
        self.provider = str(workflow.storage_settings.default_storage_provider)
        self._prefix = str(workflow.storage_settings.default_storage_prefix)
        self._unrecorded = frozenset(unrecorded)
        self.run = self._listed() if self.head else None
        """What the bucket lists; None in a job, and for a storage whose objects have no record that could be read."""

    @cached_property
    def _registered(self) -> Any:
        """The provider as Snakemake has registered it."""
        return self.workflow.storage_registry.default_storage_provider

    def _object(self, path: str) -> Any:
        """Return the object of the default storage that a path stands for."""
        return self._registered.object(f"{self._prefix.rstrip('/')}/{path}")

    def name(self, path: str) -> str:
        """See `Results`."""
        return str(self._object(path).local_path())

    def _noted_time(self, path: str) -> float | None:
        """Return when Snakemake noted a file as finished, or None."""
        from snakemake.storage import flag_with_storage_object  # not before snakemake.workflow

        file = IOFile(flag_with_storage_object(path, self._object(path)))
        record = self.workflow.persistence.metadata(file)
        return None if record is None or record.incomplete else record.endtime

    @property
    def _client(self) -> Any:
        """The client of the storage plugin."""
        return self._registered.s3c.meta.client if self.provider == "s3" else self._registered.client

    @property
    def _store(self) -> S3Store | GoogleStore:
        return STORES[self.provider](self._client, self._prefix)

    def _list(self) -> Listed:
        return LISTERS[self.provider](self._client, self._prefix, self.plan.outdir)

    def _listed(self) -> BucketRecords | None:
        """List the run's bucket once."""
        if self.provider not in LISTERS:
            return None
        objects, fetch = self._list()
        name = hashlib.sha256(f"{self._prefix}/{self.plan.outdir}".encode()).hexdigest()[:16]
        cache = f".connectomake/records-{name}.json"
        return BucketRecords(objects, fetch, self._noted_time, cache, f"{self.plan.outdir}/{SHARED}")

    def is_made_otherwise(self, path: str, fingerprint: str, others: Sequence[str] = ()) -> bool:
        """See `Results`."""
        if self.run is None:
            return False
        old = path not in self._unrecorded and self.run.is_stale(path, fingerprint)
        return old or self.run.any_empty([path, *others])

    def is_other_text(self, path: str, text: str) -> bool:
        """See `Results`."""
        return self.run is not None and self.run.is_other_text(path, text)

    def _leave_plan(self) -> None:
        path = f"{self.plan.outdir}/{NAME}"
        if self.run is not None and path not in self.run.objects:
            self._store.put(path, json.dumps({"plan": self.plan.to_json()}).encode())

    def leave_records(self) -> None:
        """At a good end, leave in the bucket what is known of all objects, so that another head need not read each record."""
        if self.run is None:
            return
        try:
            text = self.run.summary(self._list()[0])
            self._store.put(f"{self.plan.outdir}/{SHARED}", text)
        except Exception as error:  # of the store's client: the run itself is done
            self._logger.warning(
                f"{SHARED} could not be left in the bucket ({error}); another head will have to read each record"
            )
