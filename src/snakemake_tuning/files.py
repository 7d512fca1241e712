"""Names of files in the graph of jobs, a dozen per job: most are plain names, and Snakemake keeps three objects for each.

A file of Snakemake is a text, around a text that can be flagged (temp, storage, …), with a dictionary of flags and one of
attributes; and it is wrapped twice. Where there is no flag, the plain text is enough: 4 of the 19 kB of a job, and a fifth of
the time of a dry run. A flag that is set later turns the file into a flagged one as ever.
"""

from typing import Any

from snakemake import io as files
from snakemake.io import AnnotatedString, _IOFile

_applied, _flags_of, _parent = _IOFile.apply_wildcards, _IOFile.flags, _IOFile.get_inventory_parent


class Unset(dict[str, Any]):
    """The flags of a plain file: kept by the file from the first one that is set."""

    __slots__ = ("_file",)

    def __init__(self, file: Any) -> None:
        super().__init__()
        self._file = file

    def _keep(self) -> None:
        if type(self._file._file) is str:
            self._file._file = AnnotatedString(self._file._file)
            self._file._file.flags = self

    def __setitem__(self, key: str, value: Any) -> None:
        self._keep()
        super().__setitem__(key, value)

    def update(self, *args: Any, **values: Any) -> None:
        """Set several flags."""
        self._keep()
        super().update(*args, **values)

    def setdefault(self, key: str, default: Any = None) -> Any:
        """Set a flag unless it is set."""
        self._keep()
        return super().setdefault(key, default)


def apply_wildcards(self: Any, wildcards: Any) -> Any:
    """Return the file with its wildcards filled in, plain if this one is."""
    name = self._file
    if type(name) is str or (type(name) is AnnotatedString and not name._flags and not self._is_callable):
        return _IOFile(files.apply_wildcards(name, wildcards), rule=self.rule)
    return _applied(self, wildcards)


def flags(self: Any) -> Any:
    """Return the flags, which can be set."""
    name = self._file
    if type(name) is AnnotatedString:
        return name._flags
    return Unset(self) if type(name) is str else _flags_of.fget(self)


def is_flagged(self: Any, flag: str) -> bool:
    """Return whether a flag is set, and not to nothing."""
    name = self._file
    if type(name) is str:
        return False
    return bool((name._flags if type(name) is AnnotatedString else _flags_of.fget(self)).get(flag))


def is_storage(self: Any) -> bool:
    """Return whether the file lies in a storage."""
    name = self._file
    return type(name) is not str and files.is_flagged(name, "storage_object")


def get_inventory_parent(self: Any) -> str | None:
    """Return the folder of a file, which Snakemake asks for a dozen times per file."""
    folder = self.rpartition("/")[0]
    if type(self._file) is str and folder not in ("", "..") and folder[-1] != "/":
        return str(folder)
    return _parent(self)  # type: ignore[no-any-return]


def wrap(file: Any, rule: Any = None) -> Any:
    """Return a file of a rule; one that already is one stays as it is."""
    return file if type(file) is _IOFile and file.rule is rule else _IOFile(file, rule=rule)


def replace() -> None:
    """Put all that in place."""
    from snakemake import rules

    _IOFile.apply_wildcards = apply_wildcards
    _IOFile.flags = property(flags)
    _IOFile.is_flagged = is_flagged
    _IOFile.is_storage = property(is_storage)
    _IOFile.get_inventory_parent = get_inventory_parent
    rules.IOFile = wrap
