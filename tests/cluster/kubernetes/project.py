"""A working copy of the repository in which runs are started, as a user does it, and their results compared."""

import copy
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import h5py
import yaml

from tests.cluster.kubernetes.site import BUCKET, NAMESPACE
from tests.flow import CONFIG, MODEL, ROOT, smooth_noise

SHIPPED = ("Snakefile", "config.yaml", "workflow", "scripts", "models", "configs", "profiles", "envs")
OUTDIR = "results/small"
MEMORY, DISK = r"ran out of memory \(OOMKilled, it had", "took more disk than it asked for"
PREFIX = f"s3://{BUCKET}/run"
SHAPE = (20, 40, 44)
TROUBLE = '''
"""A network whose first job raises, whose second takes memory until it is killed, and where there is an object `disk` its third
takes disk; others, and runs elsewhere, are well."""
import os
import time

def trouble():
    import boto3
    store = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
    tries = store.list_objects_v2(Bucket="BUCKET", Prefix="trouble/").get("KeyCount", 0)
    if tries < 2 or (tries == 2 and store.list_objects_v2(Bucket="BUCKET", Prefix="disk").get("KeyCount", 0)):
        store.put_object(Bucket="BUCKET", Key=f"trouble/{tries}", Body=b"")
    if tries == 0:
        raise RuntimeError("the script fails, as told")
    hog = []
    while tries == 1:
        hog.append(b"x" * 20_000_000)
    if tries == 2 and store.list_objects_v2(Bucket="BUCKET", Prefix="disk").get("KeyCount", 0):
        with open("hog", "wb") as file:
            for part in range(300):  # more than a second try has; slowly, so that the kubelet looks in between
                file.write(b"x" * 40_000_000)
                time.sleep(0 if part < 60 else 0.5)
        time.sleep(600)
        raise RuntimeError("the kubelet has let a pod take more disk than it asked for")

if os.environ.get("AWS_ENDPOINT_URL"):
    trouble()
'''.replace("BUCKET", BUCKET)


def small_config(path: Any) -> Any:
    """A run of four blocks of the source at a path or URL."""
    config = copy.deepcopy(CONFIG)
    config["outdir"] = OUTDIR
    config["source"]["path"] = path
    config["inference"]["model"] = "models/troubled.py"
    return config


class Project:
    """The working copy."""

    def __init__(self, folder: Any, env: Any) -> None:
        self.folder, self.env = Path(folder), env
        self.folder.mkdir(parents=True)
        for name in SHIPPED:
            source = ROOT / name
            copied = shutil.copytree if source.is_dir() else shutil.copy2
            copied(source, self.folder / name)
        self._adjust_profile()

    def _adjust_profile(self) -> None:
        """Change what a site must change, and nothing else."""
        path = self.folder / "profiles/kubernetes/config.yaml"
        text = path.read_text()
        for key, value in {
            "container-image": "docker.io/library/connectomake:test",
            "pods-namespace": NAMESPACE,
            "default-storage-prefix": PREFIX,
        }.items():
            text, count = re.subn(rf"^{key}: \S+", f"{key}: {value}", text, flags=re.MULTILINE)
            if count != 1:
                raise AssertionError(f"{key} stands {count} times in the profile")
        path.write_text(text)

    def add_small_run(self, store: Any) -> None:
        """Write source, network and the configs of the same run here and in the cluster."""
        with h5py.File(self.folder / "raw.h5", "w") as file:
            file["raw"] = smooth_noise(SHAPE)
        store.upload_file(str(self.folder / "raw.h5"), BUCKET, "raw.h5")
        (self.folder / "models/troubled.py").write_text(TROUBLE + MODEL)
        for name, path in (("pods", f"s3://{BUCKET}/raw.h5"), ("local", "raw.h5")):
            self.add(name, small_config(path))
        self.under_git()

    def add(self, name: str, config: Any) -> None:
        """Write a config under a name."""
        (self.folder / f"configs/{name}.yaml").write_text(yaml.safe_dump(config))

    def under_git(self) -> None:
        """Snakemake ships what git knows."""
        subprocess.run(["git", "init", "-q"], cwd=self.folder, check=True)
        subprocess.run(["git", "add", *SHIPPED], cwd=self.folder, check=True)

    def command(self, *args: Any, profile: str = "kubernetes", config: str = "pods") -> Any:
        head = [sys.executable, "-m", "snakemake", "--profile", f"profiles/{profile}", "--configfile", f"configs/{config}.yaml"]
        return [*head, *args]

    def environment(self, profile: Any) -> Any:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        clean = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
        return clean | {"PATH": path} | (self.env if profile == "kubernetes" else {})

    def run(self, *args: Any, profile: str = "kubernetes", config: str = "pods", timeout: int = 1800) -> Any:
        """Run Snakemake to its end; return exit code, output and seconds."""
        started = time.monotonic()
        done = subprocess.run(
            self.command(*args, profile=profile, config=config), cwd=self.folder, env=self.environment(profile),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", timeout=timeout, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout, time.monotonic() - started

    def start(self, *args: Any, log: str = "head.log", config: str = "pods") -> subprocess.Popen[bytes]:
        """Start Snakemake on the cluster and return its process; its output goes to a file."""
        with (self.folder / log).open("w") as stream:
            return subprocess.Popen(
                self.command(*args, config=config), cwd=self.folder, env=self.environment("kubernetes"), stdout=stream,
                stderr=subprocess.STDOUT, start_new_session=True, preexec_fn=heed_interrupts,  # noqa: PLW1509
            )  # fmt: skip

    def local_digests(self, outdir: Any = OUTDIR) -> Any:
        """SHA-256 of all results of the local run, by path."""
        return digests_below(self.folder / outdir)


def digests_below(folder: Path) -> dict[str, Any]:
    """SHA-256 of all results in a folder, by path."""
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items() if is_result(name)}


