"""A cluster to play with: python -m tests.cluster.kubernetes; Ctrl-C ends it."""

import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from tests.cluster import debian
from tests.cluster.kubernetes.build import binaries_are_there
from tests.cluster.kubernetes.cluster import HERE, PACKAGES, CannotRun
from tests.cluster.kubernetes.site import Site


def main() -> None:
    started = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - started:5.0f} s] {text}", flush=True)

    debian.require(*PACKAGES)
    if not binaries_are_there():
        say("building Kubernetes, once: 5 to 12 minutes")
        subprocess.run(["bash", HERE / "build-binaries.sh"], check=True)
    say("starting")
    done = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: done.set())
    with tempfile.TemporaryDirectory(prefix="cmk-k8s-") as folder, Site(folder) as site:
        say("ready; in another terminal:")
        for name, value in site.environment.items():
            print(f"export {name}={value}")
        print(f"# bucket s3://lab, namespace em, image connectomake:test; logs in {Path(folder)}", flush=True)
        done.wait()
        say("ending")


if __name__ == "__main__":
    try:
        main()
    except CannotRun as error:
        sys.exit(str(error))
