"""One job, as the rule that does it sees it. Nothing here imports Snakemake: any object with the same attributes will do."""

import functools
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from connectomake.errors import LayerError, SourceError
from connectomake.layers.records import check_place, place_in, read_record
from connectomake.pipeline.base import Inputs, Rule
from connectomake.pipeline.registry import Stages
from connectomake.planning.plan import Plan

if TYPE_CHECKING:
    import numpy as np

    from connectomake.geometry import Box
    from connectomake.sources import Source
    from connectomake.sources.labels import Labels

RECORDED = (".shard", ".h5", ".pack", ".parquet")
"""Files that end in a record, and that jobs read."""


@dataclass(frozen=True)
class Image:
    """Where a job reads voxels from.

    Parameters
    ----------
    read
        Returns the voxels (c, z, y, x) of a box.
    noted
        For the record of what is made from them: what was read of the source.
    source
        The source, if it is read in place.
    """

    read: "Callable[[Box], np.ndarray]"
    noted: dict[str, Any]
    source: "Source | None"


@dataclass(frozen=True)
class Job:
    """One job.

    Parameters
    ----------
    stages
        The stages of the plan that came with the config.
    rule, item
        What is to be done.
    input, output
        Of Snakemake: items, and attributes by name, are paths.
    """

    stages: Stages
    rule: Rule[Any]
    item: Any
    input: Any
    output_files: Any

    @property
    def plan(self) -> Plan:
        """The plan."""
        return self.stages.plan

    @functools.cached_property
    def _files(self) -> dict[str, dict[Any, str]]:
        return keyed(self.rule.inputs(self.item), self.input, self.plan.outdir, self.rule.reads_all)

    def files(self, name: str) -> dict[Any, str]:
        """Return the files under a name of the rule's inputs, by what each is of."""
        return self._files[name]

    def file(self, name: str) -> str:
        """Return the one file under a name of the rule's inputs."""
        return self._files[name][None]

    def file_or_none(self, name: str) -> str | None:
        """Return the same, None if this job has no such input."""
        return self.file(name) if name in self._files else None

    def output(self, name: str) -> str:
        """Return where an output is to be written."""
        return str(getattr(self.output_files, name))

    def record(self, **fields: Any) -> dict[str, Any]:
        """Return what is to be noted at the end of the outputs."""
        return self.stages.record(self.rule.stage.name, **fields)

    def image(self, shards: dict[Any, str] | None, layer: str | None = "image") -> Image:
        """Return what reads a layer from its shards by block; the source in place, if there are none.

        Raises
        ------
        SourceError
            If the source cannot be reached, or another lies in its place.
        """
        from connectomake.layers import read_box

        if shards is None or layer is None:
            from connectomake.sources.read_log import LoggedReader

            source = self.open_source()
            reader = LoggedReader(source.read)
            return Image(reader, {"read": {"source": reader.lines}}, source)
        spec = self.plan.layers[layer]
        return Image(lambda box: read_box(shards, spec, box), _read_by(shards.values()), None)

    def open_source(self) -> "Source":
        """Open the source that the plan was made for.

        Raises
        ------
        SourceError
            If it cannot be reached, or another lies in its place.
        """
        info = self.plan.source
        source = info.open()
        if not info.is_like(source.identity):
            raise SourceError(f"source {info.path} has changed since the plan was made; start snakemake on the head again")
        ids = self.plan.method.labels and source.stretch > 1
        return source.exact() if ids else source

    def open_truth(self) -> "Labels":
        """Open the ground truth that the plan was made for.

        Raises
        ------
        SourceError
            If it cannot be reached, or another lies in its place.
        """
        from connectomake.planning.truth import open_truth

        info, labels = self.plan.truth, open_truth(self.plan.config["evaluation"])
        if info is None or not info.is_like(labels.source.identity):
            path = labels.source.path
            raise SourceError(f"ground truth {path} has changed since the plan was made; start snakemake on the head again")
        return labels

    def progress(self, what: str, seconds: float = 10.0) -> Callable[[int, int], None]:
        """Return a function of (done, total) that writes a line with the time to go, every so many seconds, to the log."""
        started = time.perf_counter()
        written = started

        def report(done: int, total: int) -> None:
            nonlocal written
            now = time.perf_counter()
            if now - written < seconds and done < total:
                return
            written = now
            left = (now - started) / done * (total - done)
            print(f"{done} of {total} {what}, {left:.0f} s to go", file=sys.stderr, flush=True)

        return report


def first_only(inputs: Inputs) -> dict[str, list[str]]:
    """Return the first file of each name, without listing the others."""
    return {name: [path for _, path in islice(pairs, 1)] for name, pairs in inputs.items()}


def all_of(inputs: Inputs) -> dict[str, list[str]]:
    """Return all files by name."""
    return {name: [path for _, path in pairs] for name, pairs in inputs.items()}


def keyed(inputs: Inputs, given: Any, outdir: str, reads_all: bool) -> dict[str, dict[Any, str]]:
    """Return where a job finds its files, under the names and by the keys that its rule has for them.

    Parameters
    ----------
    inputs
        What the rule says that the job reads.
    given
        Where these files lie, in the same order: a list with a part for each name, as Snakemake hands it to scripts. Of a rule
        that reads files of the whole run it may hold the first of each name only.
    outdir
        Folder of the run.
    reads_all
        Whether it is such a rule.

    Raises
    ------
    LayerError
        See `check_inputs`.
    """
    return {name: _keyed(list(pairs), getattr(given, name), outdir, reads_all) for name, pairs in inputs.items()}


def _keyed(pairs: list[tuple[Any, str]], given: Any, outdir: str, reads_all: bool) -> dict[Any, str]:
    places = [given] if isinstance(given, str) else [str(place) for place in given]
    if reads_all and len(places) == 1 < len(pairs):
        before = places[0].removesuffix(pairs[0][1])
        places = [f"{before}{path}" for _, path in pairs]
        check_inputs(places[1:], outdir)
    return dict(zip((key for key, _ in pairs), places, strict=True))


def check_inputs(inputs: Any, outdir: str) -> None:
    """Check that each file of the run that a job reads is what its name says; see `check_place`.

    Raises
    ------
    LayerError
        Naming the first that is another.
    """
    for path in inputs if isinstance(inputs, Iterable) else ():
        if place_in(outdir, path) is None or not str(path).endswith(RECORDED):
            continue
        try:
            record = read_record(path)
        except LayerError:  # a missing or damaged file: its reader names it
            continue
        check_place(record, path, outdir)


def _read_by(inputs: Iterable[str]) -> dict[str, Any]:
    """Return what the jobs that made some files had read of the source, for the record of what is made from these."""
    from connectomake.sources.read_log import united

    try:
        lines = united(map(read_record, inputs), "source")
    except LayerError:  # its reader will name it
        lines = None
    return {} if lines is None else {"read": {"source": lines}}