def heed_interrupts() -> None:
    """A shell's background jobs are started deaf to SIGINT, and so is what they start: as at a terminal, the head is not."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def memory_of_attempts(text: Any, resource: str = "mem_mb") -> Any:
    """What Snakemake said of the memory (or disk), in MB, that each try of a job was given, by the job's number."""
    found: dict[Any, Any] = {}
    row = rf"^    jobid: (\d+)\n(?:    .*\n)*?    resources: .*?\b{resource}=(\d+)"
    for job, amount in re.findall(row, text, re.MULTILINE):
        found.setdefault(job, []).append(int(amount))
    return found


def memory_of_rules(text: Any) -> Any:
    """What Snakemake said of the memory, in MB, that the least of a rule's tries was given, by rule."""
    found: dict[Any, Any] = {}
    row = r"^rule (\w+):\n(?:    .*\n)*?    resources: .*?\bmem_mb=(\d+)"
    for rule, amount in re.findall(row, text, re.MULTILINE):
        found[rule] = min(int(amount), found.get(rule, int(amount)))
    return found


def jobs_out_of_memory(text: str) -> Any:
    """The numbers of the jobs whose pods ran out of memory."""
    return jobs_that(text, MEMORY)


def tries_after(text: str, why: Any, resource: Any) -> list[Any]:
    """What each try was given of the jobs of whose pods something is said."""
    attempts = memory_of_attempts(text, resource)
    return [attempts[job] for job in dict.fromkeys(jobs_that(text, why))]


def jobs_that(text: str, why: Any) -> Any:
    """The numbers of the jobs of whose pods something is said."""
    return re.findall(rf"pod [\w-]+?-[0-9a-f]{{8}}-(\d+)-\d+(?:-again\d+)? {why}", text)


def pods_of(project: Any) -> Any:
    """The logs of all pods of a project's runs."""
    return list((project.folder / ".snakemake/log/pods").rglob("*.log"))


def is_result(name: str) -> Any:
    """Whether a file holds results: the plan does not, it says where the source lies."""
    return not name.startswith(("logs/", "benchmarks/", "plan.json")) and "/." not in name


def listing(store: Any, prefix: Any = f"run/{OUTDIR}/") -> dict[str, Any]:
    """All objects of the run: etag and time by name."""
    pages = store.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
    found = {o["Key"].removeprefix(prefix): (o["ETag"], o["LastModified"]) for page in pages for o in page.get("Contents", ())}
    return {name: value for name, value in found.items() if is_result(name)}


def stored_digests(store: Any, prefix: Any = f"run/{OUTDIR}/") -> dict[str, Any]:
    """SHA-256 of all results in the bucket, by path."""
    return {
        name: hashlib.sha256(store.get_object(Bucket=BUCKET, Key=prefix + name)["Body"].read()).hexdigest()
        for name in listing(store, prefix)
    }


def finished(names: Any) -> Any:
    """Those of some files that belong to jobs all of whose files are there: a block's shard counts with its tables."""
    twins = {"components", "segmentation"}

    def whole(name: str) -> Any:
        if name.split("/", maxsplit=1)[0] not in twins or not name.endswith((".shard", ".h5")) or "/mesh/" in name:
            return True
        stem = name.rpartition(".")[0]
        return f"{stem}.shard" in names and f"{stem}.h5" in names

    return {name for name in names if whole(name)}


def kill(process: subprocess.Popen[bytes], with_signal: Any = signal.SIGKILL) -> None:
    """Send a signal to a head, not to what it started."""
    os.kill(process.pid, with_signal)
