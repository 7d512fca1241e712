"""The cell lattice: the unit of meshing, anchored at the region of interest and independent of the blocks."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from connectomake.geometry.box import Box, Vec


@dataclass(frozen=True, slots=True)
class CellLattice:
    """Cells of one shape laid from the start of the region of interest; those at its end are cut off.

    Parameters
    ----------
    roi
        Region of interest, in voxels.
    cell
        Shape of a cell, in voxels.
    """

    roi: Box
    cell: Vec

    @property
    def shape(self) -> Vec:
        """Number of cells per axis."""
        z, y, x = (-(-s // c) for s, c in zip(self.roi.shape, self.cell, strict=True))
        return (z, y, x)

    def box(self, position: Vec) -> Box:
        """Return the voxels of the cell at a lattice position."""
        start = tuple(r + p * c for r, p, c in zip(self.roi.start, position, self.cell, strict=True))
        stop = tuple(min(s + c, e) for s, c, e in zip(start, self.cell, self.roi.stop, strict=True))
        return Box(start, stop)  # type: ignore[arg-type]

    def ranges_in(self, box: Box) -> tuple[range, range, range]:
        """Return the lattice positions, along z, y and x, of the cells that begin in `box`."""
        inside = box.intersect(self.roi)
        z, y, x = (
            range(-(-(a - r) // c), -(-(e - r) // c))
            for a, e, r, c in zip(inside.start, inside.stop, self.roi.start, self.cell, strict=True)
        )
        return z, y, x

    def positions_in(self, box: Box) -> Iterator[Vec]:
        """Yield the lattice positions of the cells that begin in `box`, in raster order."""
        yield from itertools.product(*self.ranges_in(box))
