"""kimimaro (GPL-3) in an environment of its own: run, never imported."""

import subprocess
import sys
from pathlib import Path

from benchmarks.flow import WORK
from benchmarks.rows import Skipped

REQUIREMENT = "kimimaro>=5,<6"
HOME = WORK / "kimimaro-venv"
PYTHON = HOME / "bin/python"
SCRIPT = """
import sys, time, importlib.metadata
import numpy as np, kimimaro
labels = np.load(sys.argv[1])
options = {"scale": float(sys.argv[2]), "const": float(sys.argv[3])}
before = time.process_time()
found = kimimaro.skeletonize(
    labels, teasar_params=options, anisotropy=(16, 16, 16), dust_threshold=0, progress=False, parallel=1,
    fix_branching=sys.argv[4] == "1",
)
seconds = time.process_time() - before
print(importlib.metadata.version("kimimaro"), seconds, len(found), sum(float(s.cable_length()) for s in found.values()))
"""


def install() -> None:
    """Make the environment unless it is there.

    Raises
    ------
    Skipped
        If it cannot be installed.
    """
    if PYTHON.exists():
        return
    HOME.parent.mkdir(parents=True, exist_ok=True)
    try:
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(HOME)], check=True)
        subprocess.run([PYTHON, "-m", "pip", "install", "--quiet", REQUIREMENT], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise Skipped(f"kimimaro cannot be installed into {HOME.relative_to(WORK.parents[1])}: {error}") from error


def skeletonize(path: Path, scale: float, const: float, fix_branching: bool) -> tuple[str, float, int, float]:
    """Return kimimaro's version, CPU seconds, number of skeletons and cable length in nm for the labels in a file."""
    command = [str(PYTHON), "-c", SCRIPT, str(path), str(scale), str(const), str(int(fix_branching))]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={"PATH": "/usr/bin:/bin"})
    version, seconds, count, length = done.stdout.split()[-4:]
    return version, float(seconds), int(count), float(length)
