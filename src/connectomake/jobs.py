"""What every script does around its one call of the library: plan, log, clear errors.

A script gets an object named `snakemake` from the workflow. Nothing here imports Snakemake: any object with the same
attributes will do.
"""

import contextlib
import faulthandler
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from connectomake.credentials import hide_all, redacted
from connectomake.errors import ConnectomakeError, LayerError, SourceError
from connectomake.forking import slate
from connectomake.forking.logs import ERROR_MARK, UNEXPECTED_MARK
from connectomake.layers.records import check_place, place_in, read_record
from connectomake.planning.plan import Plan
from connectomake.planning.stages import Stages
from connectomake.planning.targets import Targets
from connectomake.trouble import in_the_way

if TYPE_CHECKING:
    from connectomake.sources import Source
    from connectomake.sources.labels import Labels

RECORDED = (".shard", ".h5", ".pack", ".parquet")
"""Files that end in a record, and that jobs read."""


@dataclass(frozen=True)
class Job:
    """One job, as its script sees it.

    Parameters
    ----------
    plan
        The plan that came with the config.
    input, output, wildcards
        Of Snakemake: attributes and items are paths or texts.
    """

    plan: Plan
    input: Any
    output: Any
    wildcards: Any

    @property
    def targets(self) -> Targets:
        """Names of the run's files."""
        return Targets(self.plan)

    @property
    def stages(self) -> Stages:
        """Params and fingerprints."""
        return Stages(self.plan)

    @property
    def at(self) -> str:
        """The suffix of the further threshold of agglomeration that the wildcards name; "" is the main one."""
        return str(getattr(self.wildcards, "at", ""))

    def block(self, layer: str = "segmentation") -> int:
        """Return the block that the wildcards name."""
        return self.plan.layers[layer].grid.parse(self.wildcards.block)

    def open_source(self) -> "Source":
        """Open the source that the plan was made for.

        Raises
        ------
        SourceError
            If it cannot be reached, or another lies in its place.
        """
        facts = self.plan.source
        source = facts.open()
        if not facts.is_like(source.identity):
            raise SourceError(f"source {facts.path} has changed since the plan was made; start snakemake on the head again")
        return source

    def open_truth(self) -> "Labels":
        """Open the ground truth that the plan was made for.

        Raises
        ------
        SourceError
            If it cannot be reached, or another lies in its place.
        """
        from connectomake.planning.truth import open_truth

        facts, labels = self.plan.truth, open_truth(self.plan.config["evaluation"])
        if facts is None or not facts.is_like(labels.source.identity):
            path = labels.source.path
            raise SourceError(f"ground truth {path} has changed since the plan was made; start snakemake on the head again")
        return labels

    def read_by(self, inputs: Iterable[str]) -> dict[str, Any]:
        """Return what the jobs that made some files had read of the source, for the record of what is made from these."""
        from connectomake.sources.witness import united

        try:
            lines = united(map(read_record, inputs), "source")
        except LayerError:  # its reader will name it
            lines = None
        return {} if lines is None else {"read": {"source": lines}}

    def all_of(self, names: Sequence[str], given: Sequence[str]) -> list[str]:
        """Return where the job finds files of which Snakemake may have given the first only.

        Parameters
        ----------
        names
            All of them, as `Targets` names them.
        given
            Where the first of them lie, at least one.

        Raises
        ------
        LayerError
            See `check_inputs`.
        """
        if len(given) == len(names):
            return list(map(str, given))
        before = str(given[0]).removesuffix(names[0])
        paths = [f"{before}{name}" for name in names]
        check_inputs(paths[len(given) :], self.plan.outdir)
        return paths

    def node(self) -> tuple[int, int]:
        """Return level and node of the octree that the wildcards name."""
        level = int(self.wildcards.level)
        return level, self.plan.octree.parse(level, self.wildcards.node)


def run(snakemake: Any, main: Callable[[Job], None]) -> None:
    """Call `main` with the job; a foreseen error becomes one line and exit code 1, the log holds the rest.

    Parameters
    ----------
    snakemake
        The object that Snakemake hands to scripts.
    main
        Makes the outputs.
    """
    started = time.perf_counter()
    with logged(str(snakemake.log[0]) if snakemake.log else None):
        try:
            hide_all(snakemake.config)  # so that passwords in its URLs are known, which the plan does not hold
            plan = Plan.from_json(snakemake.config["plan"])
            check_inputs(snakemake.input, plan.outdir)
            main(Job(plan, snakemake.input, snakemake.output, snakemake.wildcards))
        except ConnectomakeError as error:
            _fail(f"{ERROR_MARK}{error}")
        except OSError as error:
            _fail(f"{ERROR_MARK}{system_refuses(error)}")
        except MemoryError:
            _fail(f"{ERROR_MARK}out of memory; take a smaller block or give the job more memory (mem_mb)")
        except Exception:
            print(redacted(traceback.format_exc()), file=sys.stderr)  # noqa: T201
            _fail(f"{UNEXPECTED_MARK} in {snakemake.rule}; please report it with the log above")
        print(f"done in {time.perf_counter() - started:.1f} s", file=sys.stderr)  # noqa: T201


def system_refuses(error: OSError) -> str:
    """Return the sentence on what the system refused to a job."""
    known = in_the_way(error.filename or "a file", error, "used")
    return f"{error.filename or 'a file'}: {error.strerror or error}; check it, then rerun" if known is None else str(known)


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


def progress(what: str, seconds: float = 10.0) -> Callable[[int, int], None]:
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
        print(f"{done} of {total} {what}, {left:.0f} s to go", file=sys.stderr, flush=True)  # noqa: T201

    return report


def _fail(message: str) -> None:
    print(redacted(" ".join(message.split("\n"))), file=sys.stderr, flush=True)  # noqa: T201
    sys.exit(1)


@contextlib.contextmanager
def logged(path: str | None) -> Iterator[None]:
    """Send everything written to stdout and stderr, also by libraries in C, to the log file; of a crash the stack, too."""
    if path is None:
        yield
        return
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
    slate.adopt()
    slate.logging_to(path)
    if not faulthandler.is_enabled():
        faulthandler.enable(2)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
