"""Start Snakemake for one job of a cluster with no plugins but those that the job needs.

    python workflow/start_job.py -m snakemake …

Snakemake imports every plugin that is installed at each start; the clusters' own (pandas, Kubernetes' client) take half a
second of CPU time, and a job submits nothing. The head puts this program before the command of each job, see
connectomake_snakemake.cluster. So do clients of stores that the reader of Snakefiles could read from (a job's lie on a disk,
or were brought there), what writes reports, and what reads notebooks; and, half a second more, the database that Snakemake
can keep its records in: the head keeps them, a job at most reads one.
"""

import copy
import pkgutil
import sys
from collections.abc import Callable, Iterator
from importlib import util
from types import ModuleType
from typing import Any, ClassVar, Self

NEVER = "snakemake_executor_plugin_"
UNLESS_NAMED = "snakemake_storage_plugin_"
NOT_HERE = ("smart_open.azure", "smart_open.gcs", "smart_open.s3", "smart_open.ssh", "snakemake.report")
LATER = ("requests",)
KEEPS_RECORDS = ("--persistence-backend", "--immediate-submit")


def needed(name: str, words: list[str]) -> bool:
    """Return whether a job with these options may need a module."""
    if name.startswith(UNLESS_NAMED):
        plugin = name.removeprefix(UNLESS_NAMED).replace("_", "-")
        return plugin in words or any(word.startswith(f"--storage-{plugin}-") for word in words)
    return not name.startswith(NEVER)


def modules(words: list[str]) -> Iterator[pkgutil.ModuleInfo]:
    """List the modules that can be imported, as `pkgutil.iter_modules` does, without plugins that are not needed."""
    return (module for module in everything() if needed(module.name, words))


def leave_out(loaded: dict[str, ModuleType]) -> None:
    """Make the import of such modules fail where Snakemake goes on without them, and be empty where it does not."""
    loaded.update(dict.fromkeys(NOT_HERE, None))  # type: ignore[arg-type]
    loaded["nbformat"] = ModuleType("nbformat")


def load_later(loaded: dict[str, ModuleType]) -> None:
    """Put modules there that are read when something of them is asked for: a workflow that lies on a server needs them."""
    for name in LATER:
        spec = util.find_spec(name)
        if name not in loaded and spec and spec.loader:
            spec.loader = util.LazyLoader(spec.loader)
            loaded[name] = util.module_from_spec(spec)
            spec.loader.exec_module(loaded[name])


class Field:
    """A record's value: its default, or what makes it. Stands for `sqlmodel.Field`."""

    def __init__(self, default: Any = None, default_factory: Callable[[], Any] | None = None, **_: Any) -> None:
        self.make = default_factory or (lambda: default)


class Record:
    """Named values with defaults, without a database or checks of types. Stands for `sqlmodel.SQLModel`."""

    defaults: ClassVar[dict[str, Callable[[], Any]]] = {}

    def __init_subclass__(cls, **_: Any) -> None:
        made = {name: vars(cls).get(name) for name in vars(cls).get("__annotations__", ())}
        own = {name: value if isinstance(value, Field) else Field(value) for name, value in made.items()}
        cls.defaults = cls.defaults | {name: field.make for name, field in own.items()}

    def __init__(self, **values: Any) -> None:
        for name, make in self.defaults.items():
            setattr(self, name, values[name] if name in values else copy.copy(make()))

    @classmethod
    def model_validate(cls, values: dict[str, Any]) -> Self:
        """Make a record of what was read; unknown names are left out."""
        return cls(**values)

    def model_dump(self) -> dict[str, Any]:
        """Return the values by name."""
        return {name: getattr(self, name) for name in self.defaults}


def without_database(loaded: dict[str, ModuleType]) -> None:
    """Import Snakemake's records as plain values.

    Whatever else imports the database's packages gets the packages themselves, and so do the records of a Snakemake that needs
    more of them than is here.
    """
    plain: dict[str, dict[str, Any]] = {
        "sqlmodel": {"SQLModel": Record, "Field": Field},
        "sqlalchemy": {"Column": lambda kind: kind, "JSON": None},
        "snakemake.persistence.db": {"DbPersistence": None},
    }
    for name, attributes in plain.items():
        loaded[name] = ModuleType(name)
        vars(loaded[name]).update(attributes)
    try:
        import snakemake.persistence  # noqa: F401

        kept = ["snakemake.persistence.db"]
    except Exception:  # whatever a later Snakemake asks of the names above
        kept = []
    for name in plain.keys() - kept:
        del loaded[name]


everything = pkgutil.iter_modules

if __name__ == "__main__":
    sys.argv[1:] = sys.argv[3:]
    leave_out(sys.modules)
    load_later(sys.modules)
    if not any(word.startswith(KEEPS_RECORDS) for word in sys.argv):
        without_database(sys.modules)
    pkgutil.iter_modules = lambda *args: everything(*args) if args else modules(sys.argv)
    from snakemake.cli import main

    main()
