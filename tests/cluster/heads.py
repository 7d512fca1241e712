"""Snakemake on the head of a cluster: its command, its end within some time, what it left."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.cluster.daemons import die_with_parent
from tests.flow import ROOT, Flow


class Head:
    """One run of Snakemake; use as a context manager, so that it ends with the test.

    Parameters
    ----------
    flow
        The folder that it runs in.
    profile
        Folder of the profile, under the repository's root.
    env
        Environment that leads to the cluster.
    options
        What else to tell Snakemake.
    """

    def __init__(self, flow: Flow, profile: str, env: dict[str, str], *options: str) -> None:
        self.flow, self.env, self.log = flow, env, flow.folder / f"head.{time.time_ns()}.log"
        arguments = ["-s", ROOT / "Snakefile", "--configfile", "config.yaml", "--profile", ROOT / profile]
        self.command = [sys.executable, "-m", "snakemake", *map(str, arguments), *options]

    def __enter__(self) -> "Head":
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                self.command,
                cwd=self.flow.folder,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=die_with_parent,  # noqa: PLW1509
            )
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def kill(self) -> None:
        """Kill it at once, with its children here, as a power cut does."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(30)

    def wait(self, seconds: float) -> int:
        """Return its exit code; an AssertionError with the end of what it printed if it takes longer."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"not done within {seconds} s:\n{self.text[-5000:]}") from None

    @property
    def text(self) -> str:
        """What it has printed."""
        return self.log.read_text(errors="replace")

    @property
    def retries(self) -> int:
        """How often it started a job again."""
        return len(re.findall("Trying to restart job", self.text))

    def run(self, seconds: float) -> str:
        """Run to a good end and return what was printed."""
        with self:
            code = self.wait(seconds)
        assert code == 0, self.text[-6000:]
        return self.text


def times_of(folder: Path) -> dict[str, int]:
    """Return the modification time, in ns, of every block's file below a folder of results."""
    files = [p for p in folder.rglob("*") if p.suffix in {".shard", ".h5", ".pack"} and not p.name.startswith(".")]
    return {str(p.relative_to(folder)): p.stat().st_mtime_ns for p in files}
