"""Bases of tables whose fields are NumPy arrays, which files hold by name under a common prefix."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Self

import numpy as np


@dataclass(frozen=True, slots=True)
class Arrays:
    """A frozen dataclass whose fields are arrays; ``prefix/field`` is the name of one in a file."""

    @classmethod
    def names(cls, prefix: str) -> list[str]:
        """Return the names of the arrays in a file."""
        return [f"{prefix}/{f.name}" for f in fields(cls)]

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], prefix: str) -> Self:
        """Pick the arrays out of named ones."""
        return cls(*(arrays[name] for name in cls.names(prefix)))

    def arrays(self, prefix: str) -> dict[str, np.ndarray]:
        """Return the arrays by the names they have in a file."""
        return dict(zip(self.names(prefix), self.columns(), strict=True))

    def columns(self) -> tuple[np.ndarray, ...]:
        """Return the arrays, in order of the fields."""
        return tuple(getattr(self, f.name) for f in fields(self))

    @staticmethod
    def joined(tables: Iterable["Arrays"]) -> tuple[np.ndarray, ...]:
        """Return the arrays of one or more tables of a kind, one table after the other."""
        return tuple(map(np.concatenate, zip(*(table.columns() for table in tables), strict=True)))


@dataclass(frozen=True, slots=True)
class Columns(Arrays):
    """Arrays with one row each per thing: (n, …)."""

    def __len__(self) -> int:
        return len(self.columns()[0])

    def take(self, rows: np.ndarray) -> Self:
        """Return some rows, by index or mask."""
        return type(self)(*(column[rows] for column in self.columns()))
