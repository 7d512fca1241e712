"""A config here and on Slurm: ``python -m tests.cluster.show CONFIG [--nodes N] [SNAKEMAKE OPTIONS]``; not one of the tests.

Prints the wall times, and whether SHA-256 of all layers, tables and meshes are equal. Paths in the config count from here.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from tests.cluster.heads import Head
from tests.cluster.slurm import SlurmCluster
from tests.flow import ROOT, Flow

LIMIT = 6 * 3600


def project(config: dict, folder: Path) -> Flow:
    """A folder with the config, the models and, for the demo, its image."""
    folder.mkdir()
    (folder / "models").symlink_to(ROOT / "models")
    source = Path(config["source"]["path"])
    if source.exists():
        config["source"]["path"] = str(source.resolve())
    else:
        program = "from connectomake.cli import main; main()"
        subprocess.run([sys.executable, "-c", program, "phantom", str(folder / source)], check=True)
    flow = Flow(folder, config=config)
    flow.write()
    return flow


def timed(head: Head) -> float:
    """Run to a good end; return the seconds."""
    started = time.perf_counter()
    head.run(LIMIT)
    return time.perf_counter() - started


def main() -> None:
    """Run both and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("--nodes", type=int, default=2, choices=(1, 2))
    known, options = parser.parse_known_args()
    config = yaml.safe_load(known.config.read_text())
    with tempfile.TemporaryDirectory(prefix="cms") as place:
        folder = Path(place)
        local = project(config, folder / "local")
        with SlurmCluster(folder / "slurm") as cluster:
            if known.nodes == 1:
                cluster.call("scontrol", "update", "nodename=n2", "state=drain", "reason=one")
            remote = Flow(folder / "remote", config=local.config)
            (folder / "remote").mkdir()
            (remote.folder / "models").symlink_to(ROOT / "models")
            source = Path(config["source"]["path"])
            if not source.is_absolute():
                (remote.folder / source.parts[0]).symlink_to(local.folder / source.parts[0])
            remote.write()
            print(
                f"Slurm, {known.nodes} node(s): {timed(Head(remote, 'profiles/slurm', cluster.env, *options)):.0f} s",
                flush=True,
            )
            jobs = cluster.call("sacct", "-X", "-n", "-P", "-o", "jobid,state").splitlines()
            print(f"{len(jobs)} Slurm jobs, {sum(line.endswith('COMPLETED') for line in jobs)} completed", flush=True)
        print(f"local: {timed(Head(local, 'profiles/local', dict(cluster.env))):.0f} s", flush=True)
        here, there = local.digests(), remote.digests()
    for name in sorted(here):
        print(f"{'equal' if here[name] == there.get(name) else 'DIFFERS'}  {name}  {here[name]}")
    sys.exit(here != there)


if __name__ == "__main__":
    main()
