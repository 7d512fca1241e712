"""Checksums of whole files: several threads, little memory, so that a petabyte takes as long as the disk.

A file is cut into pieces of 64 MiB; its checksum is that of its size and of the checksums of its pieces, so that the threads
share one large file as well as many small ones.
"""

import hashlib
import itertools
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from connectomake.errors import SourceError
from connectomake.sources.identity import Item, mark_of
from connectomake.storage.ranges import RangedFile

PIECE = 1 << 26
READ = 1 << 20
THREADS = min(8, os.cpu_count() or 1)
WAITING = 4 * THREADS
SAID_AFTER = 5.0

Progress = Callable[[int, int], None]
"""Takes bytes read and bytes in all."""


def hash_items(items: Iterable[Item], progress: Progress | None = None) -> Iterator[str]:
    """Yield the checksum of each file, in order.

    Raises
    ------
    SourceError
        If a file cannot be read, or is written to meanwhile.
    """
    files = list(items)
    total, done = sum(item.size for item in files), 0
    with ThreadPoolExecutor(THREADS) as pool:
        pieces = ((item, start) for item in files for start in _starts(item))
        parts: list[bytes] = []
        for item, start, digest in _in_order(pool, pieces):
            parts.append(digest)
            done += min(item.size - start, PIECE)
            if progress is not None:
                progress(done, total)
            if start == _starts(item)[-1]:
                yield _joined(item, parts)
                parts = []


def joined(named: Iterable[tuple[str, str]]) -> str:
    """Return the checksum of a set of files from names and checksums of each."""
    digest = hashlib.blake2b(digest_size=16)
    for name, text in sorted(named):
        digest.update(f"{name}\0{text}\0".encode())
    return digest.hexdigest()


def said(what: str, seconds: float = SAID_AFTER) -> Progress:
    """Return a function of (done, total) bytes that writes a line to stderr every so many seconds."""
    began = time.monotonic()
    last = began

    def report(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < seconds:
            return
        last = now
        left = (now - began) / max(done, 1) * (total - done)
        sys.stderr.write(f"reading {what} for its checksum: {done / 1e9:.1f} of {total / 1e9:.1f} GB, {left:.0f} s to go\n")
        sys.stderr.flush()

    return report


def _starts(item: Item) -> range:
    return range(0, max(item.size, 1), PIECE)


def _in_order(pool: ThreadPoolExecutor, pieces: Iterable[tuple[Item, int]]) -> Iterator[tuple[Item, int, bytes]]:
    """Hash pieces in several threads, a few ahead of the one that is asked for."""
    waiting: deque[tuple[Item, int, Future[bytes]]] = deque()
    left = iter(pieces)
    while True:
        for item, start in itertools.islice(left, WAITING - len(waiting)):
            waiting.append((item, start, pool.submit(_hash_piece, item, start)))
        if not waiting:
            return
        done, at, future = waiting.popleft()
        yield done, at, future.result()


def _hash_piece(item: Item, start: int) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    stop = min(start + PIECE, item.size)
    try:
        if isinstance(item.place, RangedFile):
            for at in range(start, stop, READ):
                digest.update(item.place.fetch(at, min(at + READ, stop)))
            return digest.digest()
        _add_file(digest, item.place, start, stop)
    except OSError as error:
        raise SourceError(
            f"{item.place} cannot be read ({error.strerror or error}); copy it again or permit reading"
        ) from error
    return digest.digest()


def _add_file(digest: "hashlib.blake2b", path: Path, start: int, stop: int) -> None:
    buffer = memoryview(bytearray(READ))
    with path.open("rb", buffering=0) as stream:
        stream.seek(start)
        while start < stop and (count := stream.readinto(buffer[: min(READ, stop - start)])):
            digest.update(buffer[:count])
            start += count
    if start < stop:
        raise SourceError(f"{path} became shorter while it was read; wait until writing has finished, then start again")


def _joined(item: Item, parts: list[bytes]) -> str:
    """Return a file's checksum; it must not have been written to while it was read."""
    if isinstance(item.place, Path) and mark_of(item.place.stat()) != item.mark:
        raise SourceError(f"{item.place} was written to while it was read; wait until writing has finished, then start again")
    digest = hashlib.blake2b(str(item.size).encode(), digest_size=16)
    for part in parts:
        digest.update(part)
    return digest.hexdigest()
