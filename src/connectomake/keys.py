"""Config keys in error messages: the code that raises knows the key, its caller the section or option that it belongs to."""

import contextlib
import shlex
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Section:
    """The keys of an image or of labels in the config.

    Parameters
    ----------
    name
        Of the section, such as ``source``.
    others
        Keys that stand elsewhere, or are called otherwise.
    """

    name: str = "source"
    others: Mapping[str, str] = field(default_factory=dict)

    def write(self, key: str, value: Any = None) -> str:
        """Return a key as the user writes it, with a value if one is given."""
        written = self.others.get(key, f"{self.name}.{key}")
        return written if value is None else f"{written}: {value}"


class Options(Section):
    """The same as options of a command, which end in the name, if there is one: ``--missing-gt``, ``--missing``."""

    def write(self, key: str, value: Any = None) -> str:
        """Return an option as the user writes it, with a value if one is given."""
        written = self.others.get(key, f"--{key.replace('_', '-')}{self.name and '-'}{self.name}")
        values = [] if value is None else value if isinstance(value, list) else [value]
        return " ".join([written, *(shlex.quote(str(v)) for v in values)])


_SOURCE = Section()
_section: ContextVar[Section] = ContextVar("section", default=_SOURCE)


def key(name: str, value: Any = None) -> str:
    """Return a key of what is being opened or read, as the user writes it: ``source.missing: fill``, ``--missing-gt fill``."""
    return _section.get().write(name, value)


def current() -> Section:
    """Return the section whose keys are named now."""
    return _section.get()


@contextlib.contextmanager
def naming(section: Section) -> Iterator[None]:
    """Let `key` name the keys of a section."""
    token = _section.set(section)
    try:
        yield
    finally:
        _section.reset(token)
