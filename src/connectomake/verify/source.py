"""Whether source and ground truth still hold the voxels that a run's files were made from, block by block.

The jobs that read them noted boxes and checksums of what they read (`connectomake.sources.read_log`); files made from theirs
carry the notes on, so that they last when intermediates are deleted.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Literal

from connectomake.errors import LayerError, SourceError
from connectomake.layers import read_record
from connectomake.pipeline.expected import Expected, expected
from connectomake.pipeline.registry import Stages
from connectomake.planning.content import Rule, accept, settle
from connectomake.planning.ledger import Ledger
from connectomake.planning.plan import Plan
from connectomake.planning.resolve import place_key
from connectomake.planning.source_info import SourceInfo
from connectomake.planning.truth import open_truth
from connectomake.sources.identity import as_identity
from connectomake.sources.read_log import Line, Reader, differs, lines_of

What = Literal["source", "truth"]
READERS: dict[What, tuple[str, ...]] = {
    "source": ("image", "affinity", "components"),
    "truth": ("ground_truth", "contingency"),
}
"""The stages whose files record what was read, the one closest to the source first."""
LOOKED_AT = 256
Progress = Callable[[int, int], None]


@dataclass
class Comparison:
    """The result of comparing a source.

    Parameters
    ----------
    what
        ``source`` or ``truth``.
    path
        Where it lies.
    same
        Files that were made from the voxels that it holds now.
    other
        Files that were made from other voxels, each with the first box that differs.
    unknown
        Files of older versions, which do not record what they were made from.
    """

    what: What
    path: str
    same: list[str] = field(default_factory=list)
    other: dict[str, str] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)

    @property
    def settled(self) -> bool:
        """Whether every file could be compared, and none differs."""
        return bool(self.same) and not self.other and not self.unknown

    def texts(self) -> dict[str, str]:
        """Return a sentence for each file that was made from other voxels."""
        name = "the source" if self.what == "source" else "the ground truth"
        return {
            path: f"{path} was made from other voxels than {name} {self.path} holds now, in {box}; delete it and rerun"
            for path, box in self.other.items()
        }


def compare(plan: Plan, progress: Progress | None = None) -> list[Comparison]:
    """Read again what the files of a run were made from, and compare.

    Parameters
    ----------
    plan
        The plan.
    progress
        Called with the number of files done, and of all.

    Raises
    ------
    SourceError
        If source or ground truth cannot be opened.
    """
    files = {what: _present(plan, what) for what in READERS}
    total, done = sum(map(len, files.values())), 0
    found = []
    for what, paths in files.items():
        info = _info(plan, what)
        if info is None or not paths:
            continue
        reader = plan.source.open().read if what == "source" else open_truth(plan.config["evaluation"]).read
        comparison, known = Comparison(what, info.path), dict[Line, bool]()
        for file in paths:
            _compare(file.path, reader, comparison, known)
            done += 1
            if progress is not None:
                progress(done, total)
        found.append(comparison)
    return found


def plan_of_results(plan: Plan, ledger: Ledger | None = None) -> Plan:
    """Return the plan that most files of a run were made with, as far as it differs only in what contents are called.

    After an edit of the source all files are outdated by the plan of today, though most blocks may hold what it holds now.
    """
    names = (ledger or Ledger()).names()
    for what in READERS:
        plan = _fitting(plan, what, names)
    return plan


def accept_contents(plan: Plan, comparisons: Iterable[Comparison], ledger: Ledger | None = None) -> None:
    """Let the contents of today be what the results were made from: all files that remain were compared with them.

    Parameters
    ----------
    plan
        From `plan_of_results`.
    comparisons
        What was compared. If files differ from it they must have been removed.
    ledger
        Where notes lie.
    """
    for comparison in comparisons:
        info = _info(plan, comparison.what)
        if info is None or comparison.unknown:
            continue
        now = plan.source.open() if comparison.what == "source" else open_truth(plan.config["evaluation"]).source
        rule = Rule(plan.config["source"]["checksum_below"], source_is="same", ledger=ledger or Ledger())
        settle(info.path, place_key(info), as_identity(now.identity), rule)
        accept(place_key(info), as_identity(now.identity), info.identity, rule.ledger)


def _info(plan: Plan, what: What) -> SourceInfo | None:
    return plan.source if what == "source" else plan.truth


def _present(plan: Plan, what: What) -> list[Expected]:
    return [file for file in expected(plan) if file.stage in READERS[what] and _tells(plan, file) and Path(file.path).exists()]


def _tells(plan: Plan, file: Expected) -> bool:
    """Whether a file of such a stage records what was read; tallies do if they read the ground truth in place."""
    return file.stage != "contingency" or "ground_truth" not in plan.layers


def _compare(path: str, reader: Reader, comparison: Comparison, known: dict[Line, bool]) -> None:
    try:
        lines = lines_of(read_record(path), comparison.what)
    except LayerError:  # the look at the file itself says so
        return
    if lines is None:
        comparison.unknown.append(path)
        return
    for line in lines:
        if line not in known:
            known[line] = _differs(reader, line)
        if known[line]:
            start, stop = list(line[:3]), list(line[3:6])
            comparison.other[path] = f"{start} to {stop} (z, y, x)"
            return
    comparison.same.append(path)


def _differs(reader: Reader, line: Line) -> bool:
    try:
        return differs(reader, line)
    except SourceError:  # voxels that are no longer there, or cannot be read, are not those of then
        return True


def _fitting(plan: Plan, what: What, names: list[str]) -> Plan:
    info = _info(plan, what)
    if info is None:
        return plan
    for stage in READERS[what]:
        noted = Counter(
            filter(None, map(_fingerprint, islice((f for f in _present(plan, what) if f.stage == stage), LOOKED_AT)))
        )
        if not noted:
            continue
        fingerprint = noted.most_common(1)[0][0]
        for name in (info.identity, *names):
            other = replace(info, identity=name)
            candidate = replace(plan, source=other) if what == "source" else replace(plan, truth=other)
            if Stages(candidate).fingerprint(stage) == fingerprint:
                return candidate
        return plan
    return plan


def _fingerprint(file: Expected) -> str | None:
    try:
        return str(read_record(file.path).get("fingerprint"))
    except LayerError:
        return None
