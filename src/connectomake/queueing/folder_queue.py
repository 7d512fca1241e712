"""A folder as a queue, in the layout of ``fq://`` of task-queue: one file per message, named by when its lease ends.

``queue/TIME--ID.json`` is a message; a TIME in the past can be drawn. To lease is to rename, so one worker alone succeeds.
Messages are written elsewhere (``incoming``) and renamed, so that none is drawn half-written. Beside them: ``draws/ID``, a byte
for each time that a message was drawn; ``refused/ID``, why a worker left it to others; ``aside/…/message``, what is no message,
with its ``reason.json``.

Anything may lie in the folder: files of other names, unreadable ones, folders, links, pipes. Hidden files are left alone:
network file systems keep deleted files that are still open as ``.nfs…``.
"""

import contextlib
import itertools
import os
import random
import re
import shutil
import socket
import stat
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from connectomake.atomic import write_json
from connectomake.errors import QueueError
from connectomake.queueing import dead_letters
from connectomake.queueing.messages import LARGEST_BYTES, Drawn, OthersTaskError, Refusals, envelope, read_message
from connectomake.queueing.queues import SHOWN, Queue, explained

LONGEST_LEASE = 7 * 86400
"""No worker leases for more seconds; a name that says so was not made by one."""
_NAME = re.compile(r"([0-9]{1,11})--([0-9A-Za-z][0-9A-Za-z_-]{0,99})\.json")
_LISTED = 250
_SECONDS_BETWEEN_LOOKS = 0.2


