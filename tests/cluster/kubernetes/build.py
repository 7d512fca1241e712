"""Kubernetes' binaries for tests: built where that is asked for, within a time; else the tests are skipped, with the reason."""

import contextlib
import os
import signal
import subprocess
from typing import Any

import pytest

from tests.cluster.kubernetes.cluster import CACHE, HERE

SECONDS = {"1": 2400, "least": 900}


def binaries_are_there() -> Any:
    names = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "pause")
    return all((CACHE / "bin" / name).exists() for name in names)


def asked_for() -> Any:
    """1: build if need be, all tests; cached: all tests if it was built; least: build if need be, one test (.ci/run)."""
    return os.environ.get("CONNECTOMAKE_CLUSTER_BUILD", "")


def require_binaries() -> None:
    """Build Kubernetes where that is asked for; skip the tests where it is not there."""
    if binaries_are_there():
        return
    if asked_for() not in SECONDS:
        pytest.skip("Kubernetes' binaries are not built: `make test-kubernetes` builds them once, in 5 to 12 minutes")
    code, told = _build(SECONDS[asked_for()])
    if code or not binaries_are_there():
        pytest.skip(f"Kubernetes could not be built: {told[-400:]}")


def _build(seconds: Any) -> Any:
    """Run the build; return its exit code and what it said. After the time its compilers are ended with it."""
    command = ["bash", str(HERE / "build-binaries.sh")]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as build:
        try:
            told = build.communicate(timeout=seconds)[1]
        except subprocess.TimeoutExpired:
            return 1, f"not within {seconds} s"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(build.pid, signal.SIGKILL)
    return build.returncode, told
