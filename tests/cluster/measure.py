"""What a job costs on Slurm beside its work; not one of the tests: ``python -m tests.cluster.measure [JOBS]``, as root.

Prints, for JOBS jobs that only touch a file, wall time and the CPU time per job of what Slurm started, as Slurm counts it:
for single jobs, for groups of ten, and for job arrays.
"""

import sys
import tempfile
import time
from pathlib import Path

from tests.cluster.heads import Head
from tests.cluster.slurm import SlurmCluster
from tests.flow import ROOT, Flow

SNAKEFILE = """
rule all:
    input: expand("made/{i}", i=range(JOBS))
rule touch:
    output: "made/{i}"
    resources: mem_mb=300, runtime=5
    shell: "touch {output}"
"""
WAYS = {
    "single jobs": (),
    "groups of ten": ("--groups", "touch=light", "--group-components", "light=10"),
    "job arrays": ("--slurm-array-jobs", "touch"),
}


def seconds(text: str) -> float:
    """Turn Slurm's [days-][hours:]minutes:seconds into seconds."""
    total = 0.0
    for part in text.replace("-", ":").split(":"):
        total = 60 * total + float(part)
    return total


def measure(folder: Path, way: str, jobs: int) -> str:
    """Run in a cluster of its own; return a row."""
    (folder / "run").mkdir(parents=True)
    (folder / "run/Snakefile").write_text(SNAKEFILE.replace("JOBS", str(jobs)))
    with SlurmCluster(folder / "slurm", cpus=10) as cluster:
        head = Head(Flow(folder / "run"), "profiles/slurm", cluster.env)
        head.command = [sys.executable, "-m", "snakemake", "--profile", str(ROOT / "profiles/slurm"), *WAYS[way]]
        started = time.perf_counter()
        head.run(3000)
        wall = time.perf_counter() - started
        rows = [line.split("|") for line in cluster.call("sacct", "-n", "-P", "-o", "jobid,totalcpu").splitlines()]
    cpu = sum(seconds(row[1]) for row in rows if "." in row[0])
    tasks = sum("." not in row[0] for row in rows)
    return f"{way}: {tasks} tasks for {jobs} jobs, {wall:.0f} s, {cpu / jobs:.1f} s of CPU per job"


if __name__ == "__main__":
    for name in sys.argv[2:] or WAYS:
        with tempfile.TemporaryDirectory(prefix="cms") as place:
            print(measure(Path(place), name, int(sys.argv[1]) if len(sys.argv) > 1 else 30), flush=True)
