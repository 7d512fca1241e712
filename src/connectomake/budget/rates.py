"""Speed of this machine and compression of its output: measured, given, or built in."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from connectomake.atomic import canonical_json, write_json
from connectomake.bounded_text import read_json
from connectomake.budget.work import key_of
from connectomake.errors import ConfigError
from connectomake.pipeline.affinity import AffinityRule
from connectomake.pipeline.base import Rule
from connectomake.pipeline.kinds import WholeRule
from connectomake.planning.resolve import PLAN_FOLDER

if TYPE_CHECKING:
    from connectomake.planning.plan import Plan

FORMAT = 1
NETWORK_SHARE = 0.1
"""Of the generous time per voxel of the region that jobs of the network ask for, per voxel that it sees: 2 s for 10⁶ voxels."""
_FREE = ("outdir", "block", "chunk", "merge", "keep", "report")
"""Keys of the config that rates hold for any value of."""


@dataclass(frozen=True, slots=True)
class Line:
    """So much for each job or file, for each unit that it follows from, and for each voxel in a face between blocks."""

    each: float = 0.0
    unit: float = 0.0
    seam: float = 0.0

    def at(self, number: float, units: float, seams: float = 0.0) -> float:
        """Return the value for so many jobs or files, units and voxels of seams together."""
        return self.each * number + self.unit * units + self.seam * seams


@dataclass(frozen=True)
class Rates:
    """Seconds and bytes of rules.

    Parameters
    ----------
    seconds
        By `key_of`: of one core, per job and per unit of `time_units`.
    bytes
        By `key_of` and output: per file, per voxel of `voxels_of` and of `seams_of`. Empty where nothing was measured.
    basis
        Where they come from, for people.
    """

    seconds: Mapping[str, Line] = field(default_factory=dict)
    bytes: Mapping[str, Mapping[str, Line]] = field(default_factory=dict)
    basis: str = "built-in figures of one core, rough; measure them here: --calibrate"

    def seconds_of(self, rule: Rule[Any]) -> Line:
        """Return what a rule takes; from built-in figures where it was not measured."""
        found = self.seconds.get(key_of(rule))
        if found is not None:
            return found
        share = NETWORK_SHARE if isinstance(rule, AffinityRule) else 1.0
        return Line(unit=0.0 if isinstance(rule, WholeRule) else share * rule.seconds_per_megavoxel / 1e6)

    def with_network(self, megavoxels_per_second: float) -> "Rates":
        """Return the same with a given speed of the network, in 10⁶ voxels of its input each second."""
        name = AffinityRule.name
        each = self.seconds[name].each if name in self.seconds else 0.0
        seconds = {**self.seconds, name: Line(each, 1e-6 / megavoxels_per_second)}
        return replace(self, seconds=seconds, basis=f"network {megavoxels_per_second:g} Mvox/s as given; others: {self.basis}")

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Rates":
        """Return what `to_json` gave.

        Raises
        ------
        LookupError, TypeError, ValueError
            If it is something else.
        """
        if value["format"] != FORMAT:
            raise ValueError(value["format"])
        seconds = {name: _line(line) for name, line in value["seconds"].items()}
        sizes = {name: {out: _line(line) for out, line in found.items()} for name, found in value["bytes"].items()}
        return cls(seconds, sizes, str(value["basis"]))


def _line(value: Mapping[str, Any]) -> Line:
    return Line(float(value["each"]), float(value["unit"]), float(value["seam"]))


def rates_path(plan: "Plan") -> str:
    """Return where the measured rates of a plan lie: beside the plans, the same for any block, outdir and region."""
    config = {k: v for k, v in plan.config.items() if k not in _FREE}
    config["source"] = {k: v for k, v in config["source"].items() if k not in ("start", "stop")}
    value = [config, plan.model, plan.weights, plan.modules]
    return f"{PLAN_FOLDER}/rates-{hashlib.sha256(canonical_json(value).encode()).hexdigest()[:16]}.json"


def read_rates(plan: "Plan") -> Rates | None:
    """Return the rates that were measured for a plan; None if there are none, or the file is damaged."""
    try:
        return Rates.from_json(read_json(Path(rates_path(plan)).read_text()))
    except (OSError, LookupError, TypeError, ValueError, AttributeError):
        return None


def write_rates(plan: "Plan", rates: Rates) -> str:
    """Write the rates of a plan; return where.

    Raises
    ------
    ConfigError
        If the folder cannot be written.
    """
    path = rates_path(plan)
    try:
        write_json(path, rates.to_json())
    except OSError as error:
        raise ConfigError(
            f"the rates {path} cannot be written ({error.strerror}); make the working directory writable"
        ) from error
    return path
