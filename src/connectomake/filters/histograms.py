"""Histograms of sections, exact: a file made once, by which sections are normalised."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from connectomake.atomic import atomic_path
from connectomake.errors import SourceError
from connectomake.geometry import Box

BINS = {"uint8": 1 << 8, "uint16": 1 << 16}
"""Values of the dtypes that are counted."""
DATASET, VERSION = "histograms", 1
_MOST_VOXELS = 1 << 24
"""Voxels that are read at once."""
BLANK_SHARE, OUTLYING, NEAR = 0.95, 6.0, 10
"""A section is odd if one value holds so much of it, or its median lies so many deviations off those of so many around."""
Reader = Callable[[Box], NDArray[Any]]


@dataclass(frozen=True)
class Histograms:
    """What a file holds, but for the counts, which are read as they are needed.

    Parameters
    ----------
    path
        The file.
    bounds
        The volume whose sections were counted.
    channels, dtype, identity
        Of the volume; the fingerprint of its content.
    mark
        What changes when the file is written anew.
    """

    path: Path
    bounds: Box
    channels: int
    dtype: str
    identity: str
    mark: tuple[int, ...] = ()

    def counts(self, z: int, channel: int) -> NDArray[np.int64]:
        """Return how many voxels of a section have each value, (bins,) int64."""
        with h5py.File(self.path) as file:
            found: NDArray[np.int64] = file[DATASET][z - self.bounds.start[0], channel].astype(np.int64)
        return found


def count_sections(read: Reader, bounds: Box, channels: int, dtype: str) -> Iterator[NDArray[np.int64]]:
    """Yield for each section how many voxels of each channel have each value, (channels, bins).

    Raises
    ------
    SourceError
        If the volume is of a dtype whose values are not counted.
    """
    if dtype not in BINS:
        raise SourceError(
            f"histograms count uint8 and uint16 values, not {dtype}; convert the volume, or use the filter rescale"
        )
    height, width = bounds.shape[1:]
    rows = max(min(_MOST_VOXELS // (width * channels), height), 1)
    deep = max(_MOST_VOXELS // (height * width * channels), 1)
    for low in range(bounds.start[0], bounds.stop[0], deep):
        high = min(low + deep, bounds.stop[0])
        found = np.zeros((high - low, channels, BINS[dtype]), np.int64)
        for top in range(bounds.start[1], bounds.stop[1], rows):
            part = read(Box((low, top, bounds.start[2]), (high, min(top + rows, bounds.stop[1]), bounds.stop[2])))
            for channel, section in np.ndindex(channels, high - low):
                found[section, channel] += np.bincount(part[channel, section].ravel(), minlength=BINS[dtype])
        yield from found


def write_histograms(found: Histograms, counts: Iterator[NDArray[np.int64]]) -> None:
    """Write histograms, section by section; equal ones give equal bytes."""
    bounds, dtype = found.bounds, found.dtype
    shape = (bounds.shape[0], found.channels, BINS[dtype])
    with atomic_path(found.path) as temporary, h5py.File(temporary, "w", libver="v110") as file:
        data = file.create_dataset(
            DATASET, shape, np.uint64, chunks=(1, 1, BINS[dtype]), compression="gzip", compression_opts=4, track_times=False
        )
        facts = {"version": VERSION, "start": bounds.start, "stop": bounds.stop, "dtype": dtype, "identity": found.identity}
        for name, value in facts.items():
            data.attrs[name] = value
        for section, values in enumerate(counts):
            data[section] = values


def read_histograms(path: Path) -> Histograms:
    """Open a file of histograms.

    Raises
    ------
    SourceError
        If it is none.
    """
    try:
        with h5py.File(path) as file:
            data = file[DATASET]
            start, stop = ([int(v) for v in data.attrs[name]] for name in ("start", "stop"))
            dtype, identity = str(data.attrs["dtype"]), str(data.attrs["identity"])
            version, shape = int(data.attrs["version"]), data.shape
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise SourceError(f"{path} is not a histogram file ({error}); make one with connectomake histograms") from None
    bounds = Box((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))
    if version != VERSION or dtype not in BINS or len(shape) != 3 or (shape[0], shape[2]) != (bounds.shape[0], BINS[dtype]):
        raise SourceError(f"{path} is not a histogram file of this version; make it again with connectomake histograms")
    return Histograms(path, bounds, shape[1], dtype, identity)


def odd_sections(counts: NDArray[np.int64], first: int) -> list[int]:
    """Return the sections that look blank, or brighter or darker than those around them.

    Parameters
    ----------
    counts
        (sections, bins), of one channel.
    first
        The first section's z.
    """
    totals = counts.sum(axis=1)
    blank = counts.max(axis=1) >= BLANK_SHARE * totals
    medians = (np.cumsum(counts, axis=1) * 2 >= totals[:, None]).argmax(axis=1).astype(float)
    good = np.flatnonzero(~blank)
    found = set(np.flatnonzero(blank).tolist())
    for section in good:
        near = medians[good[(good != section) & (abs(good - section) <= NEAR)]]
        if near.size >= 3:
            middle = np.median(near)
            spread = 1.4826 * np.median(abs(near - middle)) + counts.shape[1] / 256
            if abs(medians[section] - middle) > OUTLYING * spread:
                found.add(int(section))
    return sorted(first + section for section in found)
