"""Atomically copy a volume block by block into a file or folder."""

import contextlib
import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np

from connectomake.atomic import flush, temporary_name
from connectomake.errors import ConfigError, ConnectomakeError
from connectomake.exporting.bucket import in_bucket
from connectomake.exporting.direct import Taker, pass_on, passes
from connectomake.exporting.formats import ExportFormat
from connectomake.exporting.volume import Level, Options, Writer
from connectomake.geometry import Box, Vec
from connectomake.os_errors import storage_error
from connectomake.stale_files import remove_left_of

MEMORY_MB = 256
COPIES = 6
"""Blocks that lie in memory at once at most: one is written, as read and as encoded; the next is read, as decoded and as given;
and what the libraries hold of each.
"""

FLUSHES = 16
"""Files that are flushed at the same time, so that the disk combines its writes."""


def export_volume(
    levels: Sequence[Level],
    destination: str,
    form: ExportFormat,
    options: Options,
    *,
    memory_mb: int = MEMORY_MB,
    overwrite: bool = False,
) -> None:
    """Write a volume to `destination`.

    Parameters
    ----------
    levels
        Scales of the volume, the finest first; only a format with a pyramid takes more than the first.
    destination
        Local file or folder, or a folder in a bucket (s3, gs); appears when all is written.
    memory_mb
        What the blocks in memory take together at most, in MB; a block is a sixth of it.
    overwrite
        Whether what is there is replaced.

    Raises
    ------
    ConfigError
        If the destination exists or cannot be written to, if the format cannot hold the voxels, or the bound is too small.
    SourceError, StorageError
        If voxels cannot be read or written.
    """
    levels = levels if form.pyramid else levels[:1]
    if "://" in destination and not destination.startswith("file://"):
        form.check(levels[0])
        with in_bucket(destination, levels, form, options, overwrite) as writers:
            _copy_all(levels, writers, memory_mb)
        return
    final = _checked(destination.removeprefix("file://"), levels, overwrite)
    form.check(levels[0])
    with whole(final) as temporary:
        _copy_all(levels, form.create(temporary, levels, options), memory_mb)


def _copy_all(levels: Sequence[Level], writers: Sequence[Writer], memory_mb: int) -> None:
    for level, writer in zip(levels, writers, strict=True):
        _copy(level, writer, memory_mb)
    for writer in writers:
        writer.close()


def _copy(level: Level, writer: Writer, memory_mb: int) -> None:
    """Write a level; the next block is read while one is written."""
    if isinstance(writer, Taker) and passes(level):
        pass_on(level, writer, boxes(level, writer.grain, memory_mb))
        return
    with ThreadPoolExecutor(1, "read-ahead") as reader:
        before: tuple[Box, Future[np.ndarray]] | None = None
        for box in boxes(level, writer.grain, memory_mb):
            coming = reader.submit(level.read, box)
            if before is not None:
                _write(writer, *before)
            before = box, coming
        if before is not None:
            _write(writer, *before)


def _write(writer: Writer, box: Box, values: "Future[np.ndarray]") -> None:
    writer.write(box, values.result())


def boxes(level: Level, grain: Vec, memory_mb: int) -> Iterator[Box]:
    """Yield the blocks of a level, counted from its first voxel: as large as the bound allows, multiples of `grain`.

    They grow to a storage chunk of the source first, so that few chunks are decoded more than once.

    Raises
    ------
    ConfigError
        If not even one grain fits.
    """
    shape = level.box.shape
    most = memory_mb * 10**6 // COPIES // level.voxel_bytes
    block = [min(g, n) for g, n in zip(grain, shape, strict=True)]
    if _product(block) > most:
        need = -(-_product(block) * level.voxel_bytes * COPIES // 10**6)
        raise ConfigError(
            f"a block of {tuple(block)} voxels needs --memory {need}, not {memory_mb}; give more, or smaller --chunk"
        )
    for limit in (tuple(min(c, n) for c, n in zip(level.source.chunk, shape, strict=True)), shape):
        block = _grown(block, limit, shape, most)
    for z in range(0, shape[0], block[0]):
        for y in range(0, shape[1], block[1]):
            for x in range(0, shape[2], block[2]):
                yield Box.of_shape((block[0], block[1], block[2]), (z, y, x)).intersect(Box.of_shape(shape))


def _grown(block: list[int], limit: Sequence[int], shape: Vec, most: int) -> list[int]:
    """Return a block doubled along its axes, the last first, while it is below `limit` there and has `most` voxels at most."""
    grown = True
    while grown:
        grown = False
        for axis in (2, 1, 0):
            wider = [min(2 * b, n) if a == axis else b for a, (b, n) in enumerate(zip(block, shape, strict=True))]
            if block[axis] < limit[axis] and _product(wider) <= most:
                block, grown = wider, True
    return block


def _product(values: Sequence[int]) -> int:
    return values[0] * values[1] * values[2]


def _checked(destination: str, levels: Sequence[Level], overwrite: bool) -> Path:
    final = Path(destination)
    for level in levels:
        there = Path(level.source.path)
        if (
            final.exists()
            and there.exists()
            and (there.resolve() == final.resolve() or final.resolve() in there.resolve().parents)
        ):
            raise ConfigError(f"{destination} is, or holds, what is read ({level.source.path}); name another destination")
    if final.exists() and not overwrite:
        raise ConfigError(f"{destination} exists; name another destination, or replace it with --overwrite")
    return final


@contextlib.contextmanager
def whole(final: Path) -> Iterator[Path]:
    """Yield a temporary file or folder beside `final`, which takes its place when the block ends well, else is removed."""
    temporary = temporary_name(final)
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        remove_left_of(final)
        yield temporary
        _flush_all(temporary)
        _replace(temporary, final)
    except BaseException as error:
        _remove(temporary)
        refused = None if isinstance(error, ConnectomakeError) else storage_error(final, error, "written")
        if refused is not None:
            raise refused from error
        raise


def _replace(temporary: Path, final: Path) -> None:
    """Rename; a folder does not take the place of what is there, so that is put aside first and back if the rename fails."""
    aside = temporary_name(final) if final.exists() and (final.is_dir() or temporary.is_dir()) else None
    if aside is not None:
        final.replace(aside)
    try:
        temporary.replace(final)
    except BaseException:
        if aside is not None:
            aside.replace(final)
        raise
    flush(final.parent)
    if aside is not None:
        _remove(aside)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def _flush_all(path: Path) -> None:
    if path.is_file():
        flush(path)
        return
    with ThreadPoolExecutor(FLUSHES, "flush") as pool:
        for folder, _, files in os.walk(path):
            for _ in pool.map(flush, [Path(folder, name) for name in files]):
                pass
            flush(Path(folder))
