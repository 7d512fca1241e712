"""Names of files in the graph of jobs, a dozen per job: most are plain names, and Snakemake keeps three objects for each.

A file of Snakemake is a text, around a text that can be flagged (temp, storage, …), with a dictionary of flags and one of
attributes; and it is wrapped twice. Where there is no flag, the plain text is enough: 4 of the 19 kB of a job, and a fifth of
the time of a dry run. A flag that is set later turns the file into a flagged one as ever.
"""

import functools
from typing import Any

from snakemake import io as files
from snakemake.io import WILDCARD_REGEX, AnnotatedString, WildcardError, _IOFile

from connectomake_snakemake.replaced import instead
from connectomake_snakemake.replaced import replace as put

_applied, _flags_of, _parent, _check = _IOFile.apply_wildcards, _IOFile.flags, _IOFile.get_inventory_parent, _IOFile.check


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


@functools.lru_cache(1 << 12)
def _template(pattern: str) -> tuple[str, tuple[str, ...]]:
    """Return a pattern in the way of ``%``, and the names of the wildcards in it."""
    text, names, last = "", [], 0
    for match in WILDCARD_REGEX.finditer(pattern):
        text += pattern[last : match.start()].replace("%", "%%") + "%s"
        names.append(match["name"])
        last = match.end()
    return text + pattern[last:].replace("%", "%%"), tuple(names)


def filled(pattern: str, wildcards: Any) -> str:
    """Return a pattern with its wildcards filled in.

    Raises
    ------
    WildcardError
        If one has no value.
    """
    if "{" not in pattern:
        return str(pattern)
    text, names = _template(pattern)
    try:
        return text % tuple([wildcards[name] for name in names])
    except KeyError as error:
        raise WildcardError(str(error)) from None


def is_ordinary(name: str) -> bool:
    """Return whether a name is kept as it is by Snakemake, which has nothing to say against it; most are."""
    return not (
        "{" in name or "//" in name or "<" in name or " " in name or "\n" in name or name[:2] == "./" or name[-1:] in ("", "/")
    )


def file_of(name: str, rule: Any) -> Any:
    """Return a file of a rule; an ordinary name is not looked at again."""
    if type(name) is not str or not is_ordinary(name):
        return _IOFile(name, rule=rule)
    file = str.__new__(_IOFile, name)
    file._is_callable, file._file, file.rule = False, name, rule
    file._regex = file._wildcard_constraints = None
    return file


def is_plain(file: Any) -> bool:
    """Return whether a file is of this machine and has no flag."""
    return type(file._file) is str


def apply_wildcards(self: Any, wildcards: Any) -> Any:
    """Return the file with its wildcards filled in, plain if this one is."""
    name = self._file
    if type(name) is str or (type(name) is AnnotatedString and not name._flags and not self._is_callable):
        return file_of(filled(name, wildcards), self.rule)
    return _applied(self, wildcards)


def check(self: Any) -> None:
    """Warn of what is odd about a name."""
    if type(self._file) is not str or not is_ordinary(self._file):
        _check(self)


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
    return file if type(file) is _IOFile and file.rule is rule else file_of(file, rule)


def replace() -> None:
    """Put all that in place."""
    put(
        {
            "snakemake.io:_IOFile.apply_wildcards": instead(apply_wildcards),
            "snakemake.io:_IOFile.check": instead(check),
            "snakemake.io:_IOFile.flags": instead(property(flags)),
            "snakemake.io:_IOFile.is_flagged": instead(is_flagged),
            "snakemake.io:_IOFile.is_storage": instead(property(is_storage)),
            "snakemake.io:_IOFile.get_inventory_parent": instead(get_inventory_parent),
            "snakemake.io:_IOFile.__hash__": instead(str.__hash__),
            "snakemake.io:_IOFile.__eq__": instead(str.__eq__),
            "snakemake.rules:IOFile": instead(wrap),
        }
    )
