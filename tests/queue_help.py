"""What the tests of queues share: a workflow of one script, tasks for it, workers as processes, a server of S3 and SQS."""

import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from connectomake.geometry import Box
from connectomake.pipeline.registry import Stages
from connectomake.planning.plan import Plan
from connectomake.planning.source_info import SourceInfo
from connectomake.queueing.messages import Drawn
from connectomake.queueing.queues import Queue
from connectomake.queueing.task import Task
from tests.tiny_run import CONFIG

SCRIPT = """
import os
import signal
import sys
import time
from connectomake.atomic import atomic_path
from connectomake.jobs import guarded
from connectomake.layers.records import encode_record
from connectomake.pipeline.registry import Stages

def main(plan):
    block = snakemake.wildcards.block
    with open(os.environ["STARTS"], "a") as stream:
        stream.write(block + "\\n")
    if block == "bad":
        raise ValueError("no good can come of this")
    if block == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    read = b"".join(open(path, "rb").read() for path in snakemake.input)
    with atomic_path(snakemake.output.shard) as path:
        path.write_bytes(b"half")
        print("half-way", file=sys.stderr)
        time.sleep(float(os.environ.get("SLEEP", "0")))
        path.write_bytes(b"whole " + block.encode() + read + encode_record(Stages(plan).record("components")))

guarded(snakemake, main)
"""
LONG = 1800
"""Seconds that nothing takes, however busy the machine."""
MAIN = "from connectomake.cli import main; main()"


def make_plan(**values: Any) -> Plan:
    """A plan without any file."""
    from connectomake.config import normalise

    config = normalise({**CONFIG, "inference": None, **values})
    facts = SourceInfo("raw.h5", "raw", None, "hdf5", Box.of_shape((16, 16, 16)), 1, "uint8", (20.0, 10.0, 10.0), "x")
    return Plan(config, facts)


def make_workflow(folder: Path) -> Path:
    """A folder that passes for a checkout."""
    for name, text in (("Snakefile", ""), ("workflow/list_jobs.py", ""), ("scripts/write.py", SCRIPT)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def make_task(block: str, reads: Sequence[str] = (), plan: Plan | None = None, **values: Any) -> Task:
    plan = plan or make_plan()
    facts: dict[str, Any] = {
        "rule": "write", "script": "write.py", "plan": plan.to_json(), "wildcards": {"block": block},
        "input": {"items": list(reads), "names": {}},
        "output": {"items": [f"out/{block}.shard"], "names": {"shard": [0, None]}},
        "log": [f"out/logs/{block}.log"], "benchmark": f"out/benchmarks/{block}.tsv", "threads": 1, "stage": "components",
        "fingerprint": Stages(plan).fingerprint("components"),
    }  # fmt: skip
    return Task(**(facts | values))


def call(*words: str, check: int | None = None, **environment: Any) -> tuple[int, str]:
    """Run the command line; return exit code and all that it printed."""
    done = subprocess.run(
        [sys.executable, "-c", MAIN, *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=LONG,
        env=os.environ | environment,
    )
    assert check is None or done.returncode == check, done.stdout + done.stderr
    return done.returncode, done.stdout + done.stderr


@contextlib.contextmanager
def worker(*words: str, **environment: Any) -> Iterator[subprocess.Popen[str]]:
    """A worker that runs meanwhile; ended at the end."""
    process = subprocess.Popen(
        [sys.executable, "-c", MAIN, "queue", "work", *words],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ | environment,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for(condition: Any, seconds: Any = LONG) -> None:
    """Wait for an event; a limit only so that a broken program ends."""
    deadline = time.time() + seconds
    while not condition():
        assert time.time() < deadline
        time.sleep(0.02)


class Cloud:
    """A server of S3 and SQS, that the environment points to."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.server = ThreadedMotoServer(port=0, verbose=False)
        self.server.start()
        host, port = self.server.get_host_and_port()
        self.url = f"http://127.0.0.1:{port}" if host == "0.0.0.0" else f"http://{host}:{port}"
        facts: dict[str, Any] = {
            "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": self.url,
        }  # fmt: skip
        for name, value in facts.items():
            patch.setenv(name, value)
        patch.delenv("AWS_SESSION_TOKEN", raising=False)

    def client(self, service: str) -> Any:
        return boto3.client(service, endpoint_url=self.url)

    def demand_credentials(self, demand: bool = True) -> None:
        """From now on only keys that exist are let in; or all again."""
        count = b"0" if demand else b"inf"
        place, plain = f"{self.url}/moto-api/reset-auth", {"Content-Type": "text/plain"}
        urllib.request.urlopen(urllib.request.Request(place, count, plain, method="POST"))

    def stop(self) -> None:
        self.server.stop()


def lines(path: Any) -> Any:
    return Path(path).read_text().split() if Path(path).exists() else []


def message_of(folder: Any) -> Any:
    """The one message of a folder queue, as JSON."""
    return json.loads(next(Path(folder, "queue").iterdir()).read_text())


def put_text(url: str, text: str, ident: str = "stray") -> None:
    """Put a message of any text into a queue, past connectomake."""
    place = url.partition("://")[2]
    if url.startswith("fq://"):
        Path(place, "queue", f"0--{ident}.json").write_text(text)
    else:
        client = boto3.client("sqs")
        client.send_message(QueueUrl=client.get_queue_url(QueueName=place)["QueueUrl"], MessageBody=text)


def draw(queue: Queue, seconds: int = 60, wait: int = 0) -> Drawn:
    """Draw a message of a queue that has one."""
    drawn = queue.draw(seconds, wait)
    assert drawn is not None, "the queue has no task"
    return drawn
