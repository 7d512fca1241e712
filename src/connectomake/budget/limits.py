"""The budget: memory of a job and of a GPU, hours, and how many jobs run at a time."""

import math
import re
from dataclasses import dataclass

from connectomake.errors import ConfigError

START_SECONDS = 0.3
"""Of a job on one machine, before it works: measured 0.2 to 0.4 of the demo's jobs, Snakemake's own work included."""
_UNITS = {"MB": 1e6, "GB": 1e9, "TB": 1e12, "MIB": 2.0**20, "GIB": 2.0**30, "TIB": 2.0**40}
_SIZE = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([A-Za-z]*)\s*")


@dataclass(frozen=True, slots=True)
class Budget:
    """The budget of a run; None: no limit.

    Parameters
    ----------
    memory
        Bytes of one job, all that belongs to it included.
    gpu_memory
        Bytes of the device that runs the network.
    hours
        Until the last file is there.
    machines
        Jobs that run at the same time, on as many machines or cores as you like; None: one, or as many as `hours` asks for.
    """

    memory: float | None = None
    gpu_memory: float | None = None
    hours: float | None = None
    machines: int | None = None

    @property
    def given(self) -> bool:
        """Whether anything is to be chosen; the number of machines alone does not require a choice."""
        return any(value is not None for value in (self.memory, self.gpu_memory, self.hours))


def bytes_of(text: str, option: str) -> float:
    """Return the bytes that a text such as ``8GB`` stands for; kB and less are refused, as no job fits.

    Raises
    ------
    ConfigError
        If it is not a positive number with a unit.

    Examples
    --------
    >>> bytes_of("1.5 GB", "--max-memory"), bytes_of("512MiB", "--max-memory")
    (1500000000.0, 536870912.0)
    """
    found = _SIZE.fullmatch(text)
    unit = found.group(2).upper() if found else ""
    if found is None or unit not in _UNITS:
        raise ConfigError(f"{option} {text!r} is not a size; write a number and its unit, such as 8GB, 512MB or 16GiB")
    value = float(found.group(1)) * _UNITS[unit]
    if not 0 < value < 1e18:
        raise ConfigError(f"{option} {text!r} is not a plausible size; write one such as 8GB")
    return value


def positive(value: float | None, option: str, unit: str) -> float | None:
    """Return a number that must be finite and above 0, None if it was not given.

    Raises
    ------
    ConfigError
        If it is neither.
    """
    if value is not None and not (math.isfinite(value) and value > 0):
        raise ConfigError(f"{option} {value:g} must be a number of {unit} above 0")
    return value
