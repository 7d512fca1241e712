"""A config here and on a cluster; not one of the tests.

    python -m tests.cluster.show CONFIG [--on slurm|kubernetes] [--nodes 1 2] [--cpus N] [--set KEY=VALUE]
        [--local FOLDER] [--keep FOLDER] [SNAKEMAKE OPTIONS]

Prints the wall times, and whether SHA-256 of what both runs made are equal: on Slurm of layers, tables and meshes, in pods of
every file; on Slurm also the calls of its commands, and what each rule asked for and used. Paths in the config count from here.
`--set inference.augment=none` changes a value of the config for both runs. `--local` keeps the run here in a folder; another
show of the same config finds it done. `--keep` works in a folder that stays, where ``slurm1.json`` and ``slurm2.json`` tell
what each job on one node and on two asked for and used; its name must be short, as it holds sockets.
"""

import argparse
import copy
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.heads import Head
from tests.cluster.kubernetes.project import digests_below
from tests.flow import ROOT, Flow

LIMIT = 6 * 3600
SOON = ("--seconds-between-status-checks", "2")


def sources(config: dict[str, Any]) -> list[tuple[dict[str, Any], str]]:
    """The places in a config that name files to read."""
    truth = config.get("evaluation") or {}
    return [(config["source"], "path"), *([(truth, "ground_truth")] if truth.get("ground_truth") else [])]


def with_files(config: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Make the paths absolute; for the demo, make its image."""
    for part, key in sources(config):
        path = Path(part[key])
        if not path.exists():
            program = "from connectomake.cli import main; main()"
            path = folder / path
            subprocess.run([sys.executable, "-c", program, "phantom", str(path)], check=True, stdout=subprocess.DEVNULL)
        part[key] = str(path.resolve())
    return config


def flow_of(config: dict[str, Any], folder: Path) -> Flow:
    """A folder with the config and the models."""
    folder.mkdir(exist_ok=True)
    if not (folder / "models").exists():
        (folder / "models").symlink_to(ROOT / "models")
    flow = Flow(folder, config=config)
    flow.write()
    return flow


def timed(head: Head) -> float:
    """Run to a good end; return the seconds."""
    started = time.perf_counter()
    head.run(LIMIT)
    return time.perf_counter() - started


def here(config: dict[str, Any], folder: Path) -> Flow:
    """Run here, unless that was done."""
    local = flow_of(config, folder)
    print(f"local: {timed(Head(local, 'profiles/local', dict(os.environ))):.0f} s", flush=True)
    return local


def on_slurm(config: dict[str, Any], folder: Path, nodes: list[int], cpus: int, options: list[str]) -> list[dict[str, Any]]:
    """Run on Slurm with each number of nodes; return the digests."""
    from tests.cluster.meter import Meter, table
    from tests.cluster.slurm import MEMORY_GROUPS, SlurmCluster
    from tests.cluster.slurm_events import ended_jobs

    found = []
    with SlurmCluster(folder / "slurm", cpus=cpus) as cluster:
        for count in nodes:
            if count == 1:
                cluster.call("scontrol", "update", "nodename=n2", "state=drain", "reason=one")
            remote = flow_of(config, folder / f"remote{count}")
            head = Head(remote, "profiles/slurm", cluster.env, *SOON, *options)
            called = len(cluster.calls())
            with Meter(MEMORY_GROUPS / f"slurm_{node}" for node in cluster.nodes) as meter:
                seconds = timed(head)
            calls = Counter(call.name for call in cluster.calls()[called:])
            rows = [row for row in ended_jobs(cluster, "jobidraw,state,timelimitraw") if int(row[0]) in meter.jobs]
            print(f"Slurm, {count} node(s) of {cpus} core(s): {seconds:.0f} s; {head.retries} job(s) again", flush=True)
            print(table(meter.jobs.values(), {int(row[0]): float(row[2]) for row in rows}), flush=True)
            jobs = len(meter.jobs)
            print(f"{jobs} Slurm jobs, {calls.total()} calls of its commands, {calls.total() / jobs:.2f} a job: {dict(calls)}")
            totals = {"jobs": jobs, "seconds": seconds, "again": head.retries, "calls": calls}
            noted = {"jobs": [asdict(job) for job in meter.jobs.values()], "totals": totals}
            (folder / f"slurm{count}.json").write_text(json.dumps(noted))
            found.append(remote.digests())
            if count == 1:
                cluster.call("scontrol", "update", "nodename=n2", "state=resume")
        ended = [row[1] for row in ended_jobs(cluster, "jobid,state")]
        print(f"{len(ended)} Slurm jobs, {ended.count('COMPLETED')} completed; memory is enforced by: {cluster.enforced}")
    return found


def on_kubernetes(config: dict[str, Any], folder: Path, options: list[str]) -> list[dict[str, Any]]:
    """Run in pods, everything in a bucket; return the digests."""
    from tests.cluster.kubernetes.project import Project, pods_of, stored_digests
    from tests.cluster.kubernetes.site import BUCKET, Site

    started = time.perf_counter()
    with Site(folder / "site") as site:
        print(f"cluster up after {time.perf_counter() - started:.0f} s", flush=True)
        project = Project(folder / "project", site.environment)
        for part, key in sources(config):
            site.s3.upload_file(part[key], BUCKET, Path(part[key]).name)
            part[key] = f"s3://{BUCKET}/{Path(part[key]).name}"
        project.add("pods", config)
        project.under_git()
        code, text, seconds = project.run(*options, timeout=LIMIT)
        if code:
            sys.exit(text[-5000:])
        requests = site.proxy.faults.seen
        there = stored_digests(site.s3, f"run/{config['outdir']}/")
        count = len(pods_of(project))
        print(f"Kubernetes: {seconds:.0f} s, {count} pods; {sum(requests.values())} requests to the store", flush=True)
    return [there]


def main() -> None:
    """Run both and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("--on", default="slurm", choices=("slurm", "kubernetes"))
    parser.add_argument("--nodes", type=int, nargs="+", default=[2], choices=(1, 2))
    parser.add_argument("--cpus", type=int, default=2, help="of each node")
    parser.add_argument("--local", type=Path)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    known, options = parser.parse_known_args()
    with tempfile.TemporaryDirectory(prefix="cms") as temporary:
        folder = (known.keep or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        changes = dict(text.split("=", 1) for text in known.set)
        values = {key.replace(".", "__"): yaml.safe_load(value) for key, value in changes.items()}
        config = Flow(folder, config=yaml.safe_load(known.config.read_text())).with_values(**values)
        place = (known.local or folder / "local").resolve()
        place.mkdir(exist_ok=True)
        config = with_files(config, place)
        if known.on == "slurm":
            there = on_slurm(config, folder, known.nodes, known.cpus, options)
            mine = here(config, place).digests()
        else:
            there = on_kubernetes(copy.deepcopy(config), folder, options)
            mine = digests_below(here(config, place).folder / config["outdir"])
    equal = {name for name in mine if all(mine[name] == other.get(name) for other in there)}
    for name in sorted(mine):
        print(f"{'equal' if name in equal else 'DIFFERS'}  {name}  {mine[name]}")
    print(f"{len(equal)} of {len(mine)} equal; {sum(len(other.keys() - mine.keys()) for other in there)} more there")
    sys.exit(any(other != mine for other in there))


if __name__ == "__main__":
    main()
