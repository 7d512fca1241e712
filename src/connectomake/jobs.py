"""Shared by all scripts, around their one call of the library: plan, log, clear errors.

A script gets an object named `snakemake` from the workflow. Nothing here imports Snakemake: any object with the same
attributes will do.
"""

import contextlib
import faulthandler
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from connectomake.credentials import hide_all, redacted
from connectomake.errors import ConnectomakeError
from connectomake.forking import last_file
from connectomake.forking.logs import ERROR_MARK, UNEXPECTED_MARK
from connectomake.os_errors import storage_error
from connectomake.pipeline.job import Job, check_inputs
from connectomake.pipeline.registry import Stages
from connectomake.planning.plan import Plan


def run(snakemake: Any, main: Callable[[Job], None] | None = None) -> None:
    """Do a job; a foreseen error becomes one line and exit code 1, the log holds the rest.

    Parameters
    ----------
    snakemake
        The object that Snakemake hands to scripts.
    main
        Makes the outputs; default: the rule of this name, see `connectomake.pipeline`.
    """

    def do(plan: Plan) -> None:
        stages = Stages(plan)
        rule = stages.rule(snakemake.rule, snakemake.wildcards)
        job = Job(stages, rule, rule.parse(snakemake.wildcards), snakemake.input, snakemake.output)
        rule.work(job, job.item) if main is None else main(job)

    guarded(snakemake, do)


def guarded(snakemake: Any, body: Callable[[Plan], None]) -> None:
    """Call `body` with the plan of a job; a foreseen error becomes one line and exit code 1, the log holds the rest."""
    started = time.perf_counter()
    with logged(str(snakemake.log[0]) if snakemake.log else None):
        try:
            hide_all(snakemake.config)  # so that passwords in its URLs are known, which the plan does not hold
            plan = Plan.from_json(snakemake.config["plan"])
            check_inputs(snakemake.input, plan.outdir)
            body(plan)
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
    known = storage_error(error.filename or "a file", error, "used")
    return f"{error.filename or 'a file'}: {error.strerror or error}; check it, then rerun" if known is None else str(known)


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
    last_file.adopt()
    last_file.logging_to(path)
    if not faulthandler.is_enabled():
        faulthandler.enable(2)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
