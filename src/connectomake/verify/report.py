"""Verification of a whole run: problems, each with its way out, and remarks."""

import os
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path

from connectomake.errors import ConnectomakeError
from connectomake.layers import read_record
from connectomake.layers.records import check_content, check_place
from connectomake.planning.plan import Plan
from connectomake.planning.stages import Stages
from connectomake.planning.targets import Targets
from connectomake.verify import deep, inspect
from connectomake.verify.expected import Expected, expected
from connectomake.verify.leftovers import leftovers
from connectomake.verify.mixtures import Mixtures

Progress = Callable[[int, int], None]
FEW = 4


@dataclass
class Report:
    """What was found.

    Parameters
    ----------
    checked
        Number of files looked at.
    problems
        One sentence each, naming file and way out.
    notes
        What is no fault but worth knowing.
    """

    checked: int = 0
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, path: str, error: Exception) -> None:
        """Note what is wrong with a file."""
        text = str(error) if isinstance(error, ConnectomakeError) else f"{path} cannot be read ({error}); delete it and rerun"
        self.problems.append(text if path in text else f"{path}: {text}")


def verify(
    plan: Plan,
    stages: Collection[str] | None = None,
    every_chunk: bool = False,
    progress: Progress | None = None,
    command: Callable[[str], str] = "snakemake --profile profiles/local {}".format,
) -> Report:
    """Look at every file that should be there.

    Parameters
    ----------
    plan
        The plan.
    stages
        Limit to these; default all.
    every_chunk
        Decode every storage chunk, compare halos with their shards, and the segmentation with the object table.
    progress
        Told after each file how many are done, and of how many.
    command
        Takes a target, or nothing for all, and returns what makes it; named where a file is missing.
    """
    base = Stages(plan).base
    files = [f for f in expected(plan) if stages is None or base(f.stage) in stages]
    run = _Run(plan, Report(), every_chunk)
    present = _present(files)
    for done, file in enumerate(files, start=1):
        run.report.checked += 1
        if file.path in present:
            run.look(file)
        if progress is not None:
            progress(done, len(files))
    run.report.problems += _missing_texts(plan, [f for f in files if f.path not in present], files, command)
    run.compare_objects()
    run.report.notes += run.mixtures.notes()
    if stages is None:
        run.report.notes += leftovers(plan, {f.path for f in files})
    return run.report


def _present(files: Collection[Expected]) -> set[str]:
    return {file.path for file in files if Path(file.path).exists()}


def _missing_texts(
    plan: Plan, missing: Collection[Expected], files: Collection[Expected], command: Callable[[str], str]
) -> list[str]:
    """Return a sentence per missing file, or one for a stage of which nothing is there.

    A plain run makes what is asked for in the end. Intermediates whose products are there come back if the target ``kept``
    is asked for.
    """
    final, texts, lost = set(Targets(plan).final()), [], Counter(f.stage for f in missing)
    totals = Counter(f.stage for f in files)
    absent = {stage for stage, count in lost.items() if count == totals[stage] and count > FEW}
    for stage in absent:
        paths = [f.path for f in missing if f.stage == stage]
        way_out = command("" if final.issuperset(paths) else "kept").strip()
        texts.append(f"all {lost[stage]:,} files of the stage {stage} are missing, such as {paths[0]}; run `{way_out}`")
    for file in missing:
        if file.stage not in absent:
            way_out = command("" if file.path in final else "kept").strip()
            texts.append(f"{file.path} is missing; `{way_out}` makes it")
    return texts


class _Run:
    def __init__(self, plan: Plan, report: Report, every_chunk: bool) -> None:
        self.report = report
        self.mixtures = Mixtures()
        self._plan = plan
        self._stages = Stages(plan)
        self._deep = every_chunk
        self._sizes = deep.Sizes()
        self._counted: list[int] = []
        self._table: tuple[str, dict] | None = None

    def look(self, file: Expected) -> None:
        """Look at one file and note what is wrong with it."""
        try:
            self._look(file)
        except Exception as error:  # whatever a damaged file makes a library raise
            self.report.add(file.path, error)

    def _look(self, file: Expected) -> None:
        if file.recorded:
            self._check_record(file)
        found = file.look(file.path)
        if file.path.endswith(".parquet"):
            self._table = file.path, found
        if self._deep:
            self._look_deep(file)

    def _check_record(self, file: Expected) -> None:
        record = read_record(file.path)
        if record.get("fingerprint") != self._stages.fingerprint(file.stage):
            self.report.problems.append(f"{file.path} was made with other settings than the config's; delete it and rerun")
        if file.stage == "affinity":
            self.mixtures.add(record)
        check_place(record, file.path, self._plan.outdir)

    def _look_deep(self, file: Expected) -> None:
        if file.recorded:
            check_content(file.path)
        if file.layer == "segmentation":
            deep.decode(self._plan.layers["segmentation"], file.block, file.path, self._sizes)
            self._counted.append(file.block)
            deep.compare_halo(self._plan, file.block, file.path, os.fspath(Path(file.path).with_suffix(".h5")))
        elif file.layer is not None:
            deep.decode(self._plan.layers[file.layer], file.block, file.path)
        elif file.spec is not None:
            deep.decode(file.spec, file.block, file.path)
        elif file.stage == "fragments":
            inspect.pack_deep(self._plan, file.path)
        elif file.stage == "objects" and self._table is not None and not file.recorded:
            deep.compare_properties(self._table[1], self._plan.config["objects"]["properties_limit"], file.path)

    def compare_objects(self) -> None:
        """Compare segmentation and object table, if both were read as a whole."""
        if self._table is None or len(self._counted) != self._plan.grid.count:
            return
        path, table = self._table
        try:
            deep.compare_objects(table, self._sizes, path)
        except ConnectomakeError as error:
            self.report.add(path, error)
