"""Tables of supervoxels and segments written by other programs: two columns of integers, exact to 64 bits."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from connectomake.errors import SourceError
from connectomake.os_errors import storage_error

if TYPE_CHECKING:
    import pyarrow as pa

WEBKNOSSOS = "segment_to_agglomerate"
KEY = "segmentation.table"
_SHOWN = 60
_MOST = 2**64 - 1


@dataclass(frozen=True, slots=True)
class _Asked:
    dataset: str | None
    columns: Sequence[str] | None
    pairs: bool


def rows_of(
    path: str, dataset: str | None = None, columns: Sequence[str] | None = None, *, pairs: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Read the two columns of a table: supervoxel and segment, each (n,) uint64, in the order of the file.

    Parameters
    ----------
    path
        CSV, TSV, Parquet, Arrow (Feather), NPY, HDF5 or JSON, by its suffix. One column of NPY or HDF5, as of webKnossos,
        holds the segment of each supervoxel from 0 on. JSON is a list of lists: a row of more than two joins all to its first.
    dataset
        Name of the array in HDF5; by default that of webKnossos.
    columns
        Names of the two columns, where a file has more, or has them in another order.
    pairs
        Whether each row names two supervoxels that belong together; then one column alone makes no sense.

    Raises
    ------
    SourceError
        If the file cannot be read, or a value is no integer from 0 to 2^64 - 1.
    """
    _check(path, dataset, columns)
    suffix = Path(path).suffix.lower()
    try:
        return SUFFIXES[suffix](path, _Asked(dataset, columns, pairs))
    except (SourceError, MemoryError):
        raise
    except Exception as error:  # damaged bytes make a library raise whatever it trips over
        raise _unreadable(path, error) from error


def most_rows(path: str, dataset: str | None = None) -> int:
    """Return how many rows a table has; of text and Arrow at most about so many, from its size.

    Raises
    ------
    SourceError
        If the file cannot be read, or has an unknown suffix.
    """
    _check(path, dataset, None)
    suffix = Path(path).suffix.lower()
    try:
        if suffix == ".parquet":
            import pyarrow.parquet as pq

            return int(pq.read_metadata(path).num_rows)
        if suffix == ".npy":
            return len(np.load(path, mmap_mode="r", allow_pickle=False))
        if suffix in _HDF5:
            import h5py

            with h5py.File(path, "r") as file:
                return len(_array(path, file, dataset))
        return Path(path).stat().st_size // (_TEXT_ROW if suffix in _TEXT else _ARROW_ROW)
    except (SourceError, MemoryError):
        raise
    except Exception as error:  # damaged bytes make a library raise whatever it trips over
        raise _unreadable(path, error) from error


def _check(path: str, dataset: str | None, columns: Sequence[str] | None) -> None:
    """Raise a SourceError where the suffix is not known, or does not fit what is named within the file."""
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise SourceError(f"{KEY}.path {path!r} has an unknown suffix; known are {', '.join(SUFFIXES)}")
    if columns is not None and suffix not in _NAMED:
        raise SourceError(f"{KEY}.columns names columns, but {path} has no names of columns; leave it out")
    if dataset is not None and suffix not in _HDF5:
        raise SourceError(f"{KEY}.dataset {dataset!r} names an array of HDF5, but {path} is not HDF5; leave it out")


def _unreadable(path: str, error: Exception) -> Exception:
    if isinstance(error, FileNotFoundError):
        return SourceError(f"{KEY}.path {path!r} does not exist; name the file of the table")
    known = storage_error(path, error)
    text = " ".join(str(error).split())[: 2 * _SHOWN]
    return known or SourceError(f"{path} cannot be read as a table of supervoxels and segments ({text}); write it anew")


