"""Shared settings of the test suite."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from connectomake.planning.plan import Plan

os.environ.setdefault("OMP_NUM_THREADS", "1")
settings.register_profile(
    "connectomake", deadline=None, max_examples=40, derandomize=True, suppress_health_check=list(HealthCheck)
)
settings.load_profile("connectomake")
FAST_SECONDS = 5.0
"""CPU time from which a test is named at the end, unless it is marked `slow`: see tests/__init__.py."""
if os.environ.get("CONNECTOMAKE_PLUGINS"):  # of clusters: imported by tests, not by the Snakemakes that they start
    sys.path.append(os.environ["CONNECTOMAKE_PLUGINS"])


def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    """Begin with the files that take minutes: side by side, the last to end is then a short one."""
    items.sort(key=_turn)


def _turn(item: pytest.Function) -> int:
    """Slurm, whole files of slow tests, Kubernetes (two clusters at once are much for two cores), the rest, as it stands."""
    if item.get_closest_marker("cluster"):
        return 0 if "slurm" in item.path.name else 2
    module = item.getparent(pytest.Module)
    return 1 if module and any(mark.name == "slow" for mark in module.own_markers) else 3


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Function) -> Generator[None, Any, Any]:
    """Note how much CPU time a test took, with the processes that it waited for, for `pytest_terminal_summary`."""
    before = _cpu_seconds()
    try:
        return (yield)
    finally:
        item.user_properties.append(("cpu_seconds", _cpu_seconds() - before))


def _cpu_seconds() -> float:
    took = os.times()
    return took.user + took.system + took.children_user + took.children_system


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Name the tests that should be marked as slow: no failure, for the first to call a compiled function compiles it, too."""
    reports = [r for kind in ("passed", "failed", "xfailed") for r in terminalreporter.stats.get(kind, ())]
    for line in unmarked(reports):
        terminalreporter.write_line(line, yellow=True)


def unmarked(reports: list[Any]) -> list[str]:
    """Say which tests took more than FAST_SECONDS of CPU time and lack the mark `slow`, the slowest first."""
    calls = [r for r in reports if r.when == "call" and "slow" not in r.keywords]
    took = sorted(((dict(r.user_properties).get("cpu_seconds", 0.0), r.nodeid) for r in calls), reverse=True)
    return [
        f"SLOW {name} took {seconds:.1f} s of CPU time: make it faster, or mark it pytest.mark.slow"
        for seconds, name in took
        if seconds > FAST_SECONDS
    ]


@pytest.fixture(scope="session")
def made_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a whole small run, made once; only `whole_run` takes it."""
    from tests.tiny_run import make_run, write_inputs

    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_inputs(folder)
        make_run()
    return folder


@pytest.fixture(scope="module")
def whole_run(made_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a whole small run, for the tests of a file; those that change it take `copied_run`."""
    folder = tmp_path_factory.mktemp("whole")
    shutil.copytree(made_run, folder, dirs_exist_ok=True)
    return folder


@pytest.fixture
def copied_run(whole_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """A copy of a whole run, as working directory; its plan."""
    from connectomake.planning.resolve import resolve
    from tests.tiny_run import CONFIG

    shutil.copytree(whole_run, tmp_path / "run")
    monkeypatch.chdir(tmp_path / "run")
    return resolve(CONFIG)
