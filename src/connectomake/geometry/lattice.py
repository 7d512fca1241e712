"""The patch lattice: where the network's patches lie, for the whole region of interest and whatever the blocks are."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from connectomake.errors import ConfigError
from connectomake.geometry.box import Box, Vec


@dataclass(frozen=True, slots=True)
class PatchLattice:
    """Output patches laid over the region of interest with a fixed overlap.

    Along each axis patches start at 0, stride, 2 stride, … from the start of the region, until one reaches its end;
    that last one is moved inward so that it ends there. A region thinner than the patch has a single patch, which
    begins at its start and reaches beyond its end. ::

        roi      |----------------------------|
        patches  [=========]
                        [=========]
                               [=========]
                                    [=========]     moved inward

    Parameters
    ----------
    roi
        Region of interest, in voxels; not empty.
    patch
        Shape of the output patch, in voxels.
    overlap
        Voxels that neighbouring patches share, per axis; at least 0 and less than the patch.

    Raises
    ------
    ConfigError
        If the region is empty or the overlap does not fit the patch.

    Examples
    --------
    >>> lattice = PatchLattice(Box((0, 0, 0), (4, 4, 11)), (4, 4, 4), (0, 0, 1))
    >>> lattice.counts, lattice.axis_starts(2, 0, 11).tolist()
    ((1, 1, 4), [0, 3, 6, 7])
    >>> lattice.axis_starts(2, 4, 6).tolist()   # 6 begins where this range stops
    [3]
    """

    roi: Box
    patch: Vec
    overlap: Vec

    def __post_init__(self) -> None:
        """Refuse an empty region and an overlap that does not fit."""
        if self.roi.empty:
            raise ConfigError(f"the region of interest {self.roi} is empty: give it at least one voxel per axis")
        for name, patch, overlap in zip("zyx", self.patch, self.overlap, strict=True):
            if patch < 1:
                raise ConfigError(f"the output patch must be at least 1 along {name}, got {patch}")
            if not 0 <= overlap < patch:
                raise ConfigError(
                    f"the overlap must be at least 0 and less than the output patch ({patch}) along {name}, got {overlap}"
                )

    @property
    def stride(self) -> Vec:
        """Distance between the starts of neighbouring patches."""
        z, y, x = (p - o for p, o in zip(self.patch, self.overlap, strict=True))
        return (z, y, x)

    @property
    def counts(self) -> Vec:
        """Number of patches per axis."""
        z, y, x = (
            max(-(-(size - overlap) // stride), 1)
            for size, overlap, stride in zip(self.roi.shape, self.overlap, self.stride, strict=True)
        )
        return (z, y, x)

    @property
    def total(self) -> int:
        """Number of patches of the whole lattice."""
        z, y, x = self.counts
        return z * y * x

    def axis_starts(self, axis: int, low: int, high: int) -> NDArray[np.int64]:
        """Return the first voxels of the patches that meet ``low <= position < high`` along one axis, ascending."""
        begin, stride, patch = self.roi.start[axis], self.stride[axis], self.patch[axis]
        last = self.counts[axis] - 1
        first = max((low - begin - patch) // stride + 1, 0)
        stop = min(-((begin - high) // stride), last)
        starts = begin + stride * np.arange(first, max(stop, first), dtype=np.int64)
        moved = begin + max(min(last * stride, self.roi.shape[axis] - patch), 0)
        if moved < high and moved + patch > low:
            starts = np.append(starts, np.int64(moved))
        return starts

    def starts(self, box: Box) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Return, per axis, the first voxels of the patches that meet a box."""
        z, y, x = (self.axis_starts(axis, box.start[axis], box.stop[axis]) for axis in range(3))
        return z, y, x

    def patches_meeting(self, box: Box) -> NDArray[np.int64]:
        """Return the first voxels of the patches that meet a box, in lattice order (raster order in z, y, x).

        Returns
        -------
        (n, 3) int64
            Positions z, y, x in voxels. Only the patches of this box are made, never the whole lattice.
        """
        grid = np.meshgrid(*self.starts(box), indexing="ij")
        return np.stack([g.ravel() for g in grid], axis=1)

    def count(self, box: Box) -> int:
        """Return how many patches meet a box."""
        z, y, x = self.starts(box)
        return len(z) * len(y) * len(x)

    def forward_passes(self, block: Vec) -> int:
        """Return how many patches all blocks of a grid of `block` over the region compute together."""
        product = 1
        for axis in range(3):
            begin, end = self.roi.start[axis], self.roi.stop[axis]
            edges = range(begin, end, block[axis])
            product *= sum(len(self.axis_starts(axis, a, min(a + block[axis], end))) for a in edges)
        return product

    def recompute_factor(self, block: Vec) -> float:
        """Return the forward passes of all blocks over those of the lattice: 1 is no patch computed twice."""
        return self.forward_passes(block) / self.total
