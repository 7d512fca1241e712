"""The record of sources seen before: the files of a path with marks and checksums, and the contents known by a fingerprint.

::

    .connectomake/sources/place-HASH.json     where a source lies: size, times, inode of each file, its checksum if it was read
    .connectomake/sources/content-HASH.json   of a cheap fingerprint: every content that was met with it, what each is called

A ledger that is missing or damaged is no error: the source is then looked at as for the first time.
"""

import contextlib
import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from connectomake.atomic import canonical_json, write_text
from connectomake.bounded_text import read_json

FOLDER = ".connectomake/sources"
FORMAT = 1


@dataclass(frozen=True)
class Place:
    """What was last seen at a place.

    Parameters
    ----------
    place
        Where, for people.
    cheap
        The cheap fingerprint.
    identity
        What the content was called in plans.
    first
        What the first content that was seen here was called.
    content
        Checksum of the whole content; None if it was never read as a whole.
    files
        By name: mark and checksum. An empty mark fits none; a checksum is None if the file was never read.
    rest
        Checksum of the files beyond those that are looked at each time; "" if there are none or they were never read.
    changed
        Names of the files that differed when the content last became another.
    """

    place: str
    cheap: str
    identity: str
    first: str
    content: str | None = None
    files: Mapping[str, tuple[tuple[int | str, ...], str | None]] = field(default_factory=dict)
    rest: str = ""
    changed: tuple[str, ...] = ()

    @property
    def read(self) -> bool:
        """Whether every file's checksum is known."""
        return self.content is not None


@dataclass(frozen=True)
class Ledger:
    """The notes, in a folder.

    Parameters
    ----------
    folder
        Where they lie; it is made when something is noted. Where that is not permitted nothing is kept.
    """

    folder: Path = Path(FOLDER)

    def place(self, key: str) -> Place | None:
        """Return what is noted of a place, None if nothing is."""
        value = self._load(f"place-{_short(key)}.json")
        try:
            files = {name: (tuple(mark), digest) for name, (mark, digest) in value.pop("files").items()}
            return Place(**{**value, "files": files, "changed": tuple(value["changed"])})
        except (KeyError, TypeError, ValueError, AttributeError):
            return None

    def keep(self, key: str, place: Place) -> None:
        """Note what is at a place."""
        self._store(f"place-{_short(key)}.json", asdict(place))

    def contents(self, cheap: str) -> dict[str, str]:
        """Return the contents met with a cheap fingerprint: what each checksum is called."""
        found = self._load(f"content-{_short(cheap)}.json").get("contents")
        return {str(k): str(v) for k, v in found.items()} if isinstance(found, dict) else {}

    def keep_contents(self, cheap: str, contents: Mapping[str, str]) -> None:
        """Note the contents of a cheap fingerprint."""
        self._store(f"content-{_short(cheap)}.json", {"cheap": cheap, "contents": dict(contents)})

    def names(self) -> list[str]:
        """Return every name that a content has, the newest note first: what a run's results may have been made from."""
        notes = sorted(self.folder.glob("*.json"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
        found: dict[str, None] = {}
        for value in map(self._load, (path.name for path in notes)):
            some = value.get("contents")
            several = some.values() if isinstance(some, dict) else ()
            found |= {str(text): None for text in (value.get("identity"), value.get("first"), *several) if text}
        return list(found)

    def _load(self, name: str) -> dict[str, Any]:
        try:
            value = read_json((self.folder / name).read_text())
        except (OSError, ValueError):
            return {}
        if not isinstance(value, dict) or value.pop("format", None) != FORMAT:
            return {}
        return value

    def _store(self, name: str, value: Mapping[str, Any]) -> None:
        text = canonical_json({"format": FORMAT, **value})
        with contextlib.suppress(OSError, ValueError):
            if (self.folder / name).read_text() == text:
                return
        with contextlib.suppress(OSError):
            write_text(self.folder / name, text)


def _short(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:16]
