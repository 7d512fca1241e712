"""Which files are there, while the head makes the graph of jobs: a folder is read once, where each file was asked for twice."""

import os
from collections import Counter
from typing import Any

from connectomake_snakemake.replaced import replace as put

ENOUGH = 32
"""Questions about files of one folder before it is read as a whole; it may hold a million files, and one be asked for."""


class Folders:
    """What lies in folders, as it was when they were first asked about."""

    def __init__(self) -> None:
        self._asked: Counter[str] = Counter()
        self._read: dict[str, tuple[frozenset[str], frozenset[str]] | None] = {}

    def lists(self, path: str) -> bool | None:
        """Return whether a file is there; None for what only the system knows: links, and folders that few have asked about."""
        folder, _, name = path.rpartition("/")
        if folder not in self._read:
            self._asked[folder] += 1
            if self._asked[folder] < ENOUGH or not folder:
                return None
            self._read[folder] = _read(folder)
        listed = self._read[folder]
        return None if listed is None or name in listed[1] else name in listed[0]

    def has(self, path: str) -> bool:
        """Return whether anything lies at a path, also a link to nothing."""
        listed = self.lists(path)
        return os.path.lexists(path) if listed is None else listed


def _read(folder: str) -> tuple[frozenset[str], frozenset[str]] | None:
    try:
        with os.scandir(folder) as entries:
            found = {entry.name: entry.is_symlink() for entry in entries}
    except (FileNotFoundError, NotADirectoryError):
        found = {}
    except OSError:  # may be entered, but not listed
        return None
    return frozenset(found), frozenset(name for name, is_link in found.items() if is_link)


def asking(folders: Folders, exists_local: Any) -> Any:
    """Wrap Snakemake's check for a file, while it makes the graph: the listing of the folder already answers it."""

    async def look(self: Any) -> bool:
        plain = self.rule.workflow.iocache.active and type(self._file) is str
        listed = folders.lists(self._file) if plain else None
        return bool(await exists_local(self)) if listed is None else listed

    return look


def replace(folders: Folders) -> None:
    """Put that in place."""
    put({"snakemake.io:_IOFile.exists_local": lambda own: asking(folders, own)})
