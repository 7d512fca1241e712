"""Tables of equally long columns as Parquet: equal tables and records give equal bytes."""

import contextlib
import json
import os
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from connectomake.atomic import atomic_path, canonical_json
from connectomake.errors import LayerError
from connectomake.forking import last_file
from connectomake.layers.parquet_seal import MAGIC, check_footer, seal
from connectomake.layers.records import PARQUET_CHECKSUMS_KEY, PARQUET_KEY, checksum_head, checksum_of, named
from connectomake.layers.spill import Spool
from connectomake.os_errors import storage_error

_GROUP = 1 << 20
_PIECE = 1 << 20


def write_columns(
    path: str | os.PathLike[str], columns: Mapping[str, np.ndarray], record: Mapping[str, Any] | None = None
) -> None:
    """Atomically write columns (n,) as Parquet, with checksums and a record in its metadata.

    Parameters
    ----------
    path
        The file.
    columns
        Arrays of one length, by name.
    record
        What to note in the file's metadata.
    """
    write_batches(path, [columns], lambda: record or {})


def write_batches(
    path: str | os.PathLike[str],
    batches: Iterable[Mapping[str, np.ndarray]],
    record: Callable[[], Mapping[str, Any]] = dict,
) -> None:
    """Write columns that come in batches, the same bytes as `write_columns` of all at once, with one row group in memory.

    Parameters
    ----------
    path
        The file.
    batches
        The rows in order, at least one batch, each as columns (n,) by name. Several wait on disk until their checksums are
        known: these stand in the schema, which comes before the rows.
    record
        Returns what to note in the file's metadata; called after the last batch.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    spool = Spool(path)
    checksums, dtypes = _checksums(batches, spool)
    schema = pa.schema([(name, pa.from_numpy_dtype(dtype)) for name, dtype in dtypes.items()])
    schema = schema.with_metadata(
        {PARQUET_KEY: canonical_json(named(record(), path)), PARQUET_CHECKSUMS_KEY: canonical_json(checksums)}
    )
    with atomic_path(path) as temporary:
        with pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
            for group in _groups(spool):
                arrays = [pa.array(np.ascontiguousarray(group[name])) for name in dtypes]
                writer.write_table(pa.table(arrays, schema=schema), row_group_size=_GROUP)
        seal(temporary)


def _checksums(batches: Iterable[Mapping[str, np.ndarray]], spool: Spool) -> tuple[dict[str, int], dict[str, np.dtype]]:
    """Put batches into the spool; return what `checksum_of` returns of all together, and the dtypes, by column."""
    crc, count, dtypes = dict[str, int](), 0, dict[str, np.dtype]()
    for batch in batches:
        dtypes = {name: column.dtype for name, column in batch.items()}
        crc = {name: _crc(column, crc.get(name, 0)) for name, column in batch.items()}
        count += _length(batch)
        spool.add(batch)
    return {name: _with_head(name, dtype, count, crc[name]) for name, dtype in dtypes.items()}, dtypes


def _crc(column: np.ndarray, before: int) -> int:
    return zlib.crc32(np.ascontiguousarray(column).view(np.uint8), before)


def _with_head(name: str, dtype: np.dtype, count: int, crc: int) -> int:
    """Return the CRC-32 of a column with its head, from that of its bytes alone.

    The head tells the length, which is not known before the end. A CRC is linear: what another beginning changes does not
    depend on the bytes that follow, so it is seen on as many zeros.
    """
    plain, begun = 0, checksum_head(name, dtype, (count,))
    left, zeros = count * dtype.itemsize, bytes(_PIECE)
    while left:
        piece = memoryview(zeros)[: min(left, _PIECE)]
        plain, begun, left = zlib.crc32(piece, plain), zlib.crc32(piece, begun), left - len(piece)
    return crc ^ plain ^ begun


def _groups(batches: Iterable[Mapping[str, np.ndarray]]) -> Iterator[dict[str, np.ndarray]]:
    """Yield the rows in groups of one size, as many as Arrow puts into a row group by itself; the last one has the rest."""
    held, count, written = list[Mapping[str, np.ndarray]](), 0, False
    for batch in batches:
        rows, start = _length(batch), 0
        while count + rows - start >= _GROUP:
            stop = start + _GROUP - count
            held.append({name: column[start:stop] for name, column in batch.items()})
            yield _joined(held)
            held, count, start, written = [], 0, stop, True
        held.append({name: column[start:] for name, column in batch.items()})
        count += rows - start
    if count or not written:
        yield _joined(held)


def _length(batch: Mapping[str, np.ndarray]) -> int:
    return len(next(iter(batch.values()), ()))


def _joined(parts: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([part[name] for part in parts]) if len(parts) > 1 else parts[0][name] for name in parts[0]}


def read_batches(path: str | os.PathLike[str], names: Collection[str] | None = None) -> Iterator[dict[str, np.ndarray]]:
    """Yield the columns of a table that `write_columns` wrote, a row group at a time.

    Parameters
    ----------
    path
        The file.
    names
        Which columns; by default all, and also if the file lacks one of them.

    Raises
    ------
    LayerError
        If the file is missing or damaged; damage may show only after the last batch.
    """
    import pyarrow.parquet as pq

    try:
        with _opened(path) as stream, pq.ParquetFile(stream) as file:
            there = file.schema_arrow.names
            wanted = [name for name in there if names is None or name in names or not set(names) <= set(there)]
            checksums = json.loads(file.schema_arrow.metadata[PARQUET_CHECKSUMS_KEY])
            crc = dict.fromkeys(wanted, 0)
            dtypes = dict[str, np.dtype]()
            for group in range(file.num_row_groups):
                arrow = file.read_row_group(group, wanted)
                found = {name: arrow[name].to_numpy() for name in wanted}
                crc = {name: _crc(column, crc[name]) for name, column in found.items()}
                dtypes = {name: column.dtype for name, column in found.items()}
                yield found
            if any(checksums[n] != _with_head(n, d, file.metadata.num_rows, crc[n]) for n, d in dtypes.items()):
                raise ValueError("checksum")
    except (GeneratorExit, MemoryError):
        raise
    except Exception as error:  # damaged bytes make Arrow raise whatever it trips over
        raise _damaged(path, error) from error


def read_columns(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Read the columns of a table that `write_columns` wrote.

    Raises
    ------
    LayerError
        If the file is missing or damaged.
    """
    import pyarrow.parquet as pq

    try:
        with _opened(path):
            arrow = pq.read_table(path)
        found = {name: arrow[name].to_numpy() for name in arrow.column_names}
        checksums = json.loads(arrow.schema.metadata[PARQUET_CHECKSUMS_KEY])
    except MemoryError:
        raise
    except Exception as error:  # damaged bytes make Arrow raise whatever it trips over
        raise _damaged(path, error) from error
    if checksums != {name: checksum_of(name, column) for name, column in found.items()}:
        raise LayerError(f"{path} is corrupted; delete it and rerun")
    return found


@contextlib.contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a file of which head and footer are whole."""
    last_file.reading(path)
    with Path(path).open("rb") as stream:
        if stream.read(len(MAGIC)) != MAGIC:
            raise ValueError("no Parquet")  # Arrow does not look at the head, others do
        check_footer(stream)
        stream.seek(0)
        yield stream


def _damaged(path: str | os.PathLike[str], error: Exception) -> Exception:
    if isinstance(error, LayerError):
        return error
    if isinstance(error, FileNotFoundError):
        return LayerError(f"{path} is missing; run snakemake to make it")
    return storage_error(path, error) or LayerError(f"{path} is corrupted; delete it and rerun")
