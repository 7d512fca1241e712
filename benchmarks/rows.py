"""One row of a table of measurements."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


class Skipped(Exception):  # noqa: N818
    """A benchmark cannot run here; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Row:
    """A measured value, what it is held against, and the target.

    Parameters
    ----------
    what
        What was measured.
    value, unit
        The median of the repeats.
    reference, against
        The median of the same quantity of the named reference, measured in the same run; None if there is none.
    limit, least
        Largest and smallest ratio to the reference that is aimed at; without a reference, of the value.
    samples
        The single repeats behind `value`.
    details
        Further figures by name.
    """

    what: str
    value: float
    unit: str
    reference: float | None = None
    against: str = ""
    limit: float | None = None
    least: float | None = None
    samples: Sequence[float] = ()
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def ratio(self) -> float | None:
        """The value over that of the reference."""
        return None if not self.reference else self.value / self.reference

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None if there is none."""
        if self.limit is None and self.least is None:
            return None
        figure = self.value if self.ratio is None else self.ratio
        return (self.limit is None or figure <= self.limit) and (self.least is None or figure >= self.least)

    def to_json(self) -> dict[str, Any]:
        """Return the row as plain values, rounded to four digits."""
        values = {
            "what": self.what, "value": self.value, "unit": self.unit, "against": self.against, "reference": self.reference,
            "ratio": self.ratio, "limit": self.limit, "least": self.least, "met": self.met,
            "samples": list(self.samples), **self.details,
        }  # fmt: skip
        return {name: rounded(value) for name, value in values.items() if value not in (None, "", [])}


def median(values: Sequence[float]) -> float:
    """Return the median."""
    return statistics.median(values)


def rounded(value: Any) -> Any:
    """Round floats, also within lists and dicts, to four significant digits, those above 1000 to integers."""
    if isinstance(value, dict):
        return {k: rounded(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(v) for v in value]
    if not isinstance(value, float):
        return value
    return round(value) if abs(value) >= 1000 else float(f"{value:.4g}")
