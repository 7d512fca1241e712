"""connectomake: make for connectomics.

Every block, merge table and mesh of a 3-D electron microscopy volume is a file target of a Snakemake workflow.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from connectomake.run import Run

__all__ = ["__version__", "open_run"]
__version__ = "0.1.0"


def open_run(place: "str | Path") -> "Run":
    """Open a run that was made before, by its config or the folder of its results; its source may have moved.

    See `connectomake.run.open_run` and docs/python.md.
    """
    from connectomake import run

    return run.open_run(place)
