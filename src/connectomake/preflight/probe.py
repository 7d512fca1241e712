"""One small job that says what a node sees: the same folder, how late, with which clock; Python and this environment."""

import os
import shlex
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from connectomake.errors import RunError
from connectomake.preflight.finding import Finding
from connectomake.preflight.profile import Site
from connectomake.preflight.slurm_answers import run

QUEUE_SECONDS = 600.0
"""How long the job may wait in the queue before the probe gives up."""
ANSWER_SECONDS = 120.0
CLOCK_SECONDS = 1.0
_SCRIPT = """#!/bin/sh
# connectomake check --probe: what does this node see? It waits {seconds} s at most.
cd {folder} || exit 3
{{ echo "${{SLURMD_NODENAME:-$(hostname)}}"; {python} -c {program} 2>&1 | tail -n 1; }} > about.part && mv about.part about
tries=0
while [ ! -e ping ] && [ $tries -lt {tries} ]; do sleep 0.02; tries=$((tries + 1)); done
date +%s.%N > pong.part && mv pong.part pong
"""
_PROGRAM = (
    "import platform, connectomake; from importlib.metadata import version; "
    "print('Python', platform.python_version(), 'connectomake', connectomake.__version__, 'snakemake', version('snakemake'))"
)


@dataclass(frozen=True, slots=True)
class _Job:
    """The job, the folder in which it and the head leave files for each other."""

    id: str
    folder: Path

    def state(self) -> str:
        """Return its state and why it waits; empty once Slurm lists it no more."""
        try:
            done = run(["squeue", "--noheader", f"--jobs={self.id}", "--format=%T %r"], 20)
        except subprocess.TimeoutExpired:
            return "PENDING (squeue does not answer)"
        if done.returncode and "Invalid job id" not in done.stderr:
            return "PENDING (squeue does not answer)"
        return done.stdout.strip()

    @property
    def has_ended(self) -> bool:
        return self.state().split(" ")[0] not in {"PENDING", "RUNNING", "CONFIGURING", "COMPLETING", "SUSPENDED"}


def probe(site: Site, folder: str | os.PathLike[str], queue_seconds: float = QUEUE_SECONDS) -> list[Finding]:
    """Run one job in a folder below the one that a run would use, and say what it saw.

    Parameters
    ----------
    site
        Account and partition, and how long Snakemake waits for a file.
    folder
        Where the run would be.
    queue_seconds
        How long the job may wait for a node.

    Raises
    ------
    RunError
        If Slurm does not take the job.
    """
    folder = Path(folder).resolve() / f".connectomake-probe-{uuid.uuid4().hex}"
    folder.mkdir()
    job = None
    try:
        job = _submit(site, folder)
        return _watch(job, site, queue_seconds)
    finally:
        if job is not None and not job.has_ended:
            run(["scancel", job.id], 20)
        _remove(folder)


def _submit(site: Site, folder: Path) -> _Job:
    words = {"folder": shlex.quote(str(folder)), "python": shlex.quote(sys.executable), "program": shlex.quote(_PROGRAM)}
    script = _SCRIPT.format(seconds=int(ANSWER_SECONDS), tries=int(ANSWER_SECONDS / 0.02), **words)
    options = ["--parsable", "--job-name=connectomake-check", "--ntasks=1", "--mem=300M", "--time=10", "--output=/dev/null"]
    options += [f"--account={site.account.split(',')[0]}"] if site.account else []
    options += [f"--partition={site.partition}"] if site.partition else []
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SLURM_") or name == "SLURM_CONF"}
    try:
        done = subprocess.run(
            ["sbatch", *options], input=script, env=kept, capture_output=True, text=True, timeout=60, check=False
        )
    except subprocess.TimeoutExpired:
        raise RunError(
            "sbatch has not answered within 60 s; see `scontrol ping`, and `squeue --me` for a job that it took"
        ) from None
    if done.returncode:
        told = " ".join(done.stderr.split())
        raise RunError(f"Slurm does not accept a small job ({told}); correct account, partition or limits in the profile")
    return _Job(done.stdout.strip().split(";")[0].split("\n")[-1], folder)


def _watch(job: _Job, site: Site, queue_seconds: float) -> list[Finding]:
    started, ended = time.monotonic(), None
    about = job.folder / "about"
    while not about.exists():
        now = time.monotonic()
        if ended is None and job.has_ended:
            ended = now
        if ended is not None and now - ended > max(site.latency_wait, 5):
            return [Finding(False, _unseen(job, site))]
        if ended is None and now - started > queue_seconds:
            why = job.state()
            return [
                Finding(False, f"the probe (job {job.id}) did not run within {queue_seconds:.0f} s ({why}); it is cancelled")
            ]
        time.sleep(0.5)
    node, _, environment = about.read_text().partition("\n")
    waited = time.monotonic() - started
    return [*_exchange(job, site, node, waited), _environment(node, environment.strip())]


def _unseen(job: _Job, site: Site) -> str:
    return (
        f"the probe (job {job.id}) has ended, and of the file that it wrote in {job.folder.parent} nothing is seen here after "
        f"{max(site.latency_wait, 5):g} s: start in a folder that all nodes see under the same path"
    )


def _exchange(job: _Job, site: Site, node: str, waited: float) -> list[Finding]:
    """Write a file for the node and wait for its answer: that measures both ways with the head's clock alone."""
    sent, began = time.time(), time.perf_counter()
    (job.folder / ".ping").touch()
    (job.folder / ".ping").rename(job.folder / "ping")
    pong = job.folder / "pong"
    if not _until(pong.exists, ANSWER_SECONDS):
        return [
            Finding(
                False,
                f"{node} did not see a file of this machine in {ANSWER_SECONDS:.0f} s: ask how this folder is mounted there",
            )
        ]
    seconds = time.perf_counter() - began
    text = f"a probe ran on {node} after {waited:.0f} s; a file went there and its answer came back within {seconds:.2f} s"
    if seconds > site.latency_wait:
        seen = Finding(
            False, f"{text}: set latency-wait in the profile to {2 * seconds:.0f} or more, it is {site.latency_wait:g}"
        )
    else:
        seen = Finding(True, text)
    return [seen, *_clock(node, float(pong.read_text()) - sent, seconds)]


def _until(condition: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def _clock(node: str, since: float, seconds: float) -> list[Finding]:
    """Compare the clocks: the node wrote its time between 0 and `seconds` after the head had sent, by the head's clock."""
    off = min(since, 0.0) or max(since - seconds, 0.0)
    if abs(off) <= CLOCK_SECONDS:
        return []
    way = "ahead of" if off > 0 else "behind"
    text = f"the clock of {node} is {abs(off):.0f} s {way} this machine's: Snakemake compares the times of files"
    return [Finding(False, f"{text}; ask the administrators to set both by NTP")]


def _environment(node: str, told: str) -> Finding:
    here = dict(zip(*[iter(_here().split())] * 2, strict=True))
    words = told.split()
    there = dict(zip(words[::2], words[1::2], strict=False))
    if there.keys() != here.keys():
        return Finding(
            False,
            f"{node} cannot run {sys.executable} with connectomake ({told or 'it says nothing'}): put the environment where "
            "all nodes see it",
        )
    if there != here:
        return Finding(False, f"{node} has {told} and this machine {_here()}: start from one environment that all nodes see")
    return Finding(True, f"{node} has this environment: {told}")


def _here() -> str:
    import platform

    from connectomake import __version__

    return f"Python {platform.python_version()} connectomake {__version__} snakemake {version('snakemake')}"


def _remove(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
