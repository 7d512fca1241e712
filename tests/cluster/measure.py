"""What a job costs beside its work; not one of the tests: ``python -m tests.cluster.measure slurm|kubernetes [JOBS] [WAY]``.

Prints, for JOBS jobs that only touch a file, wall time and the CPU time per job of what the cluster started, as Slurm or the
kernel's control group of the pods counts it: for single jobs, for groups of ten, and on Slurm for job arrays and, where it is
installed, for the stock plugin.
"""

import importlib.util
import sys
import tempfile
import time
from pathlib import Path

from tests.cluster.heads import Head
from tests.flow import ROOT, Flow

SNAKEFILE = """
rule all:
    input: expand("made/{i}", i=range(JOBS))
rule touch:
    output: "made/{i}"
    resources: mem_mb=300, runtime=5
    shell: "touch {output}"
"""
OURS = f'include: "{ROOT}/workflow/rules/slurm.smk"\n'
GROUPS = ("--groups", "touch=light", "--group-components", "light=10")
STOCK = ("--executor", "slurm", "--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "10")
SLURM = {
    "arrays": (OURS, ()),
    "single jobs": (OURS, ("--sbatch-array-size", "1")),
    "groups of ten": (OURS, GROUPS),
}
if importlib.util.find_spec("snakemake_executor_plugin_slurm"):  # to compare with: pip install snakemake-executor-plugin-slurm
    SLURM |= {"stock plugin": ("", STOCK), "stock plugin, groups of ten": ("", (*STOCK, *GROUPS))}
KUBERNETES = {"single jobs": (), "groups of ten": (*GROUPS, "--pods-cpu-scalar", "0.19")}
SMALL = ("--default-resources", "mem_mb=300", "disk_mb=200", "scale=0")
USED = Path("/sys/fs/cgroup/cpuacct/k8s.io/cpuacct.usage")


def seconds(text: str) -> float:
    """Turn Slurm's [days-][hours:]minutes:seconds into seconds."""
    total = 0.0
    for part in text.replace("-", ":").split(":"):
        total = 60 * total + float(part)
    return total


def on_slurm(folder: Path, way: str, jobs: int) -> str:
    """Run in a cluster of its own; return a row."""
    from tests.cluster.slurm import SlurmCluster

    first, options = SLURM[way]
    (folder / "run").mkdir(parents=True)
    (folder / "run/Snakefile").write_text(first + SNAKEFILE.replace("JOBS", str(jobs)))
    with SlurmCluster(folder / "slurm", cpus=10) as cluster:
        head = Head(Flow(folder / "run"), "profiles/slurm", cluster.env)
        head.command = [sys.executable, "-m", "snakemake", "--profile", str(ROOT / "profiles/slurm"), *options]
        started = time.perf_counter()
        head.run(3000)
        wall = time.perf_counter() - started
        rows = [line.split("|") for line in cluster.call("sacct", "-n", "-P", "-o", "jobid,totalcpu").splitlines()]
    cpu = sum(seconds(row[1]) for row in rows if "." in row[0])
    return row_of(way, sum("." not in row[0] for row in rows), jobs, wall, cpu)


def used() -> float:
    """The CPU seconds of all pods so far; the group comes with the first of them."""
    return int(USED.read_text()) / 1e9 if USED.exists() else 0.0


def on_kubernetes(folder: Path, way: str, jobs: int) -> str:
    """The same in pods."""
    from tests.cluster.kubernetes.project import Project, pods_of
    from tests.cluster.kubernetes.site import Site

    with Site(folder / "site") as site:
        project = Project(folder / "project", site.environment)
        (project.folder / "Snakefile").write_text(SNAKEFILE.replace("JOBS", str(jobs)))
        project.add("pods", {"nothing": None})
        project.under_git()
        before = used()
        code, text, wall = project.run(
            "--default-resources", "mem_mb=300", "disk_mb=200", "scale=0", *KUBERNETES[way], timeout=3000
        )
        if code:
            sys.exit(text[-50000:])
        return row_of(way, len(pods_of(project)), jobs, wall, used() - before)


def row_of(way: str, tasks: int, jobs: int, wall: float, cpu: float) -> str:
    """What is printed."""
    return f"{way}: {tasks} tasks for {jobs} jobs, {wall:.0f} s, {cpu / jobs:.2f} s of CPU per job"


if __name__ == "__main__":
    ways, measure = (SLURM, on_slurm) if sys.argv[1] == "slurm" else (KUBERNETES, on_kubernetes)
    for name in sys.argv[3:] or ways:
        with tempfile.TemporaryDirectory(prefix="cms") as place:
            print(measure(Path(place), name, int(sys.argv[2]) if len(sys.argv) > 2 else 30), flush=True)
