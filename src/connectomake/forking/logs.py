"""The line of a job's log that says why it failed."""

import os

ERROR_MARK, UNEXPECTED_MARK = "connectomake: error: ", "connectomake: unexpected error"
"""How it begins."""
_TAIL_BYTES = 1 << 16


def last_error(log: str | None) -> str | None:
    """Return the last error that `connectomake.jobs.run` wrote to a log, or None."""
    try:
        with open(log or os.devnull, "rb") as stream:  # noqa: PTH123  (a log may have any name)
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(0, size - _TAIL_BYTES))
            lines = stream.read().decode(errors="replace").splitlines()
    except OSError:
        return None
    for line in reversed(lines):
        for mark in (ERROR_MARK, UNEXPECTED_MARK):
            if line.startswith(mark):
                return line.removeprefix(ERROR_MARK).removeprefix("connectomake: ").strip()
    return None
