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
from connectomake.sources.options import DEFAULTS, SourceOptions
from connectomake.sources.photometry import Photometry, describe_bits
from connectomake.sources.reasons import TRUNCATED, reason, way_out
from connectomake.sources.source import Source, choose_voxel_size, read_as, volume_shape
from connectomake.sources.stack import Header, common_header, find_sections, section_reader
from connectomake.sources.tiff_pages import alike, further_images, loose_pages, oriented, page_grey, photometry_of, series_grey

Order = tuple[int | None, int | None, int, int]

_SECTION_AXES = "ZIQTR"  # what programs call the third axis


def open_tiff(path: str, voxel_size: Sequence[float] | None, options: SourceOptions = DEFAULTS) -> Source:
    """Open a multi-page TIFF, (z, y, x) or with a channel axis, or a folder of 2-D TIFFs in the order of their numbers."""
    return _open_folder(path, voxel_size, options) if Path(path).is_dir() else _open_file(path, voxel_size)


def _open_folder(path: str, voxel_size: Sequence[float] | None, options: SourceOptions) -> Source:
    sections = find_sections(path, (".tif", ".tiff"), options)
    files = sections.present
    first, notes = _section_photometry(files[0])
    header = common_header(files, _section_header, _decode)
    return Source(
        path=path,
        kind="tiff",
        bounds=Box.of_shape((len(sections.files), *header.shape)),
        channels=1,
        **read_as(header.dtype, path),
        voxel_size=choose_voxel_size(voxel_size, None, path),
        identity=identity.of_files(files, "tiff", *first.changes),
        _reader=section_reader(sections.files, _decode, header),
        remarks=sections.remarks,
        notes=(*sections.notes, *notes),
        blank_sections=sections.blank,
        stretch=header.stretch,
    )


def _section_photometry(path: Path) -> tuple[Photometry, tuple[str, ...]]:
    file, series = _series(path)
    with file:
        photometry = photometry_of(series.keyframe, str(path))
        return photometry, _notes(str(path), file, series, photometry)


def _section_header(path: Path) -> Header:
    file, series = _series(path)
    with file:
        axes, shape = _greys(series)
        if len(shape) != 2 or (len(file.series) > 1 and loose_pages(file) is not None):
            raise SourceError(f"{path} has the axes {axes} {shape}; each file of a folder must be one grey section")
        photometry = photometry_of(series.keyframe, str(path))
        coloured = photometry.samples > 1 or photometry.palette is not None
        return Header((int(shape[0]), int(shape[1])), photometry.dtype, coloured, photometry.factor)


def _decode(path: Path) -> np.ndarray:
    file, series = _series(path)
    with file:
        return page_grey(series.pages[0], photometry_of(series.keyframe, str(path)), str(path))


def _notes(where: str, file: Any, series: Any, photometry: Photometry) -> tuple[str, ...]:
    found = (further_images(file), oriented(series.keyframe), describe_bits((photometry.bits,), photometry.dtype))
    return tuple(f"{where}: {text}" for text in found if text)


def _greys(series: Any) -> tuple[str, tuple[int, ...]]:
    """Return axes and shape of a series without that of the samples of a voxel."""
    kept = [i for i, axis in enumerate(series.axes) if axis != "S"]
    return "".join(series.axes[i] for i in kept), tuple(int(series.shape[i]) for i in kept)


def _open_file(path: str, voxel_size: Sequence[float] | None) -> Source:
    file, series = _series(Path(path))
    try:
        pages = loose_pages(file) if len(file.series) > 1 else None
        if pages is not None:
            return _open_pages(path, file, pages, voxel_size)
        return _open_series(path, file, series, voxel_size)
    except BaseException:
        file.close()
        raise


def _open_series(path: str, file: Any, series: Any, voxel_size: Sequence[float] | None) -> Source:
    axes, extents = _greys(series)
    order = _axis_order(axes, extents, path)
    channels, shape = volume_shape([1 if axis is None else extents[axis] for axis in order], path)
    photometry = photometry_of(series.keyframe, path)
    notes = _notes(path, file, series, photometry)
    read = _file_reader(path, file, series, order, photometry)
    if photometry.samples > 1 or photometry.palette is not None:
        read(Box.of_shape((1, *shape[1:])))
    return Source(
        path=path,
        kind="tiff",
        bounds=Box.of_shape(shape),
        channels=channels,
        **read_as(photometry.dtype, path),
        voxel_size=choose_voxel_size(voxel_size, None, path),
        identity=identity.of_file(Path(path), "tiff", *photometry.changes),
        _reader=read,
        notes=notes,
        stretch=photometry.factor,
    )


