"""Verification of a whole run: problems, each with its way out, and remarks.

Each file is looked at by itself first. Only files that are whole are compared with each other, so that a fault is noted for the
file that has it, not for those beside it. Damage raises whatever it trips over: no exception of any kind ends a verification.
"""

import os
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from connectomake.layers import read_record
from connectomake.layers.companions import check_companion
from connectomake.layers.records import check_content, check_place
from connectomake.pipeline import checks
from connectomake.pipeline.expected import Expected, expected
from connectomake.pipeline.registry import Stages
from connectomake.pipeline.targets import Targets
from connectomake.planning.freshness import is_older_report
from connectomake.planning.plan import Plan
from connectomake.verify import deep
from connectomake.verify.faults import Fault, VerifyReport, exists
from connectomake.verify.leftovers import leftovers
from connectomake.verify.missing import future_faults, missing_faults
from connectomake.verify.mixtures import Mixtures

Progress = Callable[[int, int], None]


def verify(
    plan: Plan,
    stages: Collection[str] | None = None,
    every_chunk: bool = False,
    progress: Progress | None = None,
    command: Callable[[str], str] = "snakemake --profile profiles/local {}".format,
    repair: str = "connectomake verify --repair",
) -> VerifyReport:
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
        Called after each file with the number of files done, and of all.
    command
        Takes a target, or nothing for all, and returns what makes it; named where a file is missing.
    repair
        The command that removes and dates anew; named where files are dated in the future.
    """
    base = Stages(plan).base
    found = ((f, exists(f.path)) for f in expected(plan) if stages is None or base(f.stage) in stages)
    files = {f: there for f, there in found if there or f.needed}
    run = _Run(plan, VerifyReport(), every_chunk)
    for done, (file, there) in enumerate(files.items(), start=1):
        run.report.checked += 1
        if there:
            run.look(file)
        if progress is not None:
            progress(done, len(files))
    run.report.faults += missing_faults(plan, [f for f, there in files.items() if not there], list(files), command)
    run.compare([f for f, there in files.items() if there])
    run.report.faults += future_faults([f.path for f, there in files.items() if there], repair)
    run.report.notes += run.mixtures.notes()
    if stages is None:
        run.report.notes += leftovers(plan, {f.path for f in files})
    return run.report


class _Run:
    def __init__(self, plan: Plan, report: VerifyReport, every_chunk: bool) -> None:
        self.report = report
        self.mixtures = Mixtures()
        self._plan = plan
        self._stages = Stages(plan)
        self._targets = Targets(plan)
        self._deep = every_chunk
        self._sizes = deep.Sizes()
        self._counted: list[int] = []
        self._objects: dict[str, Any] | None = None

    def look(self, file: Expected) -> None:
        """Look at one file by itself and note what is wrong with it."""
        try:
            self._look(file)
        except Exception as error:  # whatever a damaged file makes a library raise
            self.report.add(file.path, error)

    def _look(self, file: Expected) -> None:
        if file.recorded and not (file.stage == "report" and is_older_report(file.path)):
            self._check_record(file)
        found = file.look(file.path)
        if file.path == self._targets.objects:
            self._objects = found
        if file.beside is not None:
            check_companion(file.beside, _record_or_none(file.beside), file.path)
        if self._deep:
            self._look_deep(file)

    def _check_record(self, file: Expected) -> None:
        record = read_record(file.path)
        if self._deep:
            check_content(file.path)
        if record.get("fingerprint") != self._stages.fingerprint(file.stage):
            text = f"{file.path} was made with other settings than the config's; delete it and rerun"
            self.report.faults.append(Fault(file.path, text, "settings"))
        if file.stage == "affinity":
            self.mixtures.add(record)
        check_place(record, file.path, self._plan.outdir)

    def _look_deep(self, file: Expected) -> None:
        if file.layer is not None:
            sizes = self._sizes if file.layer == "segmentation" else None
            deep.decode(self._plan.layers[file.layer], file.block, file.path, sizes)
            if sizes is not None:
                self._counted.append(file.block)
        elif file.spec is not None:
            deep.decode(file.spec, file.block, file.path)
        elif file.stage == "fragments":
            checks.pack_deep(self._plan, file.path)

    def compare(self, files: Collection[Expected]) -> None:
        """Compare files with each other, as far as they are whole by themselves."""
        faulty = {fault.path for fault in self.report.faults}
        whole = {f.path for f in files} - faulty
        for file in files:
            if file.path in whole:
                self._compare(file, whole)
        if self._deep and self._targets.objects in whole:
            self._compare_objects()

    def _compare(self, file: Expected, whole: Collection[str]) -> None:
        try:
            if file.compare is not None and all(path in whole for path in file.against):
                file.compare(file.path)
            if self._deep and file.layer in self._targets.segmentations():
                halo = os.fspath(Path(file.path).with_suffix(".h5"))
                if halo in whole:
                    deep.compare_halo(self._plan, str(file.layer), file.block, file.path, halo)
            if self._deep and file.path == self._targets.properties and self._objects is not None:
                limit = self._plan.config["objects"]["properties_limit"]
                deep.compare_properties(self._objects, limit, file.path)
        except Exception as error:
            self.report.add(file.path, error)

    def _compare_objects(self) -> None:
        """Compare segmentation and object table, if both were read as a whole."""
        if self._objects is None or len(self._counted) != self._plan.grid.count:
            return
        try:
            deep.compare_objects(self._objects, self._sizes, self._targets.objects)
        except Exception as error:
            shards = [self._targets.shard("segmentation", block) for block in self._plan.grid.ids]
            self.report.add(self._targets.objects, error, shards)


def _record_or_none(path: str) -> dict[str, Any]:
    """Return a file's record, empty if it has none that can be read: that is the fault of that file."""
    try:
        return read_record(path)
    except Exception:
        return {}
