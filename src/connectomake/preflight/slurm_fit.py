"""Whether the jobs of a plan fit the nodes and limits of the partitions that they are sent to."""

import math
import operator
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from connectomake.preflight.finding import Finding
from connectomake.preflight.slurm_answers import Answers, Nodes, Partition, limit_of

SMALLER = "take smaller blocks (`connectomake plan`), or a partition with larger nodes (set-resources in the profile)"


@dataclass(frozen=True, slots=True)
class Ask:
    """The resources that a job of a rule requests.

    Attributes
    ----------
    rule
        The rule.
    memory, minutes
        At each attempt: MB, and the time limit.
    cores
        Of one node.
    gpu
        Whether it asks for a GPU.
    partition
        Where it goes; several stand between commas, None is Slurm's default.
    """

    rule: str
    memory: tuple[int, ...]
    minutes: tuple[int, ...]
    cores: int = 1
    gpu: bool = False
    partition: str | None = None


def look_at_fit(asks: list[Ask], answers: Answers) -> list[Finding]:
    """Return a finding per partition that jobs go to, and one for each thing in which a job does not fit.

    Parameters
    ----------
    asks
        Of all rules.
    answers
        What Slurm says of itself.
    """
    places: dict[str, list[Ask]] = {}
    for ask in asks:
        places.setdefault(ask.partition or _default(answers.partitions), []).append(ask)
    found = []
    for place, there in places.items():
        names = [name for name in place.split(",") if name in answers.partitions]
        if names:
            found += list(_look(place, names, there, answers))
    return found


def _default(partitions: Mapping[str, Partition]) -> str:
    return next((name for name, p in partitions.items() if p.values.get("default", "").upper() == "YES"), "")


def _look(place: str, names: list[str], asks: list[Ask], answers: Answers) -> Iterator[Finding]:
    partitions = [answers.partitions[name] for name in names]
    yield from _closed(partitions)
    nodes = [kind for kind in answers.nodes if kind.partition in names and kind.usable]
    if not nodes:
        yield Finding(False, f"no node of partition {place} can take a job now (sinfo -R says why): take another, or wait")
        return
    minutes = _most([partition.minutes for partition in partitions])
    memory = min(max(kind.memory for kind in nodes), _most([_memory_limit(p, answers) for p in partitions]))
    misfits = [*_first_attempts(asks, nodes, memory, minutes, place), *_retries(asks, nodes, memory, minutes, place)]
    yield from misfits
    if not misfits:
        yield Finding(True, _fits(asks, nodes, memory, minutes, place))


def _closed(partitions: list[Partition]) -> Iterator[Finding]:
    for partition in partitions:
        state = partition.values.get("state", "UP")
        if state != "UP":
            yield Finding(False, f"partition {partition.name} is {state}: name another slurm_partition in the profile, or wait")


def _most(limits: list[int | None]) -> float:
    """Return the largest limit; None is none."""
    return max(math.inf if limit is None else limit for limit in limits)


def _memory_limit(partition: Partition, answers: Answers) -> int | None:
    """Return the most memory that a job may ask of a node of a partition, where the site says so."""
    own = limit_of(partition.values.get("maxmempernode", ""))
    return own if own is not None else answers.number("maxmempernode")


def _first_attempts(asks: list[Ask], nodes: list[Nodes], memory: float, minutes: float, place: str) -> Iterator[Finding]:
    for ask in asks:
        where = f"partition {place}"
        if ask.memory[0] > memory:
            text = f"{ask.rule} asks for {ask.memory[0]:,} MB, and {where} gives a job {memory:,} MB at most: {SMALLER}"
            yield Finding(False, text)
        if ask.minutes[0] > minutes:
            text = f"{ask.rule} asks for {ask.minutes[0]:,} min, and {where} ends jobs after {minutes:,} min"
            yield Finding(False, f"{text}: take smaller blocks, or a partition for longer jobs (set-resources in the profile)")
        if not any(_has_room(kind, ask) for kind in nodes) and ask.memory[0] <= memory:
            text = f"{ask.rule} asks for {ask.cores} core(s) with {ask.memory[0]:,} MB, and no node of {where} has both"
            yield Finding(False, f"{text}: fewer threads (inference.threads), or another partition (set-resources)")
        if ask.gpu and not any("gpu" in kind.gres.lower() for kind in nodes):
            text = f"{ask.rule} asks for a GPU, and no node of {where} has one: name a partition with GPUs for it"
            yield Finding(False, f"{text} (set-resources in the profile), or set device: cpu in the config")


def _has_room(kind: Nodes, ask: Ask) -> bool:
    return kind.cores >= ask.cores and kind.memory >= ask.memory[0]


def _retries(asks: list[Ask], nodes: list[Nodes], memory: float, minutes: float, place: str) -> Iterator[Finding]:
    """Say which of the jobs that fit at first would not fit once more were asked for."""
    del nodes
    gives = f"partition {place} gives a job {memory:,} MB at most"
    ends = f"partition {place} ends jobs after {minutes:,} min"
    for of, unit, limit, text, way_out in (
        (operator.attrgetter("memory"), "MB", memory, gives, SMALLER),
        (operator.attrgetter("minutes"), "min", minutes, ends, "take smaller blocks, or another partition"),
    ):
        large = [ask for ask in asks if of(ask)[0] <= limit < of(ask)[-1]]
        if large:
            most = max((of(ask) for ask in large), key=operator.itemgetter(-1))
            attempt = next(i for i, asked in enumerate(most) if asked > limit)
            yield Finding(
                False,
                f"attempt {attempt + 1} of {_names(large)} would ask for {most[attempt]:,} {unit}, and {text}: such a job "
                f"could not be tried again; {way_out}",
            )


def _names(asks: list[Ask]) -> str:
    return ", ".join(ask.rule for ask in asks)


def _fits(asks: list[Ask], nodes: list[Nodes], memory: float, minutes: float, place: str) -> str:
    most, longest = max(asks, key=lambda ask: ask.memory[0]), max(asks, key=lambda ask: ask.minutes[0])
    count = sum(kind.count for kind in nodes)
    limit = "no time limit" if minutes == math.inf else f"a time limit of {minutes:,} min"
    return (
        f"the largest jobs fit partition {place}: {most.memory[0]:,} MB ({most.rule}) of {memory:,}, "
        f"{longest.minutes[0]:,} min ({longest.rule}), {max(ask.cores for ask in asks)} of "
        f"{max(kind.cores for kind in nodes)} core(s), each with {len(most.memory)} attempt(s); {count} node(s), {limit}"
    )
