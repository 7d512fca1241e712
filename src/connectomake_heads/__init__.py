"""Who leads a run on a cluster: a small file per run in Snakemake's folder, for the next start after a kill.

Of both executor plugins, and apart from the library: Snakemake imports plugins at each start, also for other workflows.
"""

import contextlib
import json
import os
import socket
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Note:
    """One run: its name in the cluster, where there (a namespace of Kubernetes), and the process that leads it."""

    run: str
    place: str
    host: str
    pid: int
    born: str

    @classmethod
    def own(cls, run: str, place: str) -> "Note":
        """Return the note of a run that this process leads."""
        return cls(run, place, socket.gethostname(), os.getpid(), _born(os.getpid()))

    @property
    def here(self) -> bool:
        """Whether the run was started on this machine."""
        return self.host == socket.gethostname()

    @property
    def alive(self) -> bool:
        """Whether the process that leads it lives; only to be asked for runs of this machine."""
        return bool(self.born) and _born(self.pid) == self.born

    def write(self, folder: Path) -> None:
        """Put the note into a folder, whole or not at all."""
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / f".{self.run}.part"
        part.write_text(json.dumps(asdict(self)))
        part.replace(folder / f"{self.run}.json")

    def remove(self, folder: Path) -> None:
        """Take the note away."""
        (folder / f"{self.run}.json").unlink(missing_ok=True)


def read_notes(folder: Path) -> Iterator[Note]:
    """Yield the notes of all runs that have not ended by themselves."""
    for path in sorted(folder.glob("*.json")):
        with contextlib.suppress(OSError, ValueError, TypeError):
            yield Note(**json.loads(path.read_text()))


def _born(pid: int) -> str:
    """Return when a process started, with the boot it belongs to: a process number alone is used again. Empty: no process."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return _born_elsewhere(pid)
    return "" if fields[0] in "ZX" else f"{boot} {fields[19]}"


def _born_elsewhere(pid: int) -> str:
    """Where there is no /proc: whether there is such a process has to do."""
    if Path("/proc/self/stat").exists():
        return ""
    try:
        os.kill(pid, 0)
    except OSError:
        return ""
    return "alive"
