"""Folders of pictures, one per section, named by the section's z."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from connectomake.errors import ConfigError
from connectomake.exporting.volume import Level, Options
from connectomake.geometry import Box, Vec


class Sections:
    """Writes whole sections, each as a file."""

    def __init__(self, folder: Path, level: Level, suffix: str) -> None:
        self._folder, self._level, self._suffix = folder, level, suffix
        if level.box.start[0] < 0:
            raise ConfigError(
                f"sections are named by their z, which begins at {level.box.start[0]}; export a box that begins at 0"
            )
        self._digits = max(5, len(str(level.box.stop[0])))
        folder.mkdir()

    @property
    def grain(self) -> Vec:
        """One section."""
        return (1, *self._level.box.shape[1:])

    def write(self, box: Box, values: np.ndarray) -> None:
        """Write the sections (1, z, y, x) of a box."""
        for i, section in enumerate(values[0]):
            z = self._level.box.start[0] + box.start[0] + i
            self._save(self._folder / f"{z:0{self._digits}d}{self._suffix}", section)

    def _save(self, path: Path, section: np.ndarray) -> None:
        _, y, x = self._level.voxel_size
        if self._suffix == ".png":
            from PIL import Image

            Image.fromarray(section).save(path, compress_level=1)
            return
        import tifffile

        tifffile.imwrite(
            path, section, photometric="minisblack", resolution=(1e7 / x, 1e7 / y), resolutionunit="CENTIMETER", metadata=None
        )

    def close(self) -> None:
        """Nothing is left."""


def create_png(path: Path, levels: Sequence[Level], _options: Options) -> list[Sections]:
    """Begin a folder of PNG."""
    return [Sections(path, levels[0], ".png")]


def create_tiffs(path: Path, levels: Sequence[Level], _options: Options) -> list[Sections]:
    """Begin a folder of TIFF."""
    return [Sections(path, levels[0], ".tif")]
