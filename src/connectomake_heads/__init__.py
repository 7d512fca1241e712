"""The head process of a run on a cluster: a small file per run in Snakemake's folder, for the next start after a kill.

Of both executor plugins, and apart from the library: Snakemake imports plugins at each start, also for other workflows.
"""

import json
import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


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
        """Atomically put the note into a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / f".{self.run}.part"
        part.write_text(json.dumps(asdict(self)))
        part.replace(folder / f"{self.run}.json")

    def remove(self, folder: Path) -> None:
        """Take the note away."""
        (folder / f"{self.run}.json").unlink(missing_ok=True)


def read_notes(folder: Path, unread: Callable[[str, str], Any] | None = None) -> Iterator[Note]:
    """Yield the notes of all runs that have not ended by themselves.

    Parameters
    ----------
    folder
        Of the notes.
    unread
        Called with the name of a run whose note is not valid, and the reason as a sentence without its full stop; the file
        is set aside.
    """
    for path in sorted(folder.glob("*.json")):
        try:
            yield _note(path)
        except FileNotFoundError:  # another start took it away
            continue
        except (OSError, ValueError, RecursionError) as error:
            text = f"the note {path} of run {path.stem} cannot be read ({error}){_set_aside(path, error)}"
            if unread is not None:
                unread(path.stem, text)


def _note(path: Path) -> Note:
    """Read one note; those of the first versions call the place ``namespace``. Fields of later versions are left out."""
    found = json.loads(path.read_text())
    values = {"place": found.get("namespace"), **found} if isinstance(found, dict) else {}
    kinds = {"run": str, "place": str, "host": str, "pid": int, "born": str}
    wrong = [name for name, kind in kinds.items() if type(values.get(name)) is not kind]
    if wrong:
        raise ValueError(f"its field {wrong[0]!r} is {values.get(wrong[0])!r}")
    if values["run"] != path.stem:
        raise ValueError(f"it is of run {values['run']!r}")
    return Note(**{name: values[name] for name in kinds})


def _set_aside(path: Path, error: Exception) -> str:
    """Rename what is no note; what only cannot be read now stays. Return what was done, for the sentence."""
    if isinstance(error, OSError):
        return ""
    aside = path.with_name(f"{path.name}.unread")
    try:
        path.replace(aside)
    except OSError:
        return ""
    return f" and was set aside as {aside.name}"


def _born(pid: int) -> str:
    """Return when a process started, with the boot it belongs to: a process number alone is used again. Empty: no process."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return _born_elsewhere(pid)
    return "" if fields[0] in "ZX" else f"{boot} {fields[19]}"


def _born_elsewhere(pid: int) -> str:
    """Without /proc: only whether there is such a process."""
    if Path("/proc/self/stat").exists():
        return ""
    try:
        os.kill(pid, 0)
    except OSError:
        return ""
    return "alive"
