"""igneous (GPL-3) as a command in an environment of its own: run, never imported."""

import subprocess
import sys
from pathlib import Path

from benchmarks.flow import WORK, Took, run
from benchmarks.rows import Skipped

REQUIREMENT = "igneous-pipeline>=4.37,<4.38"
HOME = WORK / "igneous-venv"
COMMAND = HOME / "bin/igneous"


def install() -> str:
    """Make the environment unless it is there, and return igneous' version.

    Raises
    ------
    Skipped
        If it cannot be installed.
    """
    if not COMMAND.exists():
        HOME.parent.mkdir(parents=True, exist_ok=True)
        try:
            subprocess.run([sys.executable, "-m", "venv", "--clear", str(HOME)], check=True)
            subprocess.run([HOME / "bin/python", "-m", "pip", "install", "--quiet", REQUIREMENT], check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise Skipped(f"igneous cannot be installed into {HOME.relative_to(WORK.parents[1])}: {error}") from error
    done = subprocess.run([COMMAND, "--version"], capture_output=True, text=True, check=True)
    return done.stdout.split()[-1]


def components(source: Path, destination: Path, shape: int, folder: Path) -> Took:
    """Label the components (6-connected) of a precomputed layer with two processes, raw encoding."""
    options = ["--shape", f"{shape},{shape},{shape}", "--encoding", "raw"]
    ends = [f"precomputed://file://{path}" for path in (source, destination)]
    return run([str(COMMAND), "-p", "2", "image", "ccl", "auto", *ends, *options], folder)
