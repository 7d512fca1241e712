"""Wait for a job's process, and renew its lease meanwhile."""

import os
import select
import signal
import time
from types import FrameType

from connectomake.errors import QueueError
from connectomake.forking.fork import ExitStatus, end
from connectomake.queueing.messages import Drawn
from connectomake.queueing.queues import Queue

RENEWALS = 3
"""How often a lease is renewed within its time, so that a failed renewal is not the end of it."""


class Stop:
    """Notes SIGINT and SIGTERM, and wakes whoever waits."""

    def __init__(self) -> None:
        self.number = 0
        self.reads, self._writes = os.pipe()
        os.set_blocking(self._writes, False)

    def watch(self) -> None:
        """Take over the signals of this process."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        self.number = number
        os.write(self._writes, b"x")

    def sleep(self, seconds: float) -> None:
        """Wait so long, or until a signal comes."""
        if not self.number:
            select.select([self.reads], [], [], seconds)


def watch(pid: int, alive: int, queue: Queue, drawn: Drawn, seconds: int, stop: Stop) -> tuple[ExitStatus, str | None]:
    """Wait for a process and renew the lease of what it makes; end it when this process is asked to stop.

    Parameters
    ----------
    pid, alive
        The process, and a descriptor that reads as closed once it has ended.
    queue, drawn, seconds
        Whose lease is renewed, for so many seconds.
    stop
        Reports signals.

    Returns
    -------
    Ended, str or None
        How the process ended; why the lease could not be renewed the last time.
    """
    started, lease_error = time.monotonic(), None
    next_renewal = started + seconds / RENEWALS
    while not stop.number:
        readable, _, _ = select.select([alive, stop.reads], [], [], max(next_renewal - time.monotonic(), 0))
        if alive in readable:
            break
        if time.monotonic() >= next_renewal:
            lease_error = _renew(queue, drawn, seconds)
            next_renewal = time.monotonic() + seconds / RENEWALS
    if stop.number:
        end(pid, alive)
    os.close(alive)
    _, status, usage = os.wait4(pid, 0)
    return ExitStatus.of(status, usage, time.monotonic() - started), lease_error


def _renew(queue: Queue, drawn: Drawn, seconds: int) -> str | None:
    try:
        queue.renew(drawn, seconds)
    except QueueError as error:
        return str(error)
    return None
