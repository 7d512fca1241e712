"""MRC and CCP4 maps: one volume of a file."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from connectomake.sources import identity
from connectomake.sources.layout import lay_out, ordered_reader
from connectomake.sources.mrc_header import read_header
from connectomake.sources.options import DEFAULTS, SourceOptions
from connectomake.sources.plain_array import Piece, PlainArray
from connectomake.sources.source import Source, read_as


def open_mrc(path: str, voxel_size: Sequence[float] | None, options: SourceOptions = DEFAULTS) -> Source:
    """Open an MRC2014 file, or one of IMOD's, of either byte order: int8 (uint8), int16, uint16, float16 or float32.

    Axes are columns, rows and sections, which are x, y, z unless the header says otherwise; the voxel size is the cell's, in Å,
    by its number of intervals; the place is that of the header's start, or its origin.

    Raises
    ------
    ConfigError, SourceError
        See `open_source`.
    """
    header = read_header(Path(path))
    array = PlainArray((Piece(Path(path), header.data_start),), header.dtype, header.shape)
    array.check()
    layout = lay_out(array.shape, header.grid(path, options), options, voxel_size, path)
    if beyond := array.beyond():
        layout = replace(layout, notes=(*layout.notes, f"{path} has {beyond} bytes after its last section, which are not read"))
    return Source(
        path=path,
        kind="mrc",
        **read_as(array.dtype, path),
        identity=identity.of_file(Path(path), "mrc"),
        _reader=ordered_reader(array.read, layout.order, len(array.shape)),
        **layout.fields(),
    ).moved(layout.start)
