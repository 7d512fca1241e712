"""The plugins of clusters lie apart from the environment of the other tests (see the Makefile); here they are offered."""

import os

import pytest


@pytest.fixture(scope="module", autouse=True)
def plugins():
    """Let everything that these tests start import the plugins."""
    with pytest.MonkeyPatch.context() as patch:
        folders = [os.environ.get("CONNECTOMAKE_PLUGINS"), os.environ.get("PYTHONPATH")]
        if folders[0]:
            patch.setenv("PYTHONPATH", os.pathsep.join(f for f in folders if f))
        yield
