"""``connectomake plan`` with a budget: rates, time and cost, and the choice of blocks."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from connectomake.budget.choice import Choice, choose
from connectomake.budget.explain import alarm, reasons, value_lines
from connectomake.budget.forecast import Forecast, forecast
from connectomake.budget.limits import START_SECONDS, Budget, bytes_of, positive
from connectomake.budget.rates import Rates, read_rates, write_rates
from connectomake.budget.warnings import near_limit
from connectomake.cli import common
from connectomake.cli.estimates import warnings
from connectomake.errors import ConfigError
from connectomake.planning.plan import Plan
from connectomake.reporting.texts import bytes_text, counted, seconds_text

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class Options:
    """The options of ``connectomake plan`` as they were given; None: not given."""

    max_memory: str | None = None
    gpu_memory: str | None = None
    hours: float | None = None
    machines: int | None = None
    write: bool = False
    calibrate: bool = False
    rate: float | None = None
    price: float | None = None
    start: float | None = None

    def checked(self) -> "Options":
        """Return these options.

        Raises
        ------
        ConfigError
            For the first that is out of range, or contradicts another.
        """
        budget = self.budget
        positive(self.rate, "--rate", "megavoxels a second")
        if self.machines is not None and self.machines < 1:
            raise ConfigError(f"--machines {self.machines} must be 1 or more")
        for value, option in ((self.price, "--price"), (self.start, "--start")):
            if value is not None and not 0 <= value < float("inf"):
                raise ConfigError(f"{option} {value:g} must be a number of 0 or more")
        if self.rate is not None and self.calibrate:
            raise ConfigError("--rate and --calibrate both say how fast the network is; give one of them")
        if self.write and not budget.given:
            raise ConfigError("--write has nothing to write: name a budget, such as --max-memory 8GB or --hours 24")
        return self

    @property
    def budget(self) -> Budget:
        """The budget that they name."""
        memory, gpu = (
            None if text is None else bytes_of(text, option)
            for text, option in ((self.max_memory, "--max-memory"), (self.gpu_memory, "--gpu-memory"))
        )
        return Budget(memory, gpu, positive(self.hours, "--hours", "hours"), self.machines)

    @property
    def start_seconds(self) -> float:
        """Seconds that a job takes to start."""
        return START_SECONDS if self.start is None else self.start


@dataclass(frozen=True)
class Outlook:
    """A plan with what it will take, and the choice that it came from, if there was one."""

    plan: Plan
    rates: Rates
    forecast: Forecast
    options: Options
    choice: Choice | None

    @classmethod
    def of(cls, plan: Plan, options: Options) -> "Outlook":
        """Measure what is asked for, and choose.

        Raises
        ------
        ConfigError
            If an option has no meaning for the plan, or no choice fits.
        """
        rates = _rates(plan, options)
        if not options.budget.given:
            found = forecast(plan, rates, options.machines or 1, options.start_seconds)
            return cls(plan, rates, found, options, None)
        choice = choose(plan, options.budget, rates, options.start_seconds)
        return cls(choice.best.plan, rates, choice.best.forecast, options, choice)

    def write(self, config: str) -> None:
        """Write what was chosen into the config."""
        from connectomake.budget.writing import write_changes

        if self.choice is not None and self.choice.changed:
            write_changes(config, self.choice.changed)

    def print_choice(self, out: "Console", config: str, written: bool) -> None:
        """Print what was chosen and why."""
        choice = self.choice
        if choice is None:
            return
        for line in reasons(choice, self.options.budget):
            out.print(f"- {line}", markup=False)
        text = alarm(choice)
        if text is not None:
            out.print(text, style="bold red", markup=False)
        if not choice.changed:
            out.print(f"{config} stays as it is: nothing better was found.\n", markup=False)
            return
        out.print(f"{'written into' if written else 'would be written with --write into'} {config}:", markup=False)
        for line in value_lines(choice, choice.original):
            out.print(f"  {line}" if not written else f"  {line.replace('(now ', '(before ')}", markup=False)
        out.print()

    @property
    def columns(self) -> list[str]:
        """Further columns of the table of jobs."""
        machines = counted(self.forecast.machines, "job") + " at a time"
        return [machines, *(["cost"] if self.options.price is not None else []), *(["stored, about"] if self._measured else [])]

    @property
    def _measured(self) -> bool:
        return bool(self.rates.bytes)

    def cells(self, rule: str) -> list[str]:
        """Return what stands in these columns for a rule."""
        found = next(r for r in self.forecast.rules if r.rule == rule)
        start, price = self.forecast.start, self.options.price
        cost = [] if price is None else [f"{price * found.paid_hours(start):,.2f}"]
        size = [] if not self._measured else ["" if found.bytes is None else bytes_text(found.bytes)]
        return [seconds_text(3600 * found.hours(self.forecast.machines, start)), *cost, *size]

    def totals(self) -> list[str]:
        """Return what stands in these columns for the whole run."""
        price, size = self.options.price, self.forecast.bytes
        cost = [] if price is None else [f"{price * self.forecast.paid_hours:,.2f}"]
        return [seconds_text(3600 * self.forecast.hours), *cost, *([bytes_text(size or 0)] if self._measured else [])]

    def print_basis(self, out: "Console") -> None:
        """Print where the figures come from."""
        start = f"{self.forecast.start:g} s for each job to start"
        out.print(f"time: {self.rates.basis}; {start}; rules one after another", markup=False)
        size = (
            "as the files of the calibration; together: those that stay"
            if self._measured
            else ("raw, before compression, at most; --calibrate measures how well they compress")
        )
        out.print(f"bytes: {size}", markup=False)

    def warnings(self) -> list[str]:
        """Return what will hurt."""
        found = warnings(self.plan, self.forecast)
        if self.choice is not None:
            near = near_limit(self.choice.best.memory, self.options.budget.memory, self.choice.best.rule)
            found += [] if near is None else [near]
        return found

    def values(self) -> dict[str, Any]:
        """Return time, cost and choice as plain values."""
        found, price = self.forecast, self.options.price
        rules = [{**asdict(r), "hours": r.hours(found.machines, found.start)} for r in found.rules]
        cost = None if price is None else price * found.paid_hours
        total = {"jobs": found.jobs, "hours": found.hours, "machines": found.machines, "bytes": found.bytes, "cost": cost}
        values: dict[str, Any] = {"forecast": {**total, "basis": self.rates.basis, "rules": rules}}
        if self.choice is not None:
            choice = self.choice
            values["choice"] = {
                "changed": choice.changed, "changes_result": choice.alters, "memory": choice.best.memory,
                "rule": choice.best.rule, "reasons": reasons(choice, self.options.budget),
            }  # fmt: skip
        return values


def _rates(plan: Plan, options: Options) -> Rates:
    """Return the rates: measured now, given, measured before, or built in."""
    if options.rate is not None and plan.inference is None:
        raise ConfigError("--rate has no meaning here: inference is null, so no network is run; leave it out")
    if options.calibrate:
        from connectomake.budget.calibration import calibrate

        rates = calibrate(plan, say=common.note)
        common.note(f"the rates are in {write_rates(plan, rates)}")
        return rates
    rates = read_rates(plan) or Rates()
    return rates if options.rate is None else rates.with_network(options.rate)
