"""The workflow on a real Kubernetes with an object store: the same bits as on this machine, whatever fails on the way."""

import json
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from connectomake.preflight.profile import Site

pytest.importorskip("kubernetes")
pytest.importorskip("moto")
from connectomake.pipeline.demands import REMOTE_MB
from tests.cluster.daemons import wait
from tests.cluster.kubernetes.build import asked_for
from tests.cluster.kubernetes.injector import Injector, evict
from tests.cluster.kubernetes.project import (
    DISK,
    MEMORY,
    finished,
    listing,
    memory_of_rules,
    small_config,
    stored_digests,
    tries_after,
)
from tests.cluster.kubernetes.site import BUCKET, NAMESPACE, assert_clean, pods, secrets

pytestmark = [
    pytest.mark.slow,
    pytest.mark.cluster,
    pytest.mark.skipif(
        asked_for() not in {"1", "cached"},
        reason="about ten minutes more: `make test-kubernetes` runs it; CONNECTOMAKE_CLUSTER_BUILD=cached, if it was built",
    ),
]


@pytest.fixture
def minute(project: Any) -> float:
    """A minute of a machine on which nothing else runs: there Snakemake takes three seconds to read the workflow."""
    return max(60.0, 20 * float(project.run("-n", timeout=600)[2]))


def as_the_first_version_wrote_it(folder: Path) -> None:
    """Rewrite the note of a killed head: it called the place `namespace`."""
    [path] = folder.glob("*.json")
    values = json.loads(path.read_text())
    path.write_text(json.dumps({"namespace" if name == "place" else name: value for name, value in values.items()}))


def is_at_work(site: Any, log: Any) -> Any:
    """Whether two jobs with the network are done, and one is tried again that took more disk than it had."""
    done = [name for name in listing(site.s3) if name.startswith("affinity/")]
    return len(done) >= 2 and any(len(asked) > 1 for asked in tries_after(log, DISK, "disk_mb"))


def assert_doubled(*logs: Any) -> None:
    """Assert that jobs ran out of memory and of disk, and each further try had double; each head numbers its jobs anew."""
    for why, resource in ((MEMORY, "mem_mb"), (DISK, "disk_mb")):
        tries = [asked for log in logs for asked in tries_after(log, why, resource)]
        assert tries, why
        assert all(asked[-1] >= 2 * asked[0] for asked in tries if len(asked) > 1), (why, tries)


def test_faults_change_nothing(site: Any, project: Any) -> None:
    code, text, _ = project.run("--cores", "2", profile="local", config="local")
    assert code == 0, text[-3000:]
    expected = project.local_digests()
    here = memory_of_rules(project.run("-n", "--forceall", profile="local", config="local")[1])
    assert sum(name.endswith(".shard") for name in expected) > 15

    head = project.start(log="interrupted.log")
    assert wait(lambda: pods(site, running=True) or head.poll() is not None, 300)
    assert len(secrets(site)) == 1
    head.send_signal(signal.SIGINT)
    head.wait(180)
    assert_clean(site)

    for number in range(3):
        site.s3.delete_object(Bucket=BUCKET, Key=f"trouble/{number}")
    site.s3.put_object(Bucket=BUCKET, Key="disk", Body=b"")
    head, killed = project.start(log="killed.log"), project.folder / "killed.log"
    injector = Injector(site, head)
    injector.on_running_pods("deleted", injector.delete, 2, "image")
    injector.on_running_pods("evicted", lambda name: evict(site, name), 1, ("image", "affinity"))
    injector.lose_server(killed)
    injector.trouble_storage(10)

    assert wait(lambda: is_at_work(site, killed.read_text()) or head.poll() is not None, 1500), killed.read_text()[-3000:]
    assert head.poll() is None, killed.read_text()[-3000:]
    head.kill()
    head.wait(30)
    injector.note("head killed")
    as_the_first_version_wrote_it(project.folder / ".snakemake/pods")
    wait(lambda: not pods(site, running=True), 20)
    before = listing(site.s3)
    kept = finished(before)

    code, text, _ = project.run("--unlock", timeout=300)
    assert code == 0, text[-3000:]
    head = project.start(log="resumed.log")
    injector.head = head
    injector.on_running_pods("deleted", injector.delete, 3, "components")
    head.wait(1800)
    text = (project.folder / "resumed.log").read_text()
    assert head.returncode == 0, text[-5000:]
    assert "that the killed run" in text
    assert_clean(site)

    after = listing(site.s3)
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}
    assert stored_digests(site.s3) == expected
    told = killed.read_text() + text
    assert_doubled(killed.read_text(), text)
    there = memory_of_rules(told)
    assert {rule: there[rule] - here[rule] for rule in ("image", "affinity")} == {"image": REMOTE_MB, "affinity": REMOTE_MB}
    assert injector.count["deleted"] + injector.count["evicted"] >= 3
    assert "it is made again as" in told, "one at least of these pods was still at work when it was taken away"
    assert not re.findall("message: .*(?:is gone|deleted)", told), "what ends a pod from outside is no failed try"
    assert "Kubernetes does not answer" in told
    assert "is gone: someone deleted it" in told
    code, text, _ = project.run("-n", timeout=600)
    assert "Nothing to be done" in text, text[-3000:]
    faults = site.proxy.faults
    assert faults.failed >= 10
    assert faults.delayed >= 10
    injector.count |= {"script failures": 1, "out of memory": told.count("OOMKilled, it had"), "answers 500": faults.failed}
    print(f"faults injected: {injector.count | {'answers delayed': faults.delayed}}")
    print(f"objects: {len(after)}, of which {len(kept)} were finished at the kill")


