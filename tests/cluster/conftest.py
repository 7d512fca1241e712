"""The plugins of clusters lie apart from the environment of the other tests (see the Makefile); here they are offered."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.flow import Flow


@pytest.fixture(scope="module", autouse=True)
def plugins() -> Iterator[None]:
    """Let everything that these tests start import the plugins."""
    with pytest.MonkeyPatch.context() as patch:
        folders = [os.environ.get("CONNECTOMAKE_PLUGINS"), os.environ.get("PYTHONPATH")]
        if folders[0]:
            patch.setenv("PYTHONPATH", os.pathsep.join(f for f in folders if f))
        yield


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A Slurm, all real."""
    from tests.cluster.slurm import SlurmCluster

    with SlurmCluster(tmp_path_factory.mktemp("slurm")) as cluster:
        yield cluster


def copied(flow: Any, folder: Any) -> Any:
    shutil.copytree(flow.folder, folder)
    return Flow(folder, flow.shape, flow.config)


@pytest.fixture(scope="module")
def expected(start: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """SHA-256 of every layer of the run that `start` has ready, on this machine, without a cluster."""
    local = copied(start, tmp_path_factory.mktemp("local") / "run")
    local.run()
    return local.digests()


@pytest.fixture
def flow(start: Any, tmp_path: Path) -> Any:
    """A copy of the folder that nothing has run in."""
    return copied(start, tmp_path / "run")


@pytest.fixture(scope="module")
def site() -> Iterator[Any]:
    """A Kubernetes with an S3 server; whatever it takes to have one that is not to be had here skips the tests."""
    from tests.cluster import debian
    from tests.cluster.kubernetes.build import asked_for, require_binaries
    from tests.cluster.kubernetes.cluster import PACKAGES, CannotRun
    from tests.cluster.kubernetes.site import Site

    debian.require(*PACKAGES)
    require_binaries()
    with tempfile.TemporaryDirectory(prefix="cmk-k8s-", ignore_cleanup_errors=True) as folder, contextlib.ExitStack() as stack:
        try:
            up = stack.enter_context(Site(folder))
        except Exception as error:
            if not isinstance(error, CannotRun) and asked_for() != "least":
                raise
            pytest.skip(f"no Kubernetes could be started here: {error}")
        yield up


@pytest.fixture(scope="module")
def project(site: Any) -> Any:
    """A working copy of the repository with a small run, here and in the cluster."""
    from tests.cluster.kubernetes.project import Project

    made = Project(site.folder / "project", site.environment)
    made.add_small_run(site.s3)
    return made
