"""The mask of a config: opened once on the head, so that the plan knows which blocks lie wholly outside."""

import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from connectomake.errors import ConfigError, SourceError
from connectomake.geometry import BlockGrid, Box, Vec, volume_of
from connectomake.keys import Section, naming
from connectomake.planning.source_info import SourceInfo
from connectomake.sources import SourceOptions, open_source
from connectomake.sources.mask import Mask
from connectomake.sources.source import Source

KEYS = Section("mask")
_MOST_VOXELS = 1 << 27
"""Voxels of the mask that are read at once on the head."""
_NEAR = 1e-3


@dataclass(frozen=True)
class MaskInfo:
    """What the plan keeps of a mask.

    Parameters
    ----------
    volume
        The volume, with its own voxel size.
    factors
        Voxels of the source along a voxel of the mask, z, y, x.
    inverse
        Whether not 0 is outside.
    outside_blocks
        In hexadecimal, a bit for every block id, lowest bit of the lowest byte first: 1 where the block lies wholly outside.
    """

    volume: SourceInfo
    factors: Vec
    inverse: bool
    outside_blocks: str = ""

    @functools.cached_property
    def _bits(self) -> bytes:
        return bytes.fromhex(self.outside_blocks)

    def is_outside(self, block: int) -> bool:
        """Whether a block of the region of interest lies wholly outside."""
        return block >> 3 < len(self._bits) and bool(self._bits[block >> 3] >> (block & 7) & 1)

    @functools.cached_property
    def bits(self) -> NDArray[np.bool_]:
        """Whether the block of each id lies wholly outside, (ids,), at least one; ids beyond do not."""
        return np.unpackbits(np.frombuffer(self._bits or b"\0", np.uint8), bitorder="little").astype(bool)

    @property
    def count(self) -> int:
        """Number of blocks wholly outside."""
        return sum(byte.bit_count() for byte in self._bits)

    def meaning(self) -> dict[str, Any]:
        """Return what results depend on, as plain JSON values."""
        v = self.volume
        bounds = {"start": list(v.bounds.start), "stop": list(v.bounds.stop)}
        return {"identity": v.identity, "dataset": v.dataset, "scale": v.scale, "factors": list(self.factors),
                "inverse": self.inverse, "bounds": bounds, **v.options.chosen()}  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {"volume": self.volume.to_json(), "factors": list(self.factors), "inverse": self.inverse,
                "outside_blocks": self.outside_blocks}  # fmt: skip

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "MaskInfo":
        """Make it from what `to_json` gave."""
        z, y, x = value["factors"]
        return cls(SourceInfo.from_json(value["volume"]), (z, y, x), value["inverse"], value["outside_blocks"])

    def open(self) -> Mask:
        """Open the mask that the plan was made for.

        Raises
        ------
        SourceError
            If it cannot be reached, or another lies in its place.
        """
        with naming(KEYS):
            source = self.volume.open()
        if not self.volume.is_like(source.identity):
            raise SourceError(f"mask {self.volume.path} has changed since the plan was made; start snakemake on the head again")
        return Mask(source, self.factors, self.inverse)


def mask_info(section: dict[str, Any] | None, source: Source) -> MaskInfo | None:
    """Return what the plan keeps of the mask, but for the blocks; None if there is none.

    Parameters
    ----------
    section
        ``mask`` of the config.
    source
        The image.

    Raises
    ------
    ConfigError, SourceError
        If it cannot be opened, or does not fit the source.
    """
    if section is None:
        return None
    options, given = SourceOptions.of(section), section["voxel_size"]
    with naming(KEYS):
        found = open_source(section["path"], section["dataset"], given and tuple(given), section["scale"], options)
    if found.channels != 1:
        raise ConfigError(f"mask.path {section['path']!r} has {found.channels} channels; a mask has one")
    if np.dtype(found.dtype).kind == "f":
        raise ConfigError(
            f"mask.path {section['path']!r} has {found.dtype} values; a mask has whole numbers, of which 0 is outside: store "
            "what is above your threshold as 1, as uint8"
        )
    _check_place(section["path"], found, source)
    z, y, x = found.voxel_size
    info = SourceInfo(
        section["path"], section["dataset"], section["scale"], found.kind, found.bounds, 1, str(found.dtype), (z, y, x),
        found.identity, options, notes=found.notes,
    )  # fmt: skip
    return MaskInfo(info, _factors(section["path"], found, source), section["inverse"])