def _csv(path: str, asked: _Asked, delimiter: str = ",") -> tuple[np.ndarray, np.ndarray]:
    """Read text; a first row that holds no number names the columns. Every value is read as an integer, never as a float."""
    import pyarrow as pa
    from pyarrow import csv

    with Path(path).open(encoding="utf-8-sig") as stream:
        first = [cell.strip().strip('"') for cell in stream.readline().rstrip("\r\n").split(delimiter)]
    headed = not any(_is_number(cell) for cell in first)
    if first == [""]:
        return _empty()
    names = first if headed else [f"column {i + 1}" for i in range(len(first))]
    if asked.columns is not None and not headed:
        raise SourceError(f"{KEY}.columns names columns, but the first row of {path} is not a header; leave it out")
    wanted = _two(path, names, asked.columns)
    table = csv.read_csv(
        path,
        read_options=csv.ReadOptions(column_names=names, skip_rows=int(headed)),
        parse_options=csv.ParseOptions(delimiter=delimiter),
        convert_options=csv.ConvertOptions(
            column_types=dict.fromkeys(wanted, pa.string()), include_columns=list(wanted), strings_can_be_null=False
        ),
    )
    a, b = (_parsed(path, name, table[name]) for name in wanted)
    return a, b


def _tsv(path: str, asked: _Asked) -> tuple[np.ndarray, np.ndarray]:
    return _csv(path, asked, "\t")


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _two(path: str, names: Sequence[str], columns: Sequence[str] | None) -> tuple[str, str]:
    """Return the names of the two columns."""
    if columns is not None:
        lacking = [name for name in columns if name not in names]
        if lacking:
            raise SourceError(f"{path} has no column {lacking[0]!r}; it has {', '.join(names)[:_SHOWN]}; correct {KEY}.columns")
        return columns[0], columns[1]
    if len(names) != 2 or len(set(names)) != 2:
        raise SourceError(
            f"{path} has {len(names)} columns ({', '.join(names)[:_SHOWN]}), not two; name that of the supervoxels and that of "
            f"the segments in {KEY}.columns"
        )
    return names[0], names[1]


def _parsed(path: str, name: str, column: "pa.ChunkedArray") -> np.ndarray:
    import pyarrow as pa
    import pyarrow.compute as pc

    trimmed = pc.utf8_trim_whitespace(column)
    good = pc.match_substring_regex(trimmed, r"^[0-9]{1,20}$")
    if len(trimmed) and not pc.all(good).as_py():
        row = good.index(False).as_py()
        raise _no_integer(path, name, row, trimmed[row].as_py())
    try:
        return np.asarray(trimmed.cast(pa.uint64()).to_numpy())
    except pa.ArrowInvalid:
        row = next(i for i, text in enumerate(trimmed.to_pylist()) if int(text) > _MOST)
        raise _no_integer(path, name, row, trimmed[row].as_py()) from None


def _no_integer(path: str, name: str, row: int, value: object) -> SourceError:
    return SourceError(
        f"{path}, {name}, row {row + 1} of the data holds {str(value)[:_SHOWN]!r}, which is not an integer from 0 to 2^64 - 1; "
        "correct it in the file"
    )


def _parquet(path: str, asked: _Asked) -> tuple[np.ndarray, np.ndarray]:
    import pyarrow.parquet as pq

    wanted = _two(path, pq.read_schema(path).names, asked.columns)
    return _of_arrow(path, pq.read_table(path, columns=list(wanted)), wanted)


def _arrow(path: str, asked: _Asked) -> tuple[np.ndarray, np.ndarray]:
    import pyarrow as pa

    with pa.memory_map(path) as file:
        try:
            table = pa.ipc.open_file(file).read_all()
        except pa.ArrowInvalid:
            file.seek(0)
            table = pa.ipc.open_stream(file).read_all()
        wanted = _two(path, table.column_names, asked.columns)
        return _of_arrow(path, table, wanted)


def _of_arrow(path: str, table: "pa.Table", wanted: tuple[str, str]) -> tuple[np.ndarray, np.ndarray]:
    import pyarrow as pa

    for name in wanted:
        column = table[name]
        if not pa.types.is_integer(column.type):
            raise SourceError(f"{path}, column {name!r} holds {column.type}, which are not integers; write it as uint64")
        if column.null_count:
            raise SourceError(f"{path}, column {name!r} has {column.null_count} rows without a value; take them out")
    a, b = (_whole(path, name, table[name].to_numpy()) for name in wanted)
    return a, b


