"""What the suite says of itself: tests that are slow without a mark, and where a test hangs."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.conftest import FAST_SECONDS, unmarked

HANGS = """
import time

def test_that_hangs():
    while "test_that_hangs" not in open("said").read():  # until its own stack is shown
        time.sleep(0.01)
"""


def report(name: str, seconds: float, *keywords: str, when: str = "call") -> SimpleNamespace:
    return SimpleNamespace(nodeid=name, when=when, keywords=keywords, user_properties=[("cpu_seconds", seconds)])


def test_a_slow_test_without_the_mark_is_named() -> None:
    fast, slow, marked = report("a", FAST_SECONDS), report("b", FAST_SECONDS + 0.1), report("c", 99.0, "slow")
    assert [line.split()[1] for line in unmarked([fast, slow, marked, report("d", 99.0)])] == ["d", "b"]
    assert unmarked([fast, marked, report("e", 99.0, when="setup")]) == []


def test_the_cpu_time_of_tests_is_noted(request: pytest.FixtureRequest) -> None:
    properties = dict(request.node.user_properties)
    assert "cpu_seconds" not in properties  # it comes when the test has ended
    assert request.config.pluginmanager.has_plugin("faulthandler")
    assert float(request.config.getini("faulthandler_timeout")) == 1200


@pytest.mark.slow
@pytest.mark.parametrize("options", [[], ["-n", "1"]], ids=["alone", "by a worker"])
def test_a_test_that_hangs_shows_its_stack(options: list[str], tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(HANGS)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "-o",
        "faulthandler_timeout=0.5",
        *options,
        "test_it.py",
    ]
    with (tmp_path / "said").open("wb") as said:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
        subprocess.run(command, cwd=tmp_path, env=environment, stdout=said, stderr=said, check=True)
    assert "test_that_hangs" in (tmp_path / "said").read_text()
