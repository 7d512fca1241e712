"""Why a choice was made, in a few plain lines."""

import json
from typing import Any

from connectomake.budget.choice import Candidate, Choice
from connectomake.budget.limits import Budget
from connectomake.reporting.texts import bytes_text, counted, seconds_text


def reasons(choice: Choice, budget: Budget) -> list[str]:
    """Return the limits, the candidates and the gain, one line each."""
    best, before = choice.best, choice.before
    found = list(choice.network)
    shapes = f"{counted(choice.tried, 'block shape')} tried"
    if budget.memory is None:
        found.append(f"{shapes}; no limit of memory was given")
    else:
        found.append(f"{shapes}, {choice.fitting:,} fit into {bytes_text(budget.memory)} a job; {_largest(best)}")
    if choice.larger is not None:
        other = choice.larger
        found.append(
            f"faster blocks, of {list(other.plan.block)}, would need {bytes_text(other.memory)} for {other.rule}: memory limits"
        )
    if best.plan.block == before.plan.block:
        found.append(f"block {list(best.plan.block)} stays: it is the best, or within 5 % of it; {_run(best)}")
    else:
        found.append(f"block {list(before.plan.block)}: {_run(before)}; {_largest(before)}")
        found.append(f"block {list(best.plan.block)}: {_run(best)}")
    return found


def _largest(found: Candidate) -> str:
    return f"{found.rule} takes most, {bytes_text(found.memory)}"


def _run(found: Candidate) -> str:
    cost = found.forecast
    factor = ""
    if found.plan.inference is not None:
        lattice = found.plan.inference.lattice(found.plan.roi)
        factor = f", every patch computed {lattice.recompute_factor(found.plan.block):.2f} times"
    at_a_time = f"{counted(cost.machines, 'job')} at a time"
    return f"{counted(cost.jobs, 'job')}, {seconds_text(3600 * cost.hours)} with {at_a_time}{factor}"


def value_lines(choice: Choice, config: dict[str, Any]) -> list[str]:
    """Return each value that changes, with what it was."""
    return [f"{key}: {json.dumps(value)}  (now {json.dumps(at(config, key))})" for key, value in choice.changed.items()]


def at(config: dict[str, Any], key: str) -> Any:
    """Return a value of a normalised config by the path of its key."""
    value: Any = config
    for name in key.split("."):
        value = value[name]
    return value


def alarm(choice: Choice) -> str | None:
    """Return a sentence that cannot be overlooked if keys change that the result depends on; else None."""
    if not choice.alters:
        return None
    return (
        f"THIS CHANGES THE RESULT: {', '.join(choice.alters)}. The network sees other patches than configured, so affinities "
        "and all that follows from them become others, and earlier ones are made anew. Block and chunk never change a result."
    )
