"""The least to see of a real Kubernetes, for .ci/run: one run in pods with three kinds of faults, and the bits of one here."""

import contextlib
from typing import Any

import pytest

pytest.importorskip("kubernetes")
pytest.importorskip("moto")
from kubernetes.client.exceptions import ApiException

from tests.cluster.daemons import wait
from tests.cluster.kubernetes.build import asked_for
from tests.cluster.kubernetes.project import jobs_out_of_memory, memory_of_attempts, stored_digests
from tests.cluster.kubernetes.site import NAMESPACE, assert_clean, pods

pytestmark = [
    pytest.mark.slow,
    pytest.mark.cluster,
    pytest.mark.skipif(
        asked_for() != "least", reason="CONNECTOMAKE_CLUSTER_BUILD=least is not set; `make test-kubernetes` runs more than this"
    ),
]
LIMIT = 1500
GONE = "is gone: someone deleted it"


def delete_one(site: Any, hit: Any) -> None:
    """Delete a running pod of an image job, of each job once."""
    for name in pods(site, running=True):
        job = name.rpartition("-")[0]
        if name.startswith("image") and job not in hit:
            hit.add(job)
            with contextlib.suppress(ApiException):
                site.core.delete_namespaced_pod(name, NAMESPACE, grace_period_seconds=0, _request_timeout=10)
                return


def until_noticed(site: Any, head: Any, told: Any) -> None:
    """Delete pods, one after the other, until the head has missed one."""
    hit: set[Any] = set()

    def noticed() -> bool:
        if GONE in told.read_text() or head.poll() is not None:
            return True
        delete_one(site, hit)
        return False

    assert wait(noticed, LIMIT, every=3), told.read_text()[-3000:]


def test_a_run_in_pods_has_the_bits_of_one_here(site: Any, project: Any) -> None:
    code, text, _ = project.run("--cores", "2", profile="local", config="local")
    assert code == 0, text[-3000:]
    expected = project.local_digests()
    assert sum(name.endswith(".shard") for name in expected) > 15

    head = project.start(log="head.log")
    told = project.folder / "head.log"
    try:
        until_noticed(site, head, told)
        head.wait(LIMIT)
    finally:
        head.kill()
    text = told.read_text()
    assert head.returncode == 0, text[-5000:]
    assert GONE in text
    assert jobs_out_of_memory(text)
    for job in jobs_out_of_memory(text):
        tries = memory_of_attempts(text)[job]
        assert tries[-1] >= 2 * tries[0], "out of memory: each further attempt has double"
    assert stored_digests(site.s3) == expected
    assert_clean(site)
