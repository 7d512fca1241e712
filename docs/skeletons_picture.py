"""Draw skeletons over their objects: ``python docs/skeletons_picture.py PHANTOM.h5``, a file of `connectomake phantom`.

Writes ``docs/pictures/skeletons.png``: the largest objects of the true labels, seen along z, shaded by their thickness, with
the skeletons that cells of 128³ give, dots where a branch ends or begins, and the borders of the cells.
"""

import sys
from pathlib import Path

import h5py
import matplotlib as mpl
import numpy as np

from connectomake.geometry import Box
from connectomake.skeletons import SkeletonSpec, Traces, trace_cell
from connectomake.skeletons.heal import heal
from connectomake.skeletons.shards import Skeleton, skeletons_of

FOLDER, OBJECTS, CELL, SIZE = Path(__file__).parent / "pictures", 6, 128, 16.0


def trace(labels: np.ndarray, keep: np.ndarray) -> dict[int, Skeleton]:
    """Return the skeletons of some objects."""
    roi = Box((0, 0, 0), (labels.shape[0], labels.shape[1], labels.shape[2]))
    spec = SkeletonSpec(roi, (CELL,) * 3, (SIZE,) * 3)
    parts = (trace_cell(np.ascontiguousarray(labels[spec.around(p).slices()]), spec, p, keep) for p in spec.positions(roi))
    return dict(skeletons_of(heal(Traces.merge(parts), spec), spec))


def draw(labels: np.ndarray, found: dict[int, Skeleton], path: Path) -> None:
    """Draw one panel per object."""
    mpl.use("agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(2, -(-len(found) // 2), figsize=(12, 8.2), constrained_layout=True)
    for panel, (name, skeleton) in zip(panels.flat, found.items(), strict=False):
        thickness = (labels == name).sum(axis=0)
        panel.imshow(np.where(thickness > 0, thickness, np.nan), cmap="Greys", vmin=-20, vmax=160, origin="upper")
        y, x = skeleton.vertices[:, 1] / SIZE - 0.5, skeleton.vertices[:, 2] / SIZE - 0.5
        ends = skeleton.edges.astype(np.int64)
        panel.plot(x[ends].T, y[ends].T, color="#c8102e", linewidth=1.1)
        degree = np.bincount(ends.ravel(), minlength=len(x))
        panel.plot(x[degree == 1], y[degree == 1], "o", color="#1f6fb4", markersize=3)
        panel.plot(x[degree > 2], y[degree > 2], "o", color="#e08a00", markersize=3)
        for border in range(CELL, max(labels.shape), CELL):
            panel.axvline(border - 0.5, color="0.75", linewidth=0.5)
            panel.axhline(border - 0.5, color="0.75", linewidth=0.5)
        panel.set(title=f"object {name}: {skeleton.length / 1000:.1f} µm", xticks=[], yticks=[], xlim=(0, labels.shape[2]))
    figure.savefig(path, dpi=90)


def main() -> None:
    """Draw the largest objects of the file that is named."""
    with h5py.File(sys.argv[1], "r") as file:
        labels = file["labels"][()].astype(np.uint64)
    ids, counts = np.unique(labels[labels > 0], return_counts=True)
    largest = np.sort(ids[np.argsort(counts)[-OBJECTS:]])
    draw(labels, trace(labels, largest), FOLDER / "skeletons.png")


if __name__ == "__main__":
    main()
