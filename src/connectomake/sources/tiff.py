"""TIFF: a multi-page file, or a folder of 2-D files."""

import itertools
import logging
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from connectomake.errors import SourceError
from connectomake.geometry import Box
from connectomake.sources import identity
from connectomake.sources.reasons import reason
from connectomake.sources.source import Source, choose_voxel_size, read_dtype, volume_shape
from connectomake.sources.stack import Header, common_header, section_reader, stack_files

Order = tuple[int | None, int | None, int, int]

_SECTION_AXES = "ZIQTR"  # what programs call the third axis


def open_tiff(path: str, voxel_size: Sequence[float] | None) -> Source:
    """Open a multi-page TIFF, (z, y, x) or with a channel axis, or a folder of 2-D TIFFs in natural order."""
    return _open_folder(path, voxel_size) if Path(path).is_dir() else _open_file(path, voxel_size)


def _open_folder(path: str, voxel_size: Sequence[float] | None) -> Source:
    files = stack_files(path, (".tif", ".tiff"))
    shape, dtype = common_header(files, _section_header)
    return Source(
        path=path,
        kind="tiff",
        bounds=Box.of_shape((len(files), *shape)),
        channels=1,
        dtype=read_dtype(dtype, path),
        voxel_size=choose_voxel_size(voxel_size, None, path),
        identity=identity.of_files(files, "tiff"),
        _reader=section_reader(files, _decode, (shape, dtype)),
    )


def _section_header(path: Path) -> Header:
    file, series = _series(path)
    with file:
        if len(series.shape) != 2:
            raise SourceError(
                f"{path} has the axes {series.axes} {series.shape}; each file of a folder must be one grey section"
            )
        return (int(series.shape[0]), int(series.shape[1])), np.dtype(series.dtype).newbyteorder("=").name


def _decode(path: Path) -> np.ndarray:
    file, series = _series(path)
    with file:
        section = np.asarray(series.asarray())
        return section.astype(section.dtype.newbyteorder("="), copy=False)


def _open_file(path: str, voxel_size: Sequence[float] | None) -> Source:
    file, series = _series(Path(path))
    try:
        if len(file.series) > 1 and all((s.axes, s.shape, s.dtype) == ("YX", *_form(series)) for s in file.series):
            return _open_pages(path, file, voxel_size)
        return _open_series(path, file, series, voxel_size)
    except BaseException:
        file.close()
        raise


def _open_series(path: str, file: Any, series: Any, voxel_size: Sequence[float] | None) -> Source:
    order = _axis_order(series.axes, series.shape, path)
    channels, shape = volume_shape([1 if axis is None else series.shape[axis] for axis in order], path)
    return Source(
        path=path,
        kind="tiff",
        bounds=Box.of_shape(shape),
        channels=channels,
        dtype=read_dtype(series.dtype, path),
        voxel_size=choose_voxel_size(voxel_size, None, path),
        identity=identity.of_file(Path(path), "tiff"),
        _reader=_file_reader(path, file, series, order),
    )


def _form(series: Any) -> tuple[Any, Any]:
    return series.shape, series.dtype


def _open_pages(path: str, file: Any, voxel_size: Sequence[float] | None) -> Source:
    """Open a file whose pages were appended one by one."""
    pages = [s.pages[0] for s in file.series]
    dtype = read_dtype(pages[0].dtype, path)

    def read(box: Box) -> np.ndarray:
        _, rows, columns = box.slices()
        return np.stack([p.asarray()[rows, columns] for p in pages[box.start[0] : box.stop[0]]])[None]

    weakref.finalize(read, file.close)
    return Source(
        path=path,
        kind="tiff",
        bounds=Box.of_shape((len(pages), *pages[0].shape)),
        channels=1,
        dtype=dtype,
        voxel_size=choose_voxel_size(voxel_size, None, path),
        identity=identity.of_file(Path(path), "tiff"),
        _reader=read,
    )


def _series(path: Path) -> tuple[Any, Any]:
    """Open a file and its first series; the complaints that tifffile only logs are errors here."""
    import tifffile

    complaints = _Complaints()
    log = logging.getLogger("tifffile")
    log.addHandler(complaints)
    try:
        file = tifffile.TiffFile(path)
        series = file.series[0]
        pages = len(series.pages)
    except Exception as error:
        raise SourceError(f"{path} cannot be opened as TIFF ({reason(error)}); it may be truncated: copy it again") from error
    finally:
        log.removeHandler(complaints)
    if complaints.texts or pages == 0:
        file.close()
        raise SourceError(f"{path} is a damaged TIFF ({'; '.join(complaints.texts)[:200]}); it may be truncated: copy it again")
    return file, series


class _Complaints(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.ERROR or "offset" in record.getMessage():
            self.texts.append(record.getMessage())


def _axis_order(axes: str, shape: tuple[int, ...], path: str) -> Order:
    """Positions of channel, section, row and column among the axes; None where there is no such axis."""
    if "S" in axes:
        raise SourceError(f"{path} is a colour image (axes {axes} {shape}); convert it to grey")
    sections = [i for i, a in enumerate(axes) if a in _SECTION_AXES]
    known = set(axes) <= {"C", "Y", "X", *_SECTION_AXES}
    if len(sections) > 1 or not known or "Y" not in axes or "X" not in axes:
        raise SourceError(f"{path} has the axes {axes} {shape}; it must be sections of grey images, with or without channels")
    channel = axes.index("C") if "C" in axes else None
    return channel, (sections[0] if sections else None), axes.index("Y"), axes.index("X")


def _file_reader(path: str, file: Any, series: Any, order: Order) -> Callable[[Box], np.ndarray]:
    if series.dataoffset is not None:
        file.close()
        return _mapped_reader(path, series, np.dtype(series.dtype).newbyteorder(file.byteorder), order)
    if series.axes[-2:] != "YX" or len(series.pages) != int(np.prod(series.shape[:-2])):
        raise SourceError(f"{path} stores its axes {series.axes} in a way that is not read; save it with one section per page")
    lead = [(i, int(n)) for i, n in enumerate(series.shape[:-2])]

    def page_of(channel: int, z: int) -> int:
        place = {order[0]: channel, order[1]: z}
        index = 0
        for axis, extent in lead:
            index = index * extent + place[axis]
        return index

    def read(box: Box) -> np.ndarray:
        channels = 1 if order[0] is None else series.shape[order[0]]
        out = np.empty((channels, *box.shape), np.dtype(series.dtype).newbyteorder("="))
        _, rows, columns = box.slices()
        for channel, i in itertools.product(range(channels), range(box.shape[0])):
            page = series.pages[page_of(channel, box.start[0] + i)]
            out[channel, i] = page.asarray()[rows, columns]
        return out

    weakref.finalize(read, file.close)
    return read


def _mapped_reader(path: str, series: Any, dtype: np.dtype, order: Order) -> Callable[[Box], np.ndarray]:
    """Read from a file whose pixels lie in one uncompressed run: only the bytes needed."""
    if series.dataoffset + int(np.prod(series.shape)) * dtype.itemsize > Path(path).stat().st_size:
        raise SourceError(f"{path} is truncated: it ends before the last of its sections {series.shape}")
    mapped = np.memmap(path, dtype, "r", series.dataoffset, series.shape)
    present = [a for a in order if a is not None]
    view: np.ndarray = mapped.transpose(present)
    for position, axis in enumerate(order):
        if axis is None:
            view = np.expand_dims(view, position)

    def read(box: Box) -> np.ndarray:
        return np.ascontiguousarray(view[(slice(None), *box.slices())])

    return read
