"""Arithmetic: forward passes of all blocks over those of the patch lattice; patches on borders are computed by each block."""

from typing import Any

from benchmarks.rows import Row
from connectomake.geometry import Box, Vec
from connectomake.geometry.lattice import PatchLattice

CASES: dict[str, tuple[Vec, Vec, list[Vec]]] = {
    "lab nuclei": ((64, 256, 256), (16, 64, 64), [(1024, 1024, 1024), (512, 512, 512), (128, 2048, 2048)]),
    "affinity": ((20, 256, 256), (4, 64, 64), [(512, 1024, 1024), (256, 512, 512), (128, 2048, 2048)]),
}
VOLUME = (13056, 16384, 22528)


def run() -> dict[str, Any]:
    """Count the patches of a large volume, once and by blocks."""
    rows = [_row(name, patch, overlap, block) for name, (patch, overlap, blocks) in CASES.items() for block in blocks]
    return {"title": f"Recompute factor: forward passes over those of the lattice, {_text(VOLUME)} voxels", "rows": rows}


def _row(name: str, patch: Vec, overlap: Vec, block: Vec) -> Row:
    lattice = PatchLattice(Box.of_shape(VOLUME), patch, overlap)
    return Row(
        f"{name}: patch {_text(patch)}, overlap {_text(overlap)}, block {_text(block)}",
        float(lattice.forward_passes(block)),
        "passes",
        float(lattice.total),
        "lattice",
    )


def _text(shape: Vec) -> str:
    return "×".join(map(str, shape))
