"""Packages that a test needs from Debian; a test is skipped, with the reason, where they cannot be had."""

import contextlib
import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

_POLICY = Path("/usr/sbin/policy-rc.d")
_LOCK = Path("/var/lock/connectomake-tests")


def missing(packages: list[str]) -> list[str]:
    """Return those of some packages that are not installed."""
    command = ["dpkg-query", "-W", "-f", "${binary:Package} ${db:Status-Status}\n", *packages]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout
    installed = {line.split()[0].split(":")[0] for line in shown.splitlines() if line.endswith(" installed")}
    return [name for name in packages if name not in installed]


def require(*packages: str, timeout: float = 420) -> None:
    """Install packages that are missing, within the time; or skip the test."""
    if not shutil.which("apt-get") or not shutil.which("dpkg-query"):
        pytest.skip("no apt-get here: the cluster's daemons come from Debian")
    if os.geteuid():
        pytest.skip("not root: the cluster's daemons need it")
    with _LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if absent := missing(list(packages)):
            _install(absent, timeout)


def _install(packages: list[str], timeout: float) -> None:
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update", "-q"], ["install", "-q", "-y", "--no-install-recommends", *packages]):
        with _no_services():
            try:
                done = subprocess.run(
                    ["apt-get", *command], env=environment, capture_output=True, text=True, timeout=timeout, check=False
                )
            except subprocess.TimeoutExpired:
                pytest.skip(f"apt-get {command[0]} took more than {timeout} s")
        if done.returncode:
            pytest.skip(f"apt-get {' '.join(command)} failed: {done.stderr[-300:].strip()}")


@contextlib.contextmanager
def _no_services() -> Iterator[None]:
    """Keep packages from starting their daemons."""
    if _POLICY.exists():
        yield
        return
    _POLICY.write_text("#!/bin/sh\nexit 101\n")
    _POLICY.chmod(0o755)
    try:
        yield
    finally:
        _POLICY.unlink()
