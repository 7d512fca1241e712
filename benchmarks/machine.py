"""What the figures were measured on and with. No host names."""

import datetime as dt
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("snakemake", "torch", "numpy", "numba", "connected-components-3d", "tensorstore", "zmesh", "h5py")


def machine() -> dict[str, Any]:
    """Return processor, cores and memory."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return {"processor": _processor(), "cores": os.cpu_count(), "memory_gib": round(memory, 1), "system": platform.system()}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def versions() -> dict[str, str]:
    """Return the versions of Python, of the packages that do the work, and the commit."""
    found = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {"python": platform.python_version(), **found, "commit": _commit()}


def _commit() -> str:
    done = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def load() -> float:
    """Return the load average of the last minute: over 0 at the start means that others were at work."""
    return round(os.getloadavg()[0], 2)


def today() -> str:
    """Return the date."""
    return dt.datetime.now(dt.UTC).date().isoformat()
