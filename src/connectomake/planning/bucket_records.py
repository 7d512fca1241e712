"""The files of a run that lie in a bucket: one listing tells what is there, and a file's record is read only when it must be.

A record says with which settings a file was made. Most need no reading: files that Snakemake's notes on this machine know by
their time (Snakemake compares the settings of those itself), and files whose etag is known: their record was read before, or
they stand in the one object in which a head leaves all etags at the end of a run. An etag changes with the bytes, so what is
known by it cannot be outdated; objects with an unknown etag are read.
"""

import json
import subprocess
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from connectomake.atomic import write_json
from connectomake.bounded_text import read_json
from connectomake.errors import LayerError
from connectomake.layers.records import read_record_of
from connectomake.planning.plan import Plan
from connectomake.shell import command
from connectomake.storage.ranges import Fetch, RangedFile
from connectomake.storage.stores import Stored

TAIL = 4096
THREADS = 16
SHARED = "logs/records.json"
RECORDED = (".shard", ".h5", ".pack", ".parquet")
SHIPPED_BYTES = 10_000_000


class BucketRecords:
    """What lies in a bucket of a run.

    Parameters
    ----------
    objects
        By path, as the run names it.
    fetch
        Returns a function that reads ranges of bytes of a path.
    noted
        Returns the time at which Snakemake noted a path as finished, None where it did not.
    cache
        File with the fingerprints that were read before.
    shared
        Path of the object with the fingerprints that a head left there.
    """

    def __init__(
        self,
        objects: Mapping[str, Stored],
        fetch: Callable[[str], Fetch],
        noted: Callable[[str], float | None],
        cache: str | Path,
        shared: str = "",
    ):
        self.objects, self._fetch, self._noted, self._cache = objects, fetch, noted, Path(cache)
        self._shared = shared
        self._expected: dict[str, str] = {}
        self._known: dict[str, str] = self._read_cache()
        self._prefetched = False

    def is_stale(self, path: str, fingerprint: str) -> bool:
        """Return whether an object exists but was made with other or unknown settings."""
        self._expected[path] = fingerprint
        stored = self.objects.get(path)
        if stored is None:
            return False
        if not stored.size:
            return True
        if self._is_noted(path, stored):
            return False
        return self._fingerprint(path, stored) != fingerprint

    def any_empty(self, paths: Iterable[str]) -> bool:
        """Return whether an object is there but empty, which no job of ours leaves; a store keeps no part of an object."""
        return any(path in self.objects and not self.objects[path].size for path in paths)

    def is_other_text(self, path: str, text: str) -> bool:
        """Return whether an object exists but holds another text."""
        stored = self.objects.get(path)
        if stored is None or (stored.size and self._is_noted(path, stored)):
            return False
        return stored.size != len(text.encode()) or self._fetch(path)(0, stored.size) != text.encode()

    def _is_noted(self, path: str, stored: Stored) -> bool:
        """Whether Snakemake's notes are about this very object, and not one that was put in its place since."""
        noted = self._noted(path)
        return noted is not None and abs(noted - stored.time) < 1.5

    def _fingerprint(self, path: str, stored: Stored) -> str:
        if not self._prefetched:
            self._prefetch()
        if stored.etag not in self._known:
            self._known[stored.etag] = self._read(path, stored)
        return self._known[stored.etag]

    def summary(self, objects: Mapping[str, Stored]) -> bytes:
        """Return the etags of all objects by fingerprint, for other heads.

        Parameters
        ----------
        objects
            What the bucket lists at the end of a run; what is new was made with the settings that `is_stale` was asked for.
        """
        before = {stored.etag for stored in self.objects.values()}
        self._known |= {
            stored.etag: self._expected[path]
            for path, stored in objects.items()
            if path in self._expected and stored.etag not in before
        }
        wanted = {path: stored for path, stored in objects.items() if path.endswith(RECORDED)}
        self._learn({path: stored for path, stored in wanted.items() if stored.etag not in self._known})
        found: dict[str, list[str]] = {}
        for stored in wanted.values():
            found.setdefault(self._known[stored.etag], []).append(stored.etag)
        return json.dumps({text: sorted(etags) for text, etags in sorted(found.items())}).encode()

    def _prefetch(self) -> None:
        """Read at once what must be read: the first file that is not noted is seldom the only one."""
        self._prefetched = True
        wanted = {
            path: stored
            for path, stored in self.objects.items()
            if path.endswith(RECORDED) and stored.etag not in self._known and not self._is_noted(path, stored)
        }
        if wanted:
            self._read_shared()
            self._learn({path: stored for path, stored in wanted.items() if stored.etag not in self._known})
            write_json(self._cache, {s.etag: self._known[s.etag] for s in self.objects.values() if s.etag in self._known})

    def _learn(self, wanted: Mapping[str, Stored]) -> None:
        """Read the records of some objects."""
        with ThreadPoolExecutor(THREADS) as pool:
            found = pool.map(self._read, wanted, wanted.values())
            self._known |= {stored.etag: text for stored, text in zip(wanted.values(), found, strict=True)}

    def _read_shared(self) -> None:
        """Learn what another head has left, if it has."""
        stored = self.objects.get(self._shared)
        if stored is None:
            return
        try:
            found = read_json(self._fetch(self._shared)(0, stored.size))
            self._known |= {str(etag): str(text) for text, etags in found.items() for etag in etags}
        except (ValueError, TypeError, AttributeError):
            return  # not ours: the records are read

    def _read(self, path: str, stored: Stored) -> str:
        """Return the fingerprint in an object's record, empty if it has none: one request for its last bytes."""
        stream = RangedFile(stored.size, self._fetch(path), page=TAIL)
        try:
            return str(read_record_of(stream, path).get("fingerprint", ""))
        except LayerError:
            return ""

    def _read_cache(self) -> dict[str, str]:
        try:
            found = read_json(self._cache.read_text())
        except (OSError, ValueError):
            return {}
        return {str(etag): str(text) for etag, text in found.items()} if isinstance(found, dict) else {}


def unshipped(plan: Plan) -> list[str]:
    """Return why pods would not get the model, its weights, the file of a filter, or a table, one sentence each.

    Snakemake ships to jobs without a shared disk what git knows of the working directory, files up to 10 MB. Anything else
    has to be in the image, or on a volume that pods mount, at the same path.
    """
    section = plan.config["inference"] or {}
    paths = [str(section[key]) for key in ("model", "weights") if section.get(key)]
    paths += [str(Path(paths[0]).parent / name) for name in plan.modules]
    paths += [path for step in plan.source.options.filters for path in step.files()]
    paths += [plan.table.path] if plan.table else []
    return [text for path in paths if (text := _why_unshipped(path))]


def _why_unshipped(path: str) -> str | None:
    place = Path(path)
    way_out = "unless the image or a volume has it at this path, jobs cannot read it"
    if place.is_absolute() or ".." in place.parts:
        return f"{path} lies outside the working directory and is not shipped to pods; {way_out}"
    if place.stat().st_size > SHIPPED_BYTES:
        return f"{path} is larger than the 10 MB that Snakemake ships to pods; {way_out}"
    done = subprocess.run(["git", "ls-files", "--error-unmatch", path], capture_output=True, check=False)
    add = command("git", "add", f"./{path}" if path.startswith("-") else path)
    return f"{path} is not under git and is not shipped to pods: `{add}`; {way_out}" if done.returncode else None
