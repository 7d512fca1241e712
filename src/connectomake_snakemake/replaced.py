"""Replace an attribute of Snakemake or of a plugin that is in the list of `attributes`.

An attribute that is gone, or that takes other parameters, is left as it is, with a warning: slower, but right.
"""

import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Any

Wrap = Callable[[Any], Any]
"""Gets what Snakemake has, returns what is put in its place."""
_originals: dict[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute that is replaced.

    Parameters
    ----------
    place
        Module, a colon, and the name within: ``snakemake.dag:DAG.update``.
    parameters
        Names of its parameters, in order, as given by `inspect.signature`; None: it is not a function.
    why
        What is put in its place, and for what.
    tried
        How the versions begin that this was tried with.
    """

    place: str
    parameters: tuple[str, ...] | None
    why: str
    tried: tuple[str, ...]

    @property
    def module(self) -> str:
        """The module that it lies in."""
        return self.place.partition(":")[0]

    @property
    def package(self) -> str:
        """The package that has it, as `pip` names it."""
        return self.module.partition(".")[0].replace("_", "-")

    def owner(self) -> tuple[Any, str]:
        """Return what it is an attribute of, and its name there.

        Raises
        ------
        ImportError, AttributeError
            If there is no such module or class.
        """
        *above, name = self.place.partition(":")[2].split(".")
        found = importlib.import_module(self.module)
        for part in above:
            found = getattr(found, part)
        return found, name

    def original(self) -> Any:
        """Return what the package has there, whatever was put in its place since.

        Raises
        ------
        ImportError, AttributeError
            If there is none.
        """
        owner, name = self.owner()
        return _originals.get(self.place, inspect.getattr_static(owner, name))

    def fault(self) -> str | None:
        """Return in one sentence why nothing can be put in its place; None if something can."""
        try:
            found = self.original()
        except (ImportError, AttributeError):
            return self._sentence("is not there any more")
        takes = parameters_of(found)
        if takes == self.parameters:
            return None
        return self._sentence(f"takes {_text(takes)} and not {_text(self.parameters)}")

    def _sentence(self, what: str) -> str:
        return (
            f"{self.place} {what} in {self.package} {version(self.package)}, so it stays as it is ({self.why}); "
            f"look at it, then correct connectomake_snakemake.attributes (tried: {', '.join(self.tried)}*)"
        )


def parameters_of(found: Any) -> tuple[str, ...] | None:
    """Return the names of the parameters of a function, method or property; None for anything else."""
    function = found.fget if isinstance(found, property) else getattr(found, "__func__", found)
    return tuple(inspect.signature(function).parameters) if callable(function) else None


def _text(names: tuple[str, ...] | None) -> str:
    return "no parameters" if names is None else f"({', '.join(names)})"


def version(package: str) -> str:
    """Return the version of an installed package; empty if it is not there."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def replace(wraps: Mapping[str, Wrap], warn: Callable[[str], object] | None = None) -> bool:
    """Put something in place of several attributes that belong together: of all or of none.

    Parameters
    ----------
    wraps
        By place: gets the package's own, returns what is put there.
    warn
        Gets a sentence if one of them is not what was expected; by default Snakemake warns with it.

    Returns
    -------
    bool
        Whether it was done.

    Raises
    ------
    KeyError
        If a place is not in the list.
    """
    from connectomake_snakemake.attributes import BY_PLACE

    listed = [BY_PLACE[place] for place in wraps]
    faults = [fault for attribute in listed if (fault := attribute.fault())]
    if faults:
        (warn or _warn)(faults[0])
        return False
    for attribute in listed:
        owner, name = attribute.owner()
        original = attribute.original()
        _originals[attribute.place] = original
        setattr(owner, name, wraps[attribute.place](original))
    return True


def _warn(fault: str) -> None:
    from snakemake.logging import logger

    logger.warning(fault)


def instead(value: Any) -> Wrap:
    """Return what puts a value in place of whatever was there."""
    return lambda _: value
