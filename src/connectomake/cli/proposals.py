"""Block shapes that recompute fewer patches."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from connectomake.config import default_chunk
from connectomake.geometry import Vec, as_vec, volume_of
from connectomake.geometry.lattice import PatchLattice
from connectomake.pipeline.demands import Demands
from connectomake.planning.plan import Plan

RECOMPUTE_LIMIT = 2.0
WANTED = (RECOMPUTE_LIMIT, 1.5, 1.25)
GROWTH = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)
UNEVEN = 2.0
LARGEST = 1 << 30
CHUNKS = range(1 << 12, 1 << 22)


@dataclass(frozen=True, slots=True)
class Proposal:
    """A block shape that recomputes less."""

    block: Vec
    chunk: Vec
    blocks: int
    recompute_factor: float
    memory_mb: int


@dataclass(frozen=True, slots=True)
class _Size:
    """A length of the block along one axis, how much it grew, and the patches that all blocks compute along it."""

    voxels: int
    growth: float
    covers: bool
    passes: int


def proposals(plan: Plan) -> list[Proposal]:
    """Return legal block shapes with a smaller recompute factor, smallest first; at most three.

    Candidates grow the block along all axes by about the same factor, no further than the region reaches. They are multiples
    of the mesh cell, and fall into storage chunks of a size that suits a viewer.
    """
    if plan.inference is None:
        return []
    lattice = plan.inference.lattice(plan.roi)
    before = lattice.recompute_factor(plan.block)
    found = [c for c in _candidates(plan, lattice) if c[1] < before]
    found.sort(key=lambda c: (volume_of(c[0]), c[1], c[0]))
    chosen: dict[Vec, float] = {}
    for wanted in WANTED:
        best = next((c for c in found if c[1] <= wanted), None)
        if best is not None:
            chosen[best[0]] = best[1]
    if not chosen and found:
        chosen = dict([min(found, key=lambda c: c[1])])
    return [_proposal(plan, block, factor) for block, factor in chosen.items()]


def _candidates(plan: Plan, lattice: PatchLattice) -> Iterator[tuple[Vec, float]]:
    """Yield block shapes and their recompute factors."""
    options = [_sizes(plan, lattice, axis) for axis in range(3)]
    for z in options[0]:
        for y in options[1]:
            for x in options[2]:
                block = (z.voxels, y.voxels, x.voxels)
                if block != plan.block and _is_even(z, y, x) and _is_storable(block):
                    yield block, z.passes * y.passes * x.passes / lattice.total


def _is_even(*sizes: _Size) -> bool:
    """Tell whether all axes grew alike, but for those that cover the region."""
    most = max(s.growth for s in sizes)
    return all(s.covers or s.growth * UNEVEN >= most for s in sizes)


def _is_storable(block: Vec) -> bool:
    return volume_of(block) <= LARGEST and volume_of(default_chunk(block)) in CHUNKS


def _sizes(plan: Plan, lattice: PatchLattice, axis: int) -> list[_Size]:
    size, extent = plan.block[axis], plan.roi.shape[axis]
    unit = as_vec(plan.config["meshes"]["cell"])[axis] if plan.meshes_enabled else math.gcd(size, plan.chunk[axis])
    enough = max(-(-extent // unit) * unit, size)
    found = {min(round(size * g), enough) for g in GROWTH if (size * g) % unit == 0}
    return [_Size(s, s / size, s >= extent, _passes(lattice, axis, s)) for s in sorted(found)]


def _passes(lattice: PatchLattice, axis: int, size: int) -> int:
    begin, end = lattice.roi.start[axis], lattice.roi.stop[axis]
    return sum(len(lattice.axis_starts(axis, a, min(a + size, end))) for a in range(begin, end, size))


def _proposal(plan: Plan, block: Vec, factor: float) -> Proposal:
    other = Plan({**plan.config, "block": list(block), "chunk": None}, plan.source, plan.model, plan.weights)
    return Proposal(block, default_chunk(block), other.grid.count, factor, Demands(other).memory("affinity"))
