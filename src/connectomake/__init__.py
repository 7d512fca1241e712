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

    Parameters
    ----------
    place
        The run's config, from the working directory of the run; or the folder of its results, wherever it was copied to.

    Returns
    -------
    connectomake.run.Run
        Its arrays and tables are opened when they are asked for; see docs/python.md.

    Raises
    ------
    connectomake.errors.ConfigError
        If no run of this config was made here, or the folder holds the results of none.
    """
    from connectomake import run

    return run.open_run(place)