def _open_pages(path: str, file: Any, pages: list[Any], voxel_size: Sequence[float] | None) -> Source:
    """Open a file whose pages were appended one by one, or are not alike."""
    meanings = [photometry_of(p.keyframe, f"page {i} of {path}") for i, p in enumerate(pages)]
    dtype = meanings[0].dtype
    height, width = pages[0].shape
    other = next((i for i, m in enumerate(meanings) if m.dtype != dtype), None)
    if other is not None:
        raise SourceError(f"page {other} of {path} is {meanings[other].dtype}, but the first is {dtype}; all must be alike")
    changed = sorted({word for m in meanings for word in m.changes})

    def read(box: Box) -> np.ndarray:
        out = np.empty((1, *box.shape), dtype)
        _, rows, columns = box.slices()
        for i, z in enumerate(range(box.start[0], box.stop[0])):
            out[0, i] = page_grey(pages[z], meanings[z], f"page {z} of {path}")[rows, columns]
        return out

    weakref.finalize(read, file.close)
    notes = [f"{path}: {t}" for t in (oriented(pages[0].keyframe), describe_bits([m.bits for m in meanings], dtype)) if t]
    if len({m.changes for m in meanings}) > 1:
        notes.append(
            f"{path}: its pages differ in how samples become grey ({', '.join(changed)} of some only); each is read as it says"
        )
    return Source(
        path=path,
        kind="tiff",
        bounds=Box.of_shape((len(pages), int(height), int(width))),
        channels=1,
        **read_as(dtype, path),
        voxel_size=choose_voxel_size(voxel_size, None, path),
        identity=identity.of_file(Path(path), "tiff", *changed, *([] if len(file.series) == len(pages) else ["all pages"])),
        _reader=read,
        notes=tuple(notes),
        stretch=meanings[0].factor if len({m.factor for m in meanings}) == 1 else 1,
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
        raise SourceError(f"{path} cannot be opened as TIFF ({reason(error)}); {way_out(error, TRUNCATED)}") from error
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
    sections = [i for i, a in enumerate(axes) if a in _SECTION_AXES]
    known = set(axes) <= {"C", "Y", "X", *_SECTION_AXES}
    if len(sections) > 1 or not known or "Y" not in axes or "X" not in axes:
        raise SourceError(f"{path} has the axes {axes} {shape}; it must be sections of grey images, with or without channels")
    channel = axes.index("C") if "C" in axes else None
    return channel, (sections[0] if sections else None), axes.index("Y"), axes.index("X")


def _file_reader(path: str, file: Any, series: Any, order: Order, photometry: Photometry) -> Callable[[Box], np.ndarray]:
    if series.dataoffset is not None and alike(series, photometry, path):
        file.close()
        dtype = np.dtype(series.dtype).newbyteorder(file.byteorder)
        return _mapped_reader(path, series, dtype, order, photometry)
    axes, shape = _greys(series)
    if axes[-2:] != "YX" or len(series.pages) != int(np.prod(shape[:-2])):
        raise SourceError(f"{path} stores its axes {series.axes} in a way that is not read; save it with one section per page")
    lead = [(i, int(n)) for i, n in enumerate(shape[:-2])]

    def page_of(channel: int, z: int) -> int:
        place = {order[0]: channel, order[1]: z}
        index = 0
        for axis, extent in lead:
            index = index * extent + place[axis]
        return index

    def read(box: Box) -> np.ndarray:
        channels = 1 if order[0] is None else shape[order[0]]
        out = np.empty((channels, *box.shape), photometry.dtype)
        _, rows, columns = box.slices()
        for channel, i in itertools.product(range(channels), range(box.shape[0])):
            index = page_of(channel, box.start[0] + i)
            out[channel, i] = series_grey(series, index, photometry, f"page {index} of {path}")[rows, columns]
        return out

    weakref.finalize(read, file.close)
    return read


def _mapped_reader(
    path: str, series: Any, dtype: np.dtype, order: Order, photometry: Photometry
) -> Callable[[Box], np.ndarray]:
    """Read from a file whose pixels lie in one uncompressed run: only the bytes needed."""
    if series.dataoffset + int(np.prod(series.shape)) * dtype.itemsize > Path(path).stat().st_size:
        raise SourceError(f"{path} is truncated: it ends before the last of its sections {series.shape}")
    mapped = np.memmap(path, dtype, "r", series.dataoffset, series.shape)
    if "S" in series.axes:
        mapped = np.moveaxis(mapped, series.axes.index("S"), -1)
    present = [a for a in order if a is not None]
    view: np.ndarray = mapped.transpose([*present, *range(len(present), mapped.ndim)])
    for position, axis in enumerate(order):
        if axis is None:
            view = np.expand_dims(view, position)

    def read(box: Box) -> np.ndarray:
        part = view[(slice(None), *box.slices())]
        return np.ascontiguousarray(part if photometry.plain else photometry.grey(part, f"{box} of {path}"))

    return read
