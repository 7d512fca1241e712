"""Selection of rows of the object table: ids, sizes, and conditions in a small language of comparisons.

::

    condition   = both { "or" both }
    both        = one { "and" one }
    one         = "not" one | "(" condition ")" | column sign number | number sign column
    sign        = "<" | "<=" | ">" | ">=" | "==" | "!="
"""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from connectomake.errors import ConfigError
from connectomake.layers import read_batches

Columns: TypeAlias = Mapping[str, np.ndarray]
Condition: TypeAlias = Callable[[Columns], np.ndarray]
_TOKEN = re.compile(r"\s*(?:([A-Za-z_]\w*)|([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)|(<=|>=|==|!=|<|>|\(|\)))")
_MOST_TOKENS, _MOST_DEPTH, _MOST_DIGITS = 1000, 50, 40
_SHOWN = 200
_SIGNS: dict[str, Callable[[Any, Any], Any]] = {
    "<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal, "==": np.equal, "!=": np.not_equal,
}  # fmt: skip
_TURNED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}


@dataclass
class _Parser:
    """The tokens of a query, and how many of them are read."""

    text: str
    tokens: list[str]
    place: int = 0
    depth: int = 0

    @classmethod
    def of(cls, text: str) -> "_Parser":
        tokens: list[str] = []
        end = 0
        while text[end:].strip():
            found = _TOKEN.match(text, end)
            if found is None:
                raise _error(text, f"{text[end:].strip()[:20]!r} cannot be read")
            if len(tokens) == _MOST_TOKENS:
                raise _error(text, f"it has more than {_MOST_TOKENS} words and signs")
            if len(found.group().strip()) > _MOST_DIGITS:
                raise _error(text, f"{found.group().strip()[:20]}... is longer than {_MOST_DIGITS} characters")
            tokens.append(found.group().strip())
            end = found.end()
        return cls(text, tokens)

    def peek(self) -> str:
        return self.tokens[self.place] if self.place < len(self.tokens) else ""

    def take(self) -> str:
        token = self.peek()
        self.place += 1
        return token

    def condition(self) -> Condition:
        found = self._both()
        while self.peek() == "or":
            self.take()
            found = _joined(np.logical_or, found, self._both())
        return found

    def _both(self) -> Condition:
        found = self._one()
        while self.peek() == "and":
            self.take()
            found = _joined(np.logical_and, found, self._one())
        return found

    def _one(self) -> Condition:
        self.depth += 1
        if self.depth > _MOST_DEPTH:
            raise _error(self.text, f"it is nested more than {_MOST_DEPTH} levels deep")
        found = self._inner()
        self.depth -= 1
        return found

    def _inner(self) -> Condition:
        if self.peek() == "not":
            self.take()
            inner = self._one()
            return lambda columns: np.logical_not(inner(columns))
        if self.peek() == "(":
            self.take()
            found = self.condition()
            if self.take() != ")":
                raise _error(self.text, "a bracket is not closed")
            return found
        return self._comparison()

    def _comparison(self) -> Condition:
        left, sign, right = self.take(), self.take(), self.take()
        if sign not in _SIGNS or not left or not right:
            raise _error(self.text, f"{' '.join(t for t in (left, sign, right) if t)!r} is not a comparison")
        if _is_number(left) == _is_number(right):
            raise _error(self.text, f"{left} {sign} {right} does not compare a column with a number")
        if _is_number(left):
            left, sign, right = right, _TURNED[sign], left
        return lambda columns: _SIGNS[sign](_column(columns, left, self.text), _number(right))


def _joined(how: Any, first: Condition, second: Condition) -> Condition:
    return lambda columns: how(first(columns), second(columns))


def _is_number(token: str) -> bool:
    return not (token[0].isalpha() or token[0] == "_")


def _number(token: str) -> int | float:
    return int(token) if re.fullmatch(r"[-+]?\d+", token) else float(token)


def _column(columns: Columns, name: str, text: str) -> np.ndarray:
    if name not in columns:
        raise _error(text, f"there is no column {name}; there are {', '.join(columns)}")
    return columns[name]


