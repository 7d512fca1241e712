"""Shared settings of the test suite."""

import os
import shutil
import sys

import pytest
from hypothesis import HealthCheck, settings

os.environ.setdefault("OMP_NUM_THREADS", "1")
settings.register_profile(
    "connectomake", deadline=None, max_examples=40, derandomize=True, suppress_health_check=list(HealthCheck)
)
settings.load_profile("connectomake")
if os.environ.get("CONNECTOMAKE_PLUGINS"):  # of clusters: imported by tests, not by the Snakemakes that they start
    sys.path.append(os.environ["CONNECTOMAKE_PLUGINS"])


def pytest_collection_modifyitems(items):
    """Begin with the files that take minutes: side by side, the last to end is then a short one."""
    items.sort(key=_turn)


def _turn(item):
    """Slurm, workflows, Kubernetes (two clusters at once are much for two cores), the rest; in a file as it stands."""
    if item.get_closest_marker("cluster"):
        return 0 if "slurm" in item.path.name else 2
    return 1 if item.get_closest_marker("slow") else 3


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory):
    """A folder with a whole small run; tests that change it take `copied_run`."""
    from tests.tiny_run import make_run, write_inputs

    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_inputs(folder)
        make_run()
    return folder


@pytest.fixture
def copied_run(whole_run, tmp_path, monkeypatch):
    """A copy of a whole run, as working directory; its plan."""
    from connectomake.planning.resolve import resolve
    from tests.tiny_run import CONFIG

    shutil.copytree(whole_run, tmp_path / "run")
    monkeypatch.chdir(tmp_path / "run")
    return resolve(CONFIG)