def test_what_ends_pods_from_outside_costs_no_try(site: Any, project: Any) -> None:
    """Without retries, with a quota that lets three pods be made at a time: so some are to be made while the server is away."""
    code, text, _ = project.run("--cores", "2", profile="local", config="local")
    assert code == 0, text[-3000:]
    for number in range(3):  # the network has had its trouble
        site.s3.put_object(Bucket=BUCKET, Key=f"trouble/{number}", Body=b"")
    project.add("events", small_config(f"s3://{BUCKET}/raw.h5") | {"outdir": "results/events"})
    project.under_git()
    site.core.create_namespaced_resource_quota(NAMESPACE, {"metadata": {"name": "few"}, "spec": {"hard": {"pods": "3"}}})
    head, log = project.start("--retries", "0", log="events.log", config="events"), project.folder / "events.log"
    try:
        injector = Injector(site, head)
        injector.on_running_pods("deleted", injector.delete, 1, "image")
        injector.lose_server(log, times=4)
        injector.on_running_pods("evicted", lambda name: evict(site, name), 2, ("image", "affinity"))
        injector.preempt(log)
        injector.lose_node(log)
        head.wait(3600)
    finally:
        head.kill()
        site.core.delete_namespaced_resource_quota("few", NAMESPACE)
    text = log.read_text()
    assert head.returncode == 0, text[-5000:]
    assert injector.count == {"deleted": 1, "API server away": 1, "evicted": 2, "pods preempted": 1, "node lost": 1}
    assert text.count("it is made again as") >= 3, "preempted, lost with the node, and one of three that was still at work"
    assert "pod(s) wait: exceeded quota: few, requested: pods=1, used: pods=3, limited: pods=3" in text
    assert "Error in rule" not in text
    assert stored_digests(site.s3, "run/results/events/") == project.local_digests()
    assert_clean(site)


def test_a_changed_setting_remakes_what_depends_on_it_from_the_records_alone(site: Any, project: Any) -> None:
    config = project.folder / "configs/pods.yaml"
    text = config.read_text()
    notes = project.folder / ".snakemake/metadata"
    hidden = notes.rename(notes.with_name("metadata.away"))
    try:
        config.write_text(text.replace("min_size: 30", "min_size: 60"))
        code, told, _ = project.run("-n", "--quiet", "rules", timeout=600)
        assert code == 0, told
        assert "merge" in told
        assert "components" not in told.split("Reasons")[0]
        config.write_text(text)
        site.proxy.faults.seen.clear()
        assert "Nothing to be done" in project.run("-n", timeout=600)[1]
    finally:
        config.write_text(text)
        shutil_restore(hidden, notes)


def shutil_restore(hidden: Any, place: Any) -> None:
    if place.exists():
        subprocess.run(["rm", "-r", place], check=True)
    hidden.rename(place)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--container-image", "127.0.0.1:1/none:1"), "correct container-image '127.0.0.1:1/none:1'"),
        (("--container-image", "Not A Name"), "InvalidImageName"),
        (("--default-storage-prefix", "s3://nobucket/run"), "there is no bucket 'nobucket'"),
        (("--pods-namespace", "nowhere"), "make the namespace 'nowhere' or correct pods-namespace"),
        (("--set-resources", "affinity:mem_mb=99000000", "--retries", "0"), "can never run here: it asks for"),
    ],
)
def test_bad_input_is_named_within_a_minute(site: Site, project: Any, minute: float, options: Any, words: str) -> None:
    code, text, seconds = project.run("--forcerun", "affinity", "--until", "affinity", *options, timeout=600)
    assert code != 0
    assert words in text, text[-3000:]
    assert seconds < minute
    assert_clean(site)


def test_expired_credentials_are_named_within_a_minute(site: Any, project: Any, minute: float) -> None:
    site.proxy.faults.refuse = "ExpiredToken"
    try:
        code, text, seconds = project.run("-n", timeout=600)
    finally:
        site.proxy.faults.refuse = ""
    assert code != 0
    assert "ExpiredToken" in text, text[-3000:]
    assert "renew them" in text
    assert seconds < minute


def test_a_refused_login_is_named_within_a_minute(site: Any, project: Any, minute: float) -> None:
    config = Path(site.folder / "old-login")
    config.write_text(site.cluster.config_text("expired"))
    project.env = project.env | {"KUBECONFIG": str(config)}
    try:
        code, text, seconds = project.run("--forcerun", "affinity", timeout=600)
    finally:
        project.env = site.environment
    assert code != 0
    assert "renew your credentials" in text, text[-3000:]
    assert seconds < minute
