"""The log of a training: a CSV with the losses, a plot of them, pictures of samples."""

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from connectomake.atomic import atomic_path, write_text

COLUMNS = ("step", "loss", "validation", "nearest_error", "learning_rate", "seconds", "waited")


class Journal:
    """Rows of the log, written anew as a whole so that it never ends within a line.

    Parameters
    ----------
    folder
        Of the training; holds log.csv, loss.png, samples/.
    rows
        Those of a checkpoint.
    """

    def __init__(self, folder: Path, rows: list[list[Any]]) -> None:
        self.folder = folder
        self.rows = rows

    def add(self, **values: Any) -> None:
        """Add a row."""
        self.rows.append([values.get(name) for name in COLUMNS])

    def write(self) -> None:
        """Write log.csv."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(["" if v is None else f"{v:.6g}" if isinstance(v, float) else v for v in row] for row in self.rows)
        write_text(self.folder / "log.csv", text.getvalue())

    def plot(self) -> None:
        """Write loss.png: training and validation loss over steps."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7, 4), layout="constrained")
        axes = figure.subplots()
        for name, column, style in (("training", 1, "-"), ("validation, averaged weights", 2, "o-")):
            points = [(row[0], row[column]) for row in self.rows if row[column] is not None]
            if points:
                axes.plot(*zip(*points, strict=True), style, label=name, markersize=3, linewidth=1)
        axes.set(xlabel="step", ylabel="balanced cross-entropy", yscale="log")
        axes.grid(visible=True, which="both", alpha=0.3)
        axes.legend()
        with atomic_path(self.folder / "loss.png") as temporary:
            figure.savefig(temporary, format="png", dpi=120)

    def picture(self, step: int, image: NDArray[np.float32], targets: NDArray[np.float32], output: NDArray[np.float32]) -> None:
        """Write samples/STEP.png: the middle section of image, targets and output, the nearest affinities as RGB."""
        from PIL import Image

        middle = image.shape[0] // 2
        grey = np.repeat(image[middle, :, :, np.newaxis], 3, axis=2)
        panels = [grey, *(np.moveaxis(a[:3, middle], 0, 2) for a in (targets, output))]
        joined = np.concatenate([np.pad(p, ((0, 0), (0, 4), (0, 0)), constant_values=1) for p in panels], axis=1)
        pixels = np.kron(np.clip(joined * 255 + 0.5, 0, 255).astype(np.uint8), np.ones((3, 3, 1), np.uint8))
        with atomic_path(self.folder / "samples" / f"{step:07d}.png") as temporary:
            Image.fromarray(pixels).save(temporary, format="png")
