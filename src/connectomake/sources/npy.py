"""NPY: one array of NumPy (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from connectomake.errors import SourceError
from connectomake.sources import identity
from connectomake.sources.grid import Grid
from connectomake.sources.layout import lay_out, ordered_reader
from connectomake.sources.options import DEFAULTS, SourceOptions
from connectomake.sources.plain_array import Piece, PlainArray
from connectomake.sources.reasons import TRUNCATED, reason, way_out
from connectomake.sources.source import Source, read_as


def open_npy(path: str, voxel_size: Sequence[float] | None, options: SourceOptions = DEFAULTS) -> Source:
    """Open an array, (z, y, x) or (c, z, y, x) unless the user says otherwise, in C or Fortran order and any byte order.

    Raises
    ------
    ConfigError, SourceError
        See `open_source`.
    """
    array = _array(path)
    fields = read_as(array.dtype, path)
    array.check()
    layout = lay_out(array.shape, Grid(), options, voxel_size, path)
    return Source(
        path=path,
        kind="npy",
        **fields,
        identity=identity.of_file(Path(path), "npy"),
        _reader=ordered_reader(array.read, layout.order, len(array.shape)),
        **layout.fields(),
    ).moved(layout.start)


def _array(path: str) -> PlainArray:
    """Read the header."""
    form = np.lib.format
    try:
        with Path(path).open("rb") as stream:
            version = form.read_magic(stream)
            if version not in ((1, 0), (2, 0), (3, 0)):
                raise ValueError(f"it is of the unknown version {version[0]}.{version[1]}")
            # that of version 3 differs in its names of fields only, of which an array of numbers has none
            read = form.read_array_header_1_0 if version == (1, 0) else form.read_array_header_2_0
            shape, fortran, dtype = read(stream)
            start = stream.tell()
    except (ValueError, EOFError, OSError) as error:
        raise SourceError(f"{path} cannot be opened as NPY ({reason(error)}); {way_out(error, TRUNCATED)}") from error
    if dtype.hasobject or dtype.names is not None:
        raise SourceError(
            f"{path} holds {'Python objects' if dtype.hasobject else 'records'}, not numbers; save an array of these"
        )
    return PlainArray((Piece(Path(path), start),), dtype, tuple(int(n) for n in shape), fortran)