def _factors(path: str, mask: Source, source: Source) -> Vec:
    """Return how many voxels of the source lie along one of the mask."""
    ratios = [m / s for m, s in zip(mask.voxel_size, source.voxel_size, strict=True)]
    z, y, x = (round(r) for r in ratios)
    if any(n < 1 or abs(r - n) > _NEAR * n for r, n in zip(ratios, (z, y, x), strict=True)):
        raise ConfigError(
            f"mask.path {path!r} has voxels of {list(mask.voxel_size)} nm, which are not whole multiples of the source's, "
            f"{list(source.voxel_size)}; name another scale, correct mask.voxel_size, or resample the mask"
        )
    return (z, y, x)


def _check_place(path: str, mask: Source, source: Source) -> None:
    """Refuse a mask whose position in the source is not known."""
    if mask.place == "unclear" or (mask.place == "unknown" and any(source.bounds.start)):
        raise ConfigError(
            f"the source begins at {list(source.bounds.start)}, and where mask.path {path!r} begins is not known; set "
            "mask.offset to the place of its first voxel, in voxels of the mask"
        )
    if source.place == "unknown" and mask.place != "given" and any(mask.bounds.start):
        raise ConfigError(
            f"mask.path {path!r} begins at {list(mask.bounds.start)}, in voxels of its own, and where the source begins is not "
            "known; set source.offset, or mask.offset: [0, 0, 0] if both begin at the same place"
        )


def with_blocks(info: MaskInfo, grid: BlockGrid) -> MaskInfo:
    """Return the same with the blocks of a grid that lie wholly outside.

    Raises
    ------
    ConfigError
        If nothing is inside.
    SourceError
        If the mask cannot be read.
    """
    mask = info.open()
    outside = [block for block, inside in _looked_at(mask, grid) if not inside]
    if len(outside) == grid.count:
        raise ConfigError(
            f"mask.path {info.volume.path!r} leaves no voxel of the region of interest, {grid.roi}; it holds "
            f"{mask.source.bounds} in voxels of its own, {list(info.factors)} of the source each; correct mask.offset, or "
            "mask.inverse"
        )
    bits = bytearray((max(outside, default=0) >> 3) + 1)
    for block in outside:
        bits[block >> 3] |= 1 << (block & 7)
    return replace(info, volume=_noted(info, grid.roi), outside_blocks=bits.hex() if outside else "")


def _noted(info: MaskInfo, roi: Box) -> SourceInfo:
    """Return the volume with a note if it does not cover the region."""
    z, y, x = (a * f for a, f in zip(info.volume.bounds.start, info.factors, strict=True))
    c, b, a = (n * f for n, f in zip(info.volume.bounds.stop, info.factors, strict=True))
    covered = Box((z, y, x), (c, b, a))
    if covered.contains(roi):
        return info.volume
    beyond = "inside" if info.inverse else "outside"
    note = f"the mask {info.volume.path} covers {covered} of the source's voxels, not all of the region, {roi}; what is beyond "
    return replace(info.volume, notes=(*info.volume.notes, f"{note}counts as {beyond}; if it lies elsewhere, set mask.offset"))


def _looked_at(mask: Mask, grid: BlockGrid) -> Iterator[tuple[int, bool]]:
    """Yield for each block whether a voxel of it is inside; the mask is read once, many blocks at a time."""
    each = volume_of(tuple(-(-b // f) + 1 for b, f in zip(grid.block, mask.factors, strict=True)))  # type: ignore[arg-type]
    columns = max(min(_MOST_VOXELS // each, grid.shape[2]), 1)
    rows = max(min(_MOST_VOXELS // (each * columns), grid.shape[1]), 1)
    for z, y, x in itertools.product(range(grid.shape[0]), range(0, grid.shape[1], rows), range(0, grid.shape[2], columns)):
        near = [
            grid.id_at((z, b, a))
            for b in range(y, min(y + rows, grid.shape[1]))
            for a in range(x, min(x + columns, grid.shape[2]))
        ]
        boxes = [mask.coarse(grid.box(block)) for block in near]
        whole = functools.reduce(Box.union, boxes)
        inside = mask.voxels(whole)
        yield from ((block, bool(inside[box.slices(whole.start)].any())) for block, box in zip(near, boxes, strict=True))
