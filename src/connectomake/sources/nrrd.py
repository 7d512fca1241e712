"""NRRD: one array, with its header in the same file or detached, raw or gzip."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from connectomake.errors import SourceError
from connectomake.sources import identity
from connectomake.sources.gzip_array import GzipArray
from connectomake.sources.layout import lay_out, ordered_reader
from connectomake.sources.nrrd_grid import nrrd_grid
from connectomake.sources.nrrd_header import Header, data_files, read_header
from connectomake.sources.options import DEFAULTS, SourceOptions
from connectomake.sources.plain_array import Piece, PlainArray
from connectomake.sources.source import Source, read_as

_PACKED = "unu save -f nrrd -e raw, or pynrrd, writes it raw"


def open_nrrd(path: str, voxel_size: Sequence[float] | None, options: SourceOptions = DEFAULTS) -> Source:
    """Open an NRRD file or a detached header (.nhdr) of raw or gzip voxels, of any type of numbers and byte order.

    The axis that varies fastest is x unless labels, kinds or space directions say otherwise. Voxels in gzip are decompressed
    from the start of the file up to those that are read, in bounded memory.

    Raises
    ------
    ConfigError, SourceError
        See `open_source`.
    """
    header = read_header(Path(path))
    files = data_files(header, options.refers_to)
    dtype, shape = header.dtype, header.sizes[::-1]
    layout = lay_out(shape, nrrd_grid(header, options, voxel_size), options, voxel_size, path)
    slow = (
        f"{path} is one stream of gzip, so that every job decompresses it from its start; connectomake convert makes a Zarr of "
        "it, which is read in parts"
    )
    own = identity.of_file(Path(path), "nrrd")
    return Source(
        path=path,
        kind="nrrd",
        **read_as(dtype, path),
        identity=own.with_files(files) if header.files else own,
        _reader=ordered_reader(_array(header, files, dtype, shape).read, layout.order, len(shape)),
        remarks=(slow,) if header.encoding == "gzip" else (),
        **layout.fields(),
    ).moved(layout.start)


def _array(header: Header, files: tuple[Path, ...], dtype: np.dtype, shape: tuple[int, ...]) -> PlainArray | GzipArray:
    if len(files) > 1 and shape[0] % len(files):
        raise header.fault(f"{len(files)} data files do not share {shape[0]} sections evenly")
    if header.encoding == "raw":
        array = PlainArray(tuple(Piece(f, 0) for f in files), dtype, shape)
        starts = [_start(header, file, array.bytes) for file in files]
        array = replace(array, pieces=tuple(Piece(f, s) for f, s in zip(files, starts, strict=True)))
        array.check()
        return array
    if header.encoding == "gzip":
        if len(files) > 1:
            raise header.fault(f"it has {len(files)} data files in gzip; {_PACKED}")
        skip = header.skip("byte skip")
        if skip < 0:
            raise header.fault("byte skip is -1, which only raw voxels may have")
        return GzipArray(files[0], _lines(header, files[0]), skip, dtype, shape)
    raise SourceError(f"{header.path} has its voxels in the encoding {header.encoding!r}, which is not read; {_PACKED}")


def _start(header: Header, file: Path, needed: int) -> int:
    """Return the byte at which the raw voxels of a file begin."""
    skip = header.skip("byte skip")
    if skip == -1:
        return max(file.stat().st_size - needed, 0)
    return _lines(header, file) + skip


def _lines(header: Header, file: Path) -> int:
    """Return the byte after the header, if the file has it, and after the lines that are skipped."""
    with file.open("rb") as stream:
        stream.seek(0 if header.files else header.end)
        for _ in range(header.skip("line skip")):
            if not stream.readline():
                raise header.fault(f"{file} has fewer lines than line skip says")
        return stream.tell()
