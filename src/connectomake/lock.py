"""One run at a time in a folder of results: a small file that names the run.

Snakemake's own lock lies in the working directory, so two directories that lead to one folder of results, by a link or
``--directory``, do not see each other. Two runs of one directory are left to Snakemake, which lets them be if they make
different files. The lock is made by a hard link, which one of two machines gets on NFS, too.
"""

import contextlib
import json
import os
import socket
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from connectomake.atomic import temporary_name
from connectomake.bounded_text import read_json
from connectomake.errors import RunError
from connectomake.forking import processes

NAME = ".connectomake.lock"
_TRIES = 5


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lock.

    Parameters
    ----------
    host, process
        Name of the machine, number of the process.
    machine, boot, ticks
        Distinguishes it from another process with that number; see `processes`.
    folder
        The working directory, links resolved.
    since
        When it was taken, for people.
    """

    host: str
    process: int
    machine: str
    boot: str
    ticks: int | None
    folder: str
    since: str

    @classmethod
    def here(cls) -> "Holder":
        """Return this process."""
        pid = os.getpid()
        who = (socket.gethostname(), pid, processes.machine(), processes.boot(), processes.ticks(pid))
        return cls(*who, str(Path.cwd().resolve()), time.strftime("%Y-%m-%d %H:%M:%S"))

    def is_gone(self) -> bool:
        """Whether the process is known to have ended; of other machines nothing is known."""
        if self.machine != processes.machine():
            return False
        if self.boot != processes.boot() or not processes.is_alive(self.process):
            return True
        return self.ticks is not None and processes.ticks(self.process) not in (self.ticks, None)


def take(outdir: str) -> bool:
    """Lock a folder of results for this process.

    Returns
    -------
    bool
        Whether it was taken; false if a run of the same working directory holds it.

    Raises
    ------
    RunError
        If a run of another working directory is, or may be, at work there.
    """
    path, ours = Path(outdir, NAME), Holder.here()
    for _ in range(_TRIES):
        if _link(path, ours):
            return True
        holder = held(outdir)
        if holder is not None and not holder.is_gone():
            if (holder.machine, holder.folder) == (ours.machine, ours.folder):
                return False
            raise RunError(in_use(outdir, holder))
        _put_aside(path, holder)
    raise RunError(f"the lock {path} comes and goes: another run starts at the same time; start this one again later")


def release(outdir: str) -> None:
    """Give a lock back, if this very process holds it."""
    holder = held(outdir)
    if holder is not None and (holder.process, holder.machine, holder.ticks) == (
        os.getpid(), processes.machine(), processes.ticks(os.getpid()),
    ):  # fmt: skip
        with contextlib.suppress(OSError):
            Path(outdir, NAME).unlink()


def held(outdir: str) -> Holder | None:
    """Return who holds the lock of a folder; None if nobody does, or the lock is damaged."""
    try:
        return Holder(**read_json(Path(outdir, NAME).read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def in_use(outdir: str, holder: Holder) -> str:
    """Return the sentence on a lock that is held."""
    return (
        f"another run, process {holder.process} on {holder.host} since {holder.since} in {holder.folder}, works on {outdir}: "
        f"wait until it ends or, if it no longer runs, delete {Path(outdir, NAME)}"
    )


def _link(path: Path, ours: Holder) -> bool:
    """Make the lock; false if there is one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_name(path)
    temporary.write_text(json.dumps(asdict(ours)))
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    except OSError:  # a file system without hard links
        return _create(path, temporary.read_bytes())
    finally:
        temporary.unlink(missing_ok=True)
    return True


def _create(path: Path, data: bytes) -> bool:
    try:
        with path.open("xb") as stream:
            stream.write(data)
    except FileExistsError:
        return False
    return True


def _put_aside(path: Path, holder: Holder | None) -> None:
    """Remove the lock of a run that has ended: renamed first, so that one of two that see it gets it."""
    aside = temporary_name(path)
    try:
        path.rename(aside)
    except FileNotFoundError:
        return
    try:
        found = Holder(**read_json(aside.read_bytes()))
    except (OSError, ValueError, TypeError):
        found = None
    if found == holder:
        aside.unlink(missing_ok=True)
    else:  # it was taken meanwhile: put it back
        with contextlib.suppress(OSError):
            os.link(aside, path)
        aside.unlink(missing_ok=True)
