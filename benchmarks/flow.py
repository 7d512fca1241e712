"""Run the workflow, or another command, in a folder of its own and note what it took."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from benchmarks.machine import ROOT

WORK = ROOT / "benchmarks/work"
PROBE = ROOT / "benchmarks/probe"


@dataclass(frozen=True, slots=True)
class Took:
    """What a command took: wall and CPU seconds with all its children; with the probe, a note per Python process."""

    wall: float
    cpu: float
    notes: list[dict[str, Any]]
    output: str

    def jobs(self) -> list[dict[str, Any]]:
        """Return the notes of jobs."""
        return [note for note in self.notes if note["rule"]]


def fresh_folder(name: str) -> Path:
    """Return an empty folder under ``benchmarks/work``."""
    folder = WORK / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def snakemake(
    folder: Path, config: dict[str, Any], *options: str, cores: int = 2, probe: bool = False, prefork: bool = True
) -> Took:
    """Run the workflow with a config in a folder; results of an earlier run there are kept.

    Without `prefork` every job is a new Python, as on a cluster.
    """
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    head = [sys.executable, "-m", "snakemake", "-s", str(ROOT / "Snakefile"), "--configfile", "config.yaml"]
    return run([*head, "--profile", str(ROOT / "profiles/local"), "--cores", str(cores), *options], folder, probe, prefork)


def run(command: Sequence[str], folder: Path, probe: bool = False, prefork: bool = True) -> Took:
    """Run a command in a folder.

    Raises
    ------
    RuntimeError
        If it fails; the message is the end of what it printed.
    """
    notes = folder / "probe"
    shutil.rmtree(notes, ignore_errors=True)
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    environment["CONNECTOMAKE_PREFORK"] = str(int(prefork))
    if probe:
        notes.mkdir()
        found = [str(PROBE), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment |= {"CONNECTOMAKE_PROBE": str(notes), "PYTHONPATH": os.pathsep.join(found)}
    before, started = os.times(), time.perf_counter()
    done = subprocess.run(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, env=environment
    )
    wall, after = time.perf_counter() - started, os.times()
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-4000:]}")
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Took(wall, cpu, [json.loads(p.read_text()) for p in sorted(notes.glob("*.json"))], done.stdout)
