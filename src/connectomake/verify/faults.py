"""Faults found by verification: for each its kind, and a sentence that names the file and what to do."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from connectomake.errors import ConnectomakeError, OtherSettingsError
from connectomake.os_errors import is_transient, storage_error

Kind = Literal["missing", "damaged", "refused", "settings", "source", "future"]


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault.

    Parameters
    ----------
    path
        The file.
    text
        A sentence that names file and way out; empty if another fault's sentence speaks for it.
    kind
        ``missing``; ``damaged``: it cannot be used; ``refused``: the machine or its file server does not let us read it today;
        ``settings``: it is whole, but made with other settings than the config's; ``source``: it is whole, but made from other
        voxels than its source holds now; ``future``: it is whole, but dated in the future.
    also
        Further files, any of which may be the faulty one.
    """

    path: str
    text: str
    kind: Kind
    also: tuple[str, ...] = ()


@dataclass
class VerifyReport:
    """The result of verification.

    Parameters
    ----------
    checked
        Number of files looked at.
    faults
        In the order in which they were found.
    notes
        What is no fault but worth knowing.
    """

    checked: int = 0
    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def problems(self) -> list[str]:
        """One sentence per fault, or for several of one kind."""
        return [fault.text for fault in self.faults if fault.text]

    def add(self, path: str, error: Exception, also: Iterable[str] = ()) -> None:
        """Note what is wrong with a file, whatever was raised while it was read."""
        text = sentence(path, error)
        kind: Kind = "settings" if isinstance(error, OtherSettingsError) else "refused" if is_transient(error) else "damaged"
        self.faults.append(Fault(path, text if path in text else f"{path}: {text}", kind, tuple(also)))


def sentence(path: str, error: Exception) -> str:
    """Return why a file cannot be used, and the way out."""
    if is_folder(path):
        return f"{path} is a folder where a file should be; move it away and rerun"
    if isinstance(error, ConnectomakeError):
        return str(error)
    if is_transient(error):
        return str(storage_error(path, error))
    if isinstance(error, PermissionError):
        return f"{path} cannot be read ({error.strerror or error}); make it readable, or delete it and rerun"
    reason = " ".join(str(error).split()) or type(error).__name__
    return f"{path} cannot be read ({reason}); delete it and rerun"


def is_folder(path: str) -> bool:
    """Whether there is a folder; False if that cannot be found out."""
    try:
        return Path(path).is_dir()
    except OSError:
        return False


def exists(path: str) -> bool:
    """Whether anything is there, links followed; False if that cannot be found out."""
    try:
        return Path(path).exists()
    except OSError:
        return False
