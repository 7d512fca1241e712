"""Exact versions of all that a pod needs, one a line: pins.py ROOT. The image's environment, and what its cache is named after.

What the library requires (pyproject.toml, with its extra ``pod``) is followed through the metadata of the packages installed
here; each version is that of requirements.lock or requirements-cluster.lock.
"""

import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

LOCKS = ("requirements.lock", "requirements-cluster.lock")
UNLOCKED = {"setuptools"}  # part of every environment; any version does


def locked(root: Path) -> dict[str, Any]:
    """The line of each package in the locks, by its canonical name."""
    lines = [line.strip() for name in LOCKS for line in (Path(root) / name).read_text().splitlines() if "==" in line]
    return {canonicalize_name(line.partition("==")[0]): line for line in lines}


def required(words: Any, extras: Any = frozenset()) -> Iterator[Any]:
    """Those of some requirements that hold here, as (name, extras)."""
    for requirement in map(Requirement, words or ()):
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in extras or {""}):
            yield canonicalize_name(requirement.name), frozenset(requirement.extras)


def closure(words: Any) -> Any:
    """Names of all packages that some requirements need."""
    seen, open_ends = set(), list(required(words))
    while open_ends:
        name, extras = open_ends.pop()
        if (name, extras) not in seen:
            seen.add((name, extras))
            open_ends += required(distribution(name).requires, extras)
    return {name for name, _ in seen}


def pins(root: Any) -> list[Any]:
    """The lines of the locks that a pod needs; a KeyError names a package that no lock has."""
    project = tomllib.loads((Path(root) / "pyproject.toml").read_text())["project"]
    lines = {name: name for name in UNLOCKED} | locked(root)
    return sorted(lines[name] for name in closure([*project["dependencies"], *project["optional-dependencies"]["pod"]]))


if __name__ == "__main__":
    print("\n".join(pins(sys.argv[1])))
