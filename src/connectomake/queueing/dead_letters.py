"""Dead letters of a folder queue: a folder for each, with the message (``message``) and the reason (``reason.json``)."""

import json
import os
import socket
import time
import uuid
from pathlib import Path

from connectomake.atomic import write_json
from connectomake.queueing.messages import Refusals

_READ = 1 << 16


def keep(folder: Path, place: Path, reason: str) -> None:
    """Move a file, or whatever it is, to a new folder of its own, and note the reason beside it.

    Raises
    ------
    FileNotFoundError
        If it is gone: another worker was faster.
    OSError
        If it cannot be moved.
    """
    os.lstat(place)
    home = folder / f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{uuid.uuid4().hex[:8]}"
    name = os.fsencode(place.name).decode(errors="backslashreplace")
    write_json(home / "reason.json", {"name": name, "reason": reason, "host": socket.gethostname(), "time": int(time.time())})
    try:
        place.rename(home / "message")
    except OSError:
        (home / "reason.json").unlink()
        home.rmdir()
        raise


def listed(folder: Path, shown: int) -> Refusals:
    """Return how many things were put aside, and the names and reasons of the first."""
    try:
        found = sorted(place for place in folder.iterdir() if os.path.lexists(place / "message"))
    except FileNotFoundError:
        found = []
    reasons = [
        (_text(place / "reason.json", "name") or place.name, reason_in(place / "reason.json")) for place in found[:shown]
    ]
    return Refusals(len(found), reasons, str(folder))


def reason_in(path: Path) -> str:
    """Return the reason that a note gives, whatever the file holds."""
    return _text(path, "reason") or "no reason was noted"


def _text(path: Path, key: str) -> str:
    try:
        with path.open("rb") as stream:
            value = json.loads(stream.read(_READ))
        text = str(value[key])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ""
    return "".join(c if c.isprintable() else "?" for c in text)[:500]