def _whole(path: str, name: str, values: np.ndarray) -> np.ndarray:
    """Return integers as a copy of uint64.

    Raises
    ------
    SourceError
        If they are none, or negative.
    """
    if values.dtype.kind not in "iu":
        raise SourceError(f"{path}, {name} holds {values.dtype}, which are not integers; write it as uint64")
    if values.dtype.kind == "i" and values.size and values.min() < 0:
        row = int((values < 0).argmax())
        raise _no_integer(path, name, row, int(values[row]))
    return values.astype(np.uint64)


def _npy(path: str, asked: _Asked) -> tuple[np.ndarray, np.ndarray]:
    return _of_array(path, np.load(path, mmap_mode="r", allow_pickle=False), asked)


def _hdf5(path: str, asked: _Asked) -> tuple[np.ndarray, np.ndarray]:
    import h5py

    with h5py.File(path, "r") as file:
        found = _array(path, file, asked.dataset)
        return _of_array(f"{path} [{found.name}]", found[()], asked)


def _array(path: str, file: Any, dataset: str | None) -> Any:
    import h5py

    name = dataset or WEBKNOSSOS
    found = file.get(name)
    if not isinstance(found, h5py.Dataset) or not found.shape:
        raise SourceError(
            f"{path} has no array {name!r}; it has {', '.join(map(str, file))[:_SHOWN]}; name the table in {KEY}.dataset"
        )
    return found


def _of_array(what: str, values: np.ndarray, asked: _Asked) -> tuple[np.ndarray, np.ndarray]:
    if values.ndim == 1 and values.dtype.names is None and not asked.pairs:
        return np.arange(len(values), dtype=np.uint64), _whole(what, "the one column", np.asarray(values))
    if values.ndim != 2 or values.shape[1] != 2:
        raise SourceError(
            f"{what} has shape {list(values.shape)}; a table has two columns, (n, 2)"
            + ("" if asked.pairs else ", or one with the segment of each supervoxel from 0 on")
        )
    a, b = (_whole(what, f"column {i + 1}", np.asarray(values[:, i])) for i in (0, 1))
    return a, b


def _json(path: str, _: _Asked) -> tuple[np.ndarray, np.ndarray]:
    rows = json.loads(Path(path).read_text(encoding="utf-8"))
    if not isinstance(rows, list):
        raise SourceError(f"{path} must be a list of lists of integers, such as [[1, 2], [2, 3]]")
    for number, row in enumerate(rows):
        if not isinstance(row, list) or len(row) < 2:
            raise SourceError(f"{path}, entry {number + 1} is {str(row)[:_SHOWN]}, not a list of two integers or more")
        bad = [v for v in row if type(v) is not int or not 0 <= v <= _MOST]
        if bad:
            raise _no_integer(path, f"entry {number + 1}", number, bad[0])
    pairs = [(row[0], other) for row in rows for other in row[1:]]
    if not pairs:
        return _empty()
    table = np.array(pairs, np.uint64)
    return np.ascontiguousarray(table[:, 0]), np.ascontiguousarray(table[:, 1])


def _empty() -> tuple[np.ndarray, np.ndarray]:
    return np.zeros(0, np.uint64), np.zeros(0, np.uint64)


SUFFIXES: dict[str, Callable[[str, _Asked], tuple[np.ndarray, np.ndarray]]] = {
    ".csv": _csv, ".tsv": _tsv, ".parquet": _parquet, ".arrow": _arrow, ".feather": _arrow, ".npy": _npy, ".h5": _hdf5,
    ".hdf5": _hdf5, ".hdf": _hdf5, ".json": _json,
}  # fmt: skip
"""What reads a file, by its suffix."""
_NAMED, _HDF5, _TEXT = (".csv", ".tsv", ".parquet", ".arrow", ".feather"), (".h5", ".hdf5", ".hdf"), (".csv", ".tsv", ".json")
_TEXT_ROW, _ARROW_ROW = 4, 2
"""About how few bytes a row may take."""
