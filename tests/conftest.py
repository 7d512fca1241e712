"""Shared settings of the test suite."""

import os

from hypothesis import HealthCheck, settings

os.environ.setdefault("OMP_NUM_THREADS", "1")
settings.register_profile(
    "connectomake", deadline=None, max_examples=40, derandomize=True, suppress_health_check=list(HealthCheck)
)
settings.load_profile("connectomake")