class FolderQueue(Queue):
    """A folder; see the module.

    Parameters
    ----------
    url
        As the user wrote it.
    folder
        The folder; it is made if it is not there.
    """

    waits = False

    def __init__(self, url: str, folder: Path) -> None:
        super().__init__(url)
        self._messages, self._incoming, self._draws, self._refusals, self._aside = (
            folder / name for name in ("queue", "incoming", "draws", "refused", "aside")
        )
        for place in (self._messages, self._incoming, self._draws, self._refusals):
            place.mkdir(parents=True, exist_ok=True)
        self._stuck: set[str] = set()
        self._leased: dict[str, str] = {}

    def _put(self, bodies: list[dict[str, Any]], at_once: int) -> int:  # noqa: ARG002
        for body in bodies:
            ident = str(uuid.uuid4())
            place = self._incoming / f"{ident}.json"
            with place.open("x") as stream:
                stream.write(envelope(body, ident))
                stream.flush()
                os.fsync(stream.fileno())
            place.rename(self._messages / f"0--{ident}.json")
        return len(bodies)

    def _names(self) -> Iterator[str]:
        with os.scandir(self._messages) as entries:
            yield from (entry.name for entry in entries if not entry.name.startswith("."))

    def _draw(self, seconds: int, wait: int) -> Drawn | None:
        end = time.monotonic() + wait
        while True:
            found = self._draw_now(seconds)
            left = end - time.monotonic()
            if found is not None or left <= 0:
                return found
            time.sleep(min(left, _SECONDS_BETWEEN_LOOKS))

    def _draw_now(self, seconds: int) -> Drawn | None:
        names = self._names()
        while batch := list(itertools.islice(names, _LISTED)):
            random.shuffle(batch)  # or else all workers would try for the same
            for name in batch:
                found = None if name in self._stuck else self._try(name, seconds)
                if found is not None:
                    return found
        return None

    def _try(self, name: str, seconds: int) -> Drawn | None:
        """Lease the message of a name; None if it is leased, refused or gone."""
        message = _NAME.fullmatch(name)
        if message is None:
            return Drawn(name, None, 0, "its name is not that of a message, TIME--ID.json", key=name)
        until, ident, now = int(message[1]), message[2], int(time.time())
        if ident in self.refused or now < until <= now + LONGEST_LEASE:
            return None
        leased = f"{now + seconds}--{ident}.json"
        try:
            (self._messages / name).rename(self._messages / leased)
        except FileNotFoundError:
            return None
        except OSError as error:
            if not os.access(self._messages, os.W_OK):
                raise
            return Drawn(name, None, 0, f"it cannot be leased ({error.strerror})", key=name)
        self._leased[ident] = leased
        return self._read(leased, ident)

    def _read(self, name: str, ident: str) -> Drawn | None:
        try:
            data = read_plain_file(self._messages / name)
            return Drawn(ident, read_message(data, ident), self._count(ident), key=ident)
        except FileNotFoundError:
            return None
        except OSError as error:
            return Drawn(ident, None, 0, f"it cannot be read ({error.strerror})", key=ident)
        except QueueError as error:
            return Drawn(ident, None, 0, str(error), isinstance(error, OthersTaskError), ident)

    def _count(self, ident: str) -> int:
        """Note a draw; return how many there were."""
        for _ in range(2):
            try:
                flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
                with os.fdopen(os.open(self._draws / ident, flags, 0o666), "ab") as stream:
                    stream.write(b"x")
                    return stream.tell()
            except OSError:  # something else lies there
                _remove(self._draws / ident)
        return 1

    def _places(self, ident: str) -> Iterator[Path]:
        """Yield where a message should lie, then where it lies if its lease has run out."""
        if ident in self._leased:
            yield self._messages / self._leased[ident]
        for name in list(self._names()):
            message = _NAME.fullmatch(name)
            if name == ident or (message and message[2] == ident):
                yield self._messages / name

    def _renew(self, drawn: Drawn, seconds: int) -> None:
        name = f"{int(time.time()) + seconds}--{drawn.id}.json"
        for place in self._places(drawn.id):
            try:
                place.rename(self._messages / name)
            except FileNotFoundError:
                continue
            self._leased[drawn.id] = name
            return
        raise QueueError(f"a task is no longer in the queue {self.url}; was it purged?")

    def _finish(self, drawn: Drawn) -> None:
        for place in self._places(drawn.id):
            try:
                place.unlink()
                break
            except FileNotFoundError:
                continue
        self._forget(drawn.id)

    def _forget(self, ident: str) -> None:
        self._leased.pop(ident, None)
        for folder in (self._draws, self._refusals):
            _remove(folder / ident)

    def _set_aside(self, drawn: Drawn, reason: str) -> None:
        for place in self._places(drawn.id):
            try:
                dead_letters.keep(self._aside, place, reason)
            except FileNotFoundError:
                continue
            except OSError as error:
                self._stuck.add(place.name)
                raise QueueError(
                    f"{place} cannot be put aside ({error.strerror}); remove it. It is not a message: {reason}"
                ) from error
            self._forget(drawn.id)
            return

    def _refuse(self, drawn: Drawn, reason: str) -> None:
        with contextlib.suppress(OSError):  # notes only
            if drawn.draws > 0:  # this draw was no try
                os.truncate(self._draws / drawn.id, drawn.draws - 1)
            write_json(self._refusals / drawn.id, {"reason": reason, "host": socket.gethostname()})
        self._renew(drawn, 0)

    def counts(self) -> tuple[int, int]:
        """Return how many messages wait, and how many are leased."""
        waiting = leased = 0
        now = int(time.time())
        with explained(self.url):
            for name in self._names():
                message = _NAME.fullmatch(name)
                if message is None or message[2] in self.refused or name in self._stuck:
                    continue
                if now < int(message[1]) <= now + LONGEST_LEASE:
                    leased += 1
                else:
                    waiting += 1
        return waiting, leased

    def aside(self) -> Refusals:
        """Return what was put aside."""
        with explained(self.url):
            return dead_letters.listed(self._aside, SHOWN)

    def left_to_others(self) -> Refusals:
        """Return what a worker refused and still lies in the queue."""
        with explained(self.url):
            there = {message[2] for name in self._names() if (message := _NAME.fullmatch(name))}
            notes = sorted(note for note in self._refusals.iterdir() if note.name in there)
            reasons = [(note.name, dead_letters.reason_in(note)) for note in notes[:SHOWN]]
            return Refusals(len(notes), reasons, str(self._messages))

    def purge(self) -> None:
        """Delete all messages, those put aside too."""
        with explained(self.url):
            for folder in (self._messages, self._incoming, self._draws, self._refusals):
                _empty(folder)
            if (movement := self._messages.with_name("movement")).is_dir():  # of task-queue's own tool
                _empty(movement)
        self.purge_aside()

    def purge_aside(self) -> None:
        """Delete the messages put aside."""
        with explained(self.url):
            if self._aside.is_dir():
                _empty(self._aside)


def read_plain_file(path: Path) -> bytes:
    """Return the content of a small plain file; links are not followed, pipes not waited for.

    Raises
    ------
    QueueError
        If it is something else, or too large.
    OSError
        If it cannot be read.
    """
    mode = path.lstat().st_mode
    if not stat.S_ISREG(mode):
        kinds = ((stat.S_ISDIR, "a folder"), (stat.S_ISLNK, "a link"), (stat.S_ISFIFO, "a pipe"))
        kind = next((name for test, name in kinds if test(mode)), "no file")
        raise QueueError(f"it is {kind}, not a file")
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as stream:
        data = stream.read(LARGEST_BYTES + 1)
    if len(data) > LARGEST_BYTES:
        raise QueueError(f"it has more than the {LARGEST_BYTES:,} bytes that a message may have")
    return data


def _empty(folder: Path) -> None:
    for place in list(folder.iterdir()):
        if not place.name.startswith("."):
            _remove(place)


def _remove(path: Path) -> None:
    """Remove a file, a link or a folder, if it is there and may be removed."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
