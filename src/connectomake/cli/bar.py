"""A progress bar with the time to go: on terminals a bar, in logs a line now and then."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import TypeAlias

ProgressCallback: TypeAlias = Callable[[int, int], None]
"""Takes how many are done and of how many."""

SECONDS_BETWEEN_LINES = 10.0


@contextlib.contextmanager
def bar(what: str) -> Iterator[ProgressCallback]:
    """Show progress on stderr while the block runs.

    Parameters
    ----------
    what
        What is counted.
    """
    if not sys.stderr.isatty():
        yield _lines(what)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TextColumn("left:"), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(what, total=None)
        yield lambda done, total: shown.update(task, completed=done, total=total)


def _lines(what: str) -> ProgressCallback:
    started = written = time.monotonic()

    def report(done: int, total: int) -> None:
        nonlocal written
        now = time.monotonic()
        if now - written >= SECONDS_BETWEEN_LINES and done:
            written = now
            left = (now - started) / done * (total - done)
            print(f"{what}: {done:,} of {total:,}, {left:.0f} s to go", file=sys.stderr, flush=True)

    return report
