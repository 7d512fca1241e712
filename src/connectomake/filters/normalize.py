"""Contrast of sections made alike: each is stretched by its own histogram."""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from connectomake.errors import ConfigError, SourceError
from connectomake.filters.base import Filter, Hashed, Place, largest, rounded
from connectomake.filters.histograms import Histograms, read_histograms
from connectomake.geometry import Box


@dataclass(frozen=True)
class Normalize(Filter):
    """Stretch the contrast of every section, so that the same shares of its voxels become the darkest and the brightest.

    Parameters
    ----------
    file
        The histograms of the source's sections, as ``connectomake histograms`` writes them.
    clip
        Shares of a section's voxels, from dark to bright, that become the ends of `to`: at ``[0.01, 0.99]`` the value which a
        hundredth of the voxels does not exceed becomes ``to[0]``.
    to
        What they become; None: 0 and the largest value of the dtype.
    keep
        A value that is not counted and stays, such as 0 for padding; None: none.
    sha256
        Hash of the file, when the plan was made.
    """

    key: ClassVar[str] = "normalize"
    mirrored: ClassVar[bool] = False
    first: ClassVar[bool] = True

    file: str = ""
    clip: tuple[float, float] = (0.01, 0.99)
    to: tuple[float, float] | None = None
    keep: int | None = None
    sha256: str = ""

    def __post_init__(self) -> None:
        """Refuse shares and ranges that are empty."""
        low, high = self.clip
        if not 0 <= low < high <= 1:
            raise ConfigError(f"clip {list(self.clip)} must be two fractions, 0 to 1, the smaller first")
        if self.to is not None and self.to[0] == self.to[1]:
            raise ConfigError(f"to {list(self.to)} is empty; name two different values")

    def gives(self, stored: str) -> str:
        histograms = _opened(self.file)
        if stored != histograms.dtype:
            raise ConfigError(
                f"file {self.file!r} counts {histograms.dtype} values, but the image has {stored} here; normalize must be the "
                "first filter, and the histograms those of this source"
            )
        if self.to is not None and not all(0 <= v <= largest(stored) for v in self.to):
            raise ConfigError(f"to {list(self.to)} does not fit {stored}, which holds 0 to {largest(stored):.0f}; change it")
        return stored

    @property
    def made_for(self) -> str:
        return _opened(self.file).identity

    def check(self, bounds: Box) -> None:
        counted = _opened(self.file).bounds
        if counted != bounds:
            raise ConfigError(
                f"file {self.file!r} counts the sections of {counted}, but the source holds {bounds}; make it again with "
                "connectomake histograms"
            )

    def meaning(self) -> dict[str, Any]:
        return {key: value for key, value in self.plain().items() if key != "file"}

    def files(self) -> Hashed:
        return {self.file: self.sha256}

    def sealed(self, hashes: Callable[[str], tuple[str, Hashed]]) -> "Normalize":
        return replace(self, sha256=hashes(self.file)[0])

    def apply(self, values: NDArray[Any], place: Place) -> NDArray[Any]:
        found, histograms = np.empty_like(values), _opened(self.file)
        for offset in range(values.shape[1]):
            for channel, part in enumerate(values):
                table = _table(histograms, self, place.box.start[0] + offset, channel)
                np.take(table, part[offset], out=found[channel, offset])
        return found


def _opened(file: str) -> Histograms:
    """Return the histograms of a file, which is read once as long as it stays the same."""
    try:
        found = Path(file).stat()
    except OSError as error:
        raise SourceError(f"{file} is not a histogram file ({error.strerror}); make one with connectomake histograms") from None
    return _read(str(Path(file).resolve()), (found.st_mtime_ns, found.st_size, found.st_ino))


@functools.lru_cache
def _read(path: str, mark: tuple[int, ...]) -> Histograms:
    return replace(read_histograms(Path(path)), mark=mark)


@functools.lru_cache(4096)
def _table(histograms: Histograms, step: Normalize, z: int, channel: int) -> NDArray[Any]:
    """Return what becomes of every value in a section."""
    counts = histograms.counts(z, channel)
    kept = step.keep if step.keep is not None and step.keep < counts.size else None
    if kept is not None:
        counts[kept] = 0
    values = np.arange(counts.size)
    low, high = (quantile(counts, share) for share in step.clip)
    if low < high:
        first, last = step.to or (0.0, largest(histograms.dtype))
        share = np.clip((values - np.float64(low)) / (high - low), 0, 1)
        table = rounded(first + share * (last - first), histograms.dtype)
    else:  # all of one value: nothing says how bright it should be
        table = values.astype(histograms.dtype)
    if kept is not None:
        table[kept] = kept
    return table


def quantile(counts: NDArray[np.int64], share: float) -> int:
    """Return the smallest value that at least a share of the voxels does not exceed, and at least one; 0 if there are none.

    The share is taken as it is written in decimal, and counted in integers.
    """
    total = int(counts.sum())
    if not total:
        return 0
    rank = max(math.ceil(Fraction(str(float(share))) * total), 1)
    return int(np.searchsorted(np.cumsum(counts), rank))
