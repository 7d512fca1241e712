"""The volume that components are measured on."""

import gzip
import os
from pathlib import Path

import numpy as np

from benchmarks.machine import ROOT


def data_folder() -> Path:
    """Return the folder of real data: the environment variable CONNECTOMAKE_DATA, or ``../shared/data``."""
    return Path(os.environ.get("CONNECTOMAKE_DATA") or ROOT.parent / "shared/data")


def load_foreground(folder: Path | None = None) -> tuple[np.ndarray, str]:
    """Return a foreground (z, y, x) bool and where it comes from.

    Foreground are the voxels of the 512³ segmentation `connectomics` whose six neighbours carry the same nonzero label;
    without that file, smoothed noise above a threshold.
    """
    path = (folder or data_folder()) / "connectomics/connectomics.npy.ckl.gz"
    if not path.exists():
        return _synthetic(256), "synthetic"
    import crackle

    labels = np.ascontiguousarray(crackle.decompress(gzip.decompress(path.read_bytes())).T)
    foreground = labels != 0
    for axis in range(3):
        voxels, mask = np.moveaxis(labels, axis, 0), np.moveaxis(foreground, axis, 0)
        same = voxels[1:] == voxels[:-1]
        mask[1:] &= same
        mask[:-1] &= same
    return foreground, "connectomics"


def _synthetic(size: int) -> np.ndarray:
    smooth = np.random.default_rng(0).random((size, size, size), np.float32)
    for axis in (0, 1, 2, 0, 1, 2):
        smooth = np.asarray(sum(np.roll(smooth, step, axis) for step in range(-4, 5)))
    return np.asarray(smooth > np.quantile(smooth[::4, ::4, ::4], 0.35))
