"""Label volumes: a ground truth or a segmentation in any format, read as unsigned integers at its place."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from connectomake.errors import ConfigError, SourceError
from connectomake.geometry import Box, Vec
from connectomake.sources.formats import BY_NAME
from connectomake.sources.options import DEFAULTS, SourceOptions
from connectomake.sources.places import alike, check_places
from connectomake.sources.source import UNSIZED, Source, VoxelSize


@dataclass(frozen=True)
class Labels:
    """A label volume.

    Parameters
    ----------
    source
        Where it is read; one channel of integers.
    voxel_size
        Nanometres, z, y, x; None where the source has none.
    """

    source: Source
    voxel_size: VoxelSize | None

    @property
    def bounds(self) -> Box:
        """The voxels that exist."""
        return self.source.bounds

    @property
    def tile(self) -> Vec | None:
        """Shape of a box that reads well; None: whole sections do."""
        return None if BY_NAME[self.source.kind].stack else (128, 256, 256)

    def filled(self, box: Box) -> tuple[int, int]:
        """Return how many storage chunks and voxels of a box were filled: see `Source.filled`."""
        return self.source.filled(box)

    def read(self, box: Box) -> np.ndarray:
        """Read the labels of a box, (z, y, x) uint64, C-contiguous.

        Raises
        ------
        SourceError
            If the box leaves the bounds, the data cannot be read, or a label is negative.
        """
        values = self.source.read(box)[0]
        if values.dtype.kind == "i" and values.size and values.min() < 0:
            raise SourceError(f"{self.source.path} holds the label {values.min()} in {box}; labels must not be negative")
        return values.astype(np.uint64)  # type: ignore[no-any-return]


def open_labels(
    path: str,
    dataset: str | None = None,
    scale: int | str | None = None,
    offset: Sequence[int] | None = None,
    options: SourceOptions = DEFAULTS,
) -> Labels:
    """Open a label volume in any format of `open_source`.

    Parameters
    ----------
    path, dataset, scale, options
        As `open_source`.
    offset
        Where the array's voxel 0, 0, 0 lies; comes before that of `options`.

    Raises
    ------
    ConfigError, SourceError
        If it cannot be opened, has several channels, or holds no integers.
    """
    if offset is not None:
        z, y, x = (int(v) for v in offset)
        options = replace(options, offset=(z, y, x))
    source, voxel_size = open_unsized(path, dataset, scale, options)
    source = source if source.stretch == 1 else source.exact()  # ids, not brightness
    where = path + (f" [{dataset}]" if dataset else "")
    if np.dtype(source.dtype).kind not in "iu":
        raise SourceError(f"{where} holds {source.dtype}, which are not labels; name a volume of integers")
    if source.channels != 1:
        raise SourceError(f"{where} has {source.channels} channels; labels have one: name another volume or dataset")
    return Labels(source, voxel_size)


def open_unsized(
    path: str, dataset: str | None, scale: int | str | None, options: SourceOptions
) -> tuple[Source, VoxelSize | None]:
    """Open a source of which no voxel size is needed, and return the one that it has, or None.

    Raises
    ------
    ConfigError, SourceError
        See `open_source`.
    """
    from connectomake.sources import open_source

    try:
        source = open_source(path, dataset, None, scale, options)
    except ConfigError:
        return open_source(path, dataset, UNSIZED, scale, options), None
    return source, source.voxel_size


def common_box(
    gt: Labels,
    seg: Labels,
    names: tuple[str, str] = ("--offset-gt", "--offset-seg"),
    called: tuple[str, str] = ("the ground truth", "the segmentation"),
) -> Box:
    """Return the box that both volumes cover.

    Parameters
    ----------
    gt, seg
        Ground truth and segmentation.
    names
        What sets the place of each, for errors.
    called
        What each is called there.

    Raises
    ------
    SourceError
        If they do not overlap, differ in voxel size, or the place of one to the other is not known.
    """
    a, b = f"{called[0]} {gt.source.path}", f"{called[1]} {seg.source.path}"
    if gt.voxel_size and seg.voxel_size and not alike(gt.voxel_size, seg.voxel_size):
        raise SourceError(
            f"{a} has voxels of {list(gt.voxel_size)} nm, {b} of {list(seg.voxel_size)}; name scales of one voxel size"
        )
    check_places((a, gt.source), (b, seg.source), names)
    both = gt.bounds.intersect(seg.bounds)
    if both.empty:
        raise SourceError(f"{a} ({gt.bounds}) and {b} ({seg.bounds}) have no voxel in common; correct {' or '.join(names)}")
    return both