def _error(text: str, reason: str) -> ConfigError:
    shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
    return ConfigError(f"the query {shown!r} is wrong: {reason}; write it like: voxels > 1e5 and (start_z >= 10 or id == 7)")


def check_query(text: str) -> Condition:
    """Read a query.

    Raises
    ------
    ConfigError
        If it cannot be read. Columns are looked up when it is used.
    """
    parser = _Parser.of(text)
    found = parser.condition()
    if parser.peek():
        raise _error(text, f"{parser.peek()!r} is one too many")
    return found


def matching(columns: Columns, text: str) -> np.ndarray:
    """Return which rows of the object table a query is true for, (n,) bool.

    Parameters
    ----------
    columns
        As `read_parquet` returns them.
    text
        The query, see the module.

    Raises
    ------
    ConfigError
        If the query cannot be read or names a column that is not there.

    Examples
    --------
    >>> columns = {"id": np.array([3, 9]), "voxels": np.array([10, 2000])}
    >>> matching(columns, "voxels >= 1e3 and not id == 3").tolist()
    [False, True]
    """
    return np.asarray(check_query(text)(columns), bool)


def select(columns: Columns, wanted: Mapping[str, Any]) -> np.ndarray:
    """Return the ids of the objects that are wanted, ascending (n,) uint64.

    Parameters
    ----------
    columns
        As `read_parquet` returns them.
    wanted
        ``ids`` (list or None), ``min_voxels``, ``max_voxels`` (or None), ``query`` (or None); all must hold. Sizes are those of
        whole objects.

    Raises
    ------
    ConfigError
        If an id does not exist or the query is wrong.
    """
    ids = columns["id"]
    kept = _kept(columns, wanted)
    if wanted["ids"] is not None:
        named = np.array(sorted(set(wanted["ids"])), np.uint64)
        _check_known(named[~np.isin(named, ids)], len(ids))
        kept &= np.isin(ids, named)
    found: np.ndarray = ids[kept].astype(np.uint64)
    return found


def select_from(path: str | os.PathLike[str], wanted: Mapping[str, Any]) -> np.ndarray:
    """Select objects as `select` does, reading the object table a row group at a time.

    Parameters
    ----------
    path
        The object table (Parquet).
    wanted
        See `select`.

    Returns
    -------
    (n,) uint64
        Ids, ascending.

    Raises
    ------
    ConfigError
        If an id does not exist or the query is wrong.
    LayerError
        If the table is missing or damaged.
    """
    named = None if wanted["ids"] is None else np.array(sorted(set(wanted["ids"])), np.uint64)
    unknown, count, found = named, 0, [np.zeros(0, np.uint64)]
    for columns in read_batches(path, {"id", "voxels", *columns_in(wanted["query"] or "")}):
        ids = columns["id"]
        kept, count = _kept(columns, wanted), count + len(ids)
        if named is not None and unknown is not None:
            unknown = np.setdiff1d(unknown, ids)
            kept &= np.isin(ids, named)
        found.append(ids[kept].astype(np.uint64))
    _check_known(np.zeros(0) if unknown is None else unknown, count)
    return np.concatenate(found)


def columns_in(text: str) -> set[str]:
    """Return the names of columns in a query."""
    return {name for name, _, _ in _TOKEN.findall(text) if name} - {"and", "or", "not"}


def _kept(columns: Columns, wanted: Mapping[str, Any]) -> np.ndarray:
    """Tell which rows are wanted by size and query, (n,) bool."""
    kept: np.ndarray = columns["voxels"] >= wanted["min_voxels"]
    if wanted["max_voxels"] is not None:
        kept &= columns["voxels"] <= wanted["max_voxels"]
    if wanted["query"]:
        kept &= matching(columns, wanted["query"])
    return kept


def _check_known(unknown: np.ndarray, count: int) -> None:
    if len(unknown):
        more = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        raise ConfigError(f"object {unknown[0]}{more} does not exist; the object table lists {count:,} ids")
