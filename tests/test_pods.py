"""The pods executor with a cluster of dictionaries: every fault that a pod, the server or the user can make."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("kubernetes")
import urllib3
from kubernetes.client.exceptions import ApiException

from connectomake_heads import Note, read_notes
from snakemake_executor_plugin_pods import Executor, ExecutorSettings, common_settings
from snakemake_executor_plugin_pods.api import ApiError, PodApi
from snakemake_executor_plugin_pods.room import beyond_quota, is_lost, never_fits, quantity
from snakemake_executor_plugin_pods.run import Fatal, Run
from snakemake_executor_plugin_pods.spec import RULE_LABEL, RUN_LABEL, make_pod, make_secret, with_quick_sources
from snakemake_executor_plugin_pods.task import Task
from snakemake_executor_plugin_pods.verdict import Verdict, judge


def a_pod(
    name: str = "p", phase: str = "Pending", state: dict[str, dict[str, Any]] | None = None, **status: Any
) -> dict[str, dict[str, Any]]:
    """A pod's JSON, the parts that matter."""
    resources = {"requests": {"cpu": "950m", "memory": "500M"}, "limits": {"memory": "500M"}}
    containers = [{"name": "sidecar", "state": {"running": {}}}, {"name": "snakemake", "state": state or {}}]
    return {
        "metadata": {"name": name, "labels": {RUN_LABEL: "r1"}},
        "spec": {"containers": [{"name": "snakemake", "image": "lab/image:1", "resources": resources}]},
        "status": {"phase": phase, "containerStatuses": containers, **status},
    }


LOW = "The node was low on resource:"


def ended(code: int, **more: Any) -> dict[str, dict[str, Any]]:
    return {"terminated": {"exitCode": code, **more}}


def waiting(reason: str, message: str = "why") -> dict[str, dict[str, str]]:
    return {"waiting": {"reason": reason, "message": message}}


def unschedulable(message: str = "0/1 nodes are available: 1 Insufficient cpu.") -> dict[str, dict[str, Any]]:
    return a_pod(conditions=[{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}])


def deleted(pod: dict[str, dict[str, Any]], node: str = "n1") -> dict[str, dict[str, Any]]:
    """A pod whose deletion was asked for two seconds before midnight."""
    pod["metadata"] |= {"deletionTimestamp": "2026-01-01T00:00:00Z", "deletionGracePeriodSeconds": 2}
    pod["spec"]["nodeName"] = node
    return pod


def disrupted(reason: str, state: dict[str, dict[str, Any]] | None = None) -> dict[str, dict[str, Any]]:
    """A pod as Kubernetes of 1.26 and later marks it, to make room for others."""
    condition = {"type": "DisruptionTarget", "status": "True", "reason": reason, "message": "to make room"}
    return a_pod(phase="Failed", state=state or ended(143), conditions=[condition])


def evicted(message: str) -> dict[str, dict[str, Any]]:
    pod = a_pod(phase="Failed", reason="Evicted", message=message)
    pod["spec"]["containers"][0]["resources"]["limits"]["ephemeral-storage"] = "2G"
    return pod


@pytest.mark.parametrize(
    ("pod", "state", "words"),
    [
        (a_pod(), "wait", ""),
        (a_pod(phase="Running", state={"running": {}}), "wait", ""),
        (a_pod(state=waiting("ContainerCreating")), "wait", ""),
        (a_pod(phase="Succeeded", state=ended(0)), "done", ""),
        (a_pod(phase="Running", state=ended(0)), "done", ""),
        (deleted(a_pod(phase="Succeeded", state=ended(0))), "done", ""),
        (a_pod(phase="Failed", state=ended(1)), "failed", "exit code 1"),
        (a_pod(phase="Running", state=ended(1)), "failed", "exit code 1"),
        (a_pod(phase="Failed", state=ended(137, reason="OOMKilled")), "failed", "ran out of memory (OOMKilled, it had 500M)"),
        (a_pod(phase="Failed", state=ended(1, reason="OOMKilled")), "failed", "each retry gets more"),
        (a_pod(phase="Failed", reason="Evicted", message="The node was low on disk"), "again", "Evicted: The node was low"),
        (a_pod(phase="Failed", reason="DeadlineExceeded"), "failed", "ran longer than its `runtime`"),
        (a_pod(phase="Failed", reason="Preempting"), "again", "Preempting"),
        (a_pod(phase="Failed", state=ended(143), reason="Terminated", message="node shutdown"), "again", "Terminated: node"),
        (a_pod(phase="Failed", reason="OutOfcpu", message="Node has not enough"), "again", "OutOfcpu: Node has"),
        (a_pod(phase="Failed", reason="NodeLost"), "again", "NodeLost"),
        (a_pod(phase="Failed"), "again", "its node lost it"),
        (a_pod(phase="Failed", state=ended(255, reason="Unknown")), "again", "its node lost it"),
        (a_pod(phase="Failed", state=ended(137, reason="ContainerStatusUnknown")), "again", "its node lost it"),
        (disrupted("PreemptionByScheduler"), "again", "PreemptionByScheduler: to make room"),
        (disrupted("DeletionByTaintManager"), "again", "DeletionByTaintManager"),
        (disrupted("TerminationByKubelet", ended(137, reason="OOMKilled")), "failed", "OOMKilled"),
        (deleted(a_pod(phase="Running", state={"running": {}})), "wait", "is being deleted"),
        (deleted(a_pod(phase="Failed", state=ended(137))), "again", "deleted while it ran"),
        (deleted(a_pod(phase="Failed", state=ended(143, finishedAt="2025-12-31T23:59:58Z"))), "again", "deleted while it ran"),
        (deleted(a_pod(phase="Failed", state=ended(1, finishedAt="2025-12-31T23:59:57Z"))), "failed", "exit code 1"),
        (deleted(a_pod(phase="Failed", state=ended(1, reason="OOMKilled"))), "failed", "OOMKilled"),
        (a_pod(phase="Unknown"), "wait", ""),
        (a_pod(state=waiting("ErrImagePull", "not found")), "stuck", "container-image 'lab/image:1'"),
        (a_pod(state=waiting("ImagePullBackOff")), "stuck", "ImagePullBackOff"),
        (a_pod(state=waiting("InvalidImageName")), "stuck", "correct container-image"),
        (a_pod(state=waiting("CreateContainerConfigError", 'secret "x" not found')), "stuck", 'secret "x" not found'),
        (unschedulable(), "no room", "Insufficient cpu"),
        ({"metadata": {"name": "p"}, "spec": {}, "status": {}}, "wait", ""),
    ],
)
def test_what_a_pod_means(pod: dict[str, dict[str, Any]], state: str, words: str) -> None:
    verdict = judge(pod)
    assert verdict.state == state
    assert words in verdict.message


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (f"{LOW} memory. Container snakemake was using 900Mi, which exceeds its request of 500M. ", "memory"),
        (
            f"{LOW} memory. Threshold quantity: 100Mi, available: 50Mi. "
            "Container snakemake was using 900000Ki, request is 500M, has larger consumption of memory. ",
            "memory",
        ),
        (f"{LOW} ephemeral-storage. Container snakemake was using 3Gi, which exceeds its request of 2G. ", "disk"),
        (f"{LOW} ephemeral-storage. Container snakemake was using 88Ki, request is 0, has larger …", "disk"),
        ("Pod ephemeral local storage usage exceeds the total limit of containers 2G. ", "disk"),
        ('Container snakemake exceeded its local ephemeral storage limit "2G". ', "disk"),
        ('Usage of EmptyDir volume "workdir" exceeds the limit "1Gi". ', "disk"),
        (f"{LOW} memory. ", ""),
        (f"{LOW} memory. Container sidecar was using 900Mi, which exceeds its request of 10M. ", ""),
        ('Container sidecar exceeded its local ephemeral storage limit "1G". ', ""),
        (f"{LOW} ephemeral-storage. Container snakemake was using 1Gi, request is 2G, has …", ""),
        (f"{LOW} inodes. ", ""),
        ("The node had condition: [DiskPressure]. ", ""),
        ("Pod The node had condition: [MemoryPressure]. ", ""),
    ],
)
def test_whose_fault_an_eviction_is(message: str, words: str) -> None:
    """Its own, where the job takes more than it asked for: the try counts, and the next asks for more."""
    verdict = judge(evicted(message))
    assert verdict.state == ("failed" if words else "again")
    assert "Evicted" in verdict.message
    if words:
        asked = {"memory": "500M", "disk": "2G"}[words]
        assert f"took more {words} than it asked for" in verdict.message
        assert f"it had {asked})" in verdict.message


@pytest.mark.parametrize(
    ("text", "value"),
    [("500m", 0.5), ("2", 2), ("24632892Ki", 24632892 * 1024), ("1e3", 1000), ("3M", 3e6), ("1Gi", 2**30), ("12E", 12e18)],
)
def test_quantities(text: str, value: float) -> None:
    assert quantity(text) == pytest.approx(value)


def test_a_quantity_must_be_one() -> None:
    with pytest.raises(ValueError, match="lots"):
        quantity("lots")


def a_node(memory: str = "8Gi", cpu: str = "4", name: str = "n", ready: str = "True", **more: Any) -> dict[str, dict[str, Any]]:
    status = {"allocatable": {"memory": memory, "cpu": cpu, **more}, "conditions": [{"type": "Ready", "status": ready}]}
    return {"metadata": {"name": name, "labels": {"zone": "a"}}, "status": status}


def why_not(pod: dict[str, Any], nodes: list[Any]) -> str:
    words = never_fits(pod, nodes)
    assert words is not None
    return words


def test_what_fits_on_no_node() -> None:
    pod = a_pod()
    assert never_fits(pod, [a_node()]) is None
    assert "asks for 500M of memory, the largest node has 100Mi" in why_not(pod, [a_node("100Mi"), a_node("50Mi")])
    pod["spec"]["containers"][0]["resources"]["requests"]["nvidia.com/gpu"] = "1"
    assert "nvidia.com/gpu, the largest node has none" in why_not(pod, [a_node()])
    assert never_fits(pod, [a_node(), a_node(**{"nvidia.com/gpu": "8"})]) is None
    assert "no single node" in why_not(pod, [a_node(), a_node(memory="1M", **{"nvidia.com/gpu": "8"})])
    pod["spec"]["nodeSelector"] = {"zone": "b"}
    assert "no node has the labels" in why_not(pod, [a_node()])


class FakeCore:
    """What `CoreV1Api` does, on dictionaries. `faults` holds, by method, exceptions to raise next."""

    def __init__(self) -> None:
        self.calls: list[Any]
        self.faults: dict[Any, Any]
        self.secrets: dict[Any, Any]
        self.pods: dict[Any, Any]
        self.pods, self.secrets, self.faults, self.calls, self.sticky = {}, {}, {}, [], False
        self.forgotten: list[Any]
        self.made: list[Any]
        self.made, self.forgotten, self.nodes = [], [], [a_node(memory="100Mi")]

    def _called(self, method: str) -> None:
        self.calls.append(method)
        if self.faults.get(method):
            fault = self.faults[method].pop(0)
            if fault is not None:
                raise fault

    @staticmethod
    def _answer(value: dict[str, Any]) -> SimpleNamespace:
        return SimpleNamespace(data=json.dumps(value).encode())

    def create_namespaced_pod(self, namespace: str, body: Any, **_: Any) -> None:
        self._called("create_pod")
        if body.metadata.name in self.pods:
            raise refused(409, f'pods "{body.metadata.name}" already exists')
        self.made.append(body.metadata.name)
        self.pods[body.metadata.name] = a_pod(body.metadata.name)

    def list_namespaced_pod(self, namespace: str, label_selector: str, **_: Any) -> SimpleNamespace:
        self._called("list")
        return self._answer({"items": list(self.pods.values())})

    def read_namespaced_pod(self, name: str, namespace: str, **_: Any) -> SimpleNamespace:
        self._called("get")
        if name not in self.pods:
            raise refused(404, "not found")
        return self._answer(self.pods[name])

    def read_namespaced_pod_log(self, name: str, namespace: str, **_: Any) -> SimpleNamespace:
        self._called("log")
        return SimpleNamespace(data=f"output of {name}\n".encode())

    def delete_namespaced_pod(self, name: str, namespace: str, grace_period_seconds: int | None = None, **_: Any) -> None:
        self._called("delete")
        if grace_period_seconds == 0:
            self.forgotten.append(name)
        if self.pods.pop(name, None) is None:
            raise refused(404, "not found")

    def delete_collection_namespaced_pod(self, namespace: str, **_: Any) -> None:
        self._called("delete_all")
        if not self.sticky:
            self.pods.clear()

    def create_namespaced_secret(self, namespace: str, body: Any, **_: Any) -> None:
        self._called("create_secret")
        self.secrets[body.metadata.name] = body

    def delete_namespaced_secret(self, name: str, namespace: str, **_: Any) -> None:
        self._called("delete_secret")
        self.secrets.pop(name, None)

    def list_node(self, **_: Any) -> SimpleNamespace:
        self._called("nodes")
        return self._answer({"items": self.nodes})


def refused(status: int, message: str) -> ApiException:
    error = ApiException(status=status, reason="refused")
    error.body = json.dumps({"message": message})
    return error


class Lines(list[Any]):
    """A logger that remembers."""

    def warning(self, text: str) -> None:
        self.append(text)

    info = error = debug = warning


@pytest.fixture
def core() -> FakeCore:
    return FakeCore()


def adopt(run: Any, name: str) -> None:
    """Let a run take a pod for one of its own, made before."""
    body = SimpleNamespace(metadata=SimpleNamespace(name=name, labels={RULE_LABEL: "rule"}))
    run.tasks.setdefault(name, Task(name, body, made=True))


def decide(run: Any, name: str) -> Any:
    """Look, and decide on a pod that was made before."""
    adopt(run, name)
    return run.decide(name, run.look())


def rounds(run: Any, seconds: int, name: str | None = None, pause: float = 2.0) -> Any:
    """Look every other second for some time, or until it is decided on a pod; return the last verdict."""
    verdict = None
    for _ in range(int(seconds / pause)):
        pods = run.look()
        verdict = run.decide(name, pods) if name else None
        run.tell_waiting()
        if verdict is not None and verdict.state != "wait":
            break
        run.later(pause)
    return verdict


class Clocked(Run):
    """A run of a test that can let time go by."""

    later: Callable[[float], None]


@pytest.fixture
def run(core: FakeCore, tmp_path: Path) -> Iterator[Clocked]:
    """A run whose clock moves only when it sleeps."""
    now = [1000.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    settings = SimpleNamespace(
        namespace="em", cpu_scalar=0.95, service_account_name="", persistent_volumes="", autoscaling=False, keep_logs="all",
        memory_overhead=0,
    )  # fmt: skip
    workflow = SimpleNamespace(
        executor_settings=settings,
        remote_execution_settings=SimpleNamespace(container_image="lab/image:1"),
        deployment_settings=SimpleNamespace(deployment_method=set()),
    )
    executor = SimpleNamespace(
        workflow=workflow, logger=Lines(), persistent_volumes=[], format_job_exec=lambda job: f"snakemake {job.name}"
    )
    api = PodApi(core, "em", lambda: core)
    made = Clocked(executor, api, "r1", tmp_path / "notes", tmp_path / "logs", clock=lambda: now[0], sleep=sleep)
    made._open({"AWS_SECRET_ACCESS_KEY": "hidden"})
    made.later = sleep
    yield made
    made.ended = True


def a_job(attempt: int = 2, name: str = "affinity", jobid: int = 7, **resources: Any) -> SimpleNamespace:
    values: dict[str, Any] = {"mem_mb": 600, "runtime": 10, "scale": 0, "_cores": 1, **resources}
    return SimpleNamespace(name=name, jobid=jobid, attempt=attempt, resources=values, is_containerized=False)


def test_the_pod_is_the_stock_one_without_its_job(run: Any) -> None:
    pod = make_pod(run.executor, a_job(disk_mb=2000), run.secret, run.names, "r1")
    container = pod.spec.containers[0]
    assert pod.kind == "Pod"
    assert pod.metadata.name == "affinity-r1-7-2"
    assert pod.metadata.labels[RUN_LABEL] == "r1"
    assert container.args == ["-c", "snakemake affinity"]
    assert container.resources.requests == {"cpu": "950m", "memory": "600M", "ephemeral-storage": "2000M"}
    assert container.resources.limits["memory"] == "600M"
    assert pod.spec.active_deadline_seconds == 600
    assert pod.spec.restart_policy == "Never"
    assert not pod.spec.automount_service_account_token
    assert container.env[0].value_from.secret_key_ref.name == run.secret


def test_the_workflow_asks_for_snakemake_itself(run: Any) -> None:
    """`around_script` adds it to each rule's memory where jobs do not run locally, so pods add nothing."""
    assert not common_settings.local_exec
    assert ExecutorSettings().memory_overhead == 0


def test_memory_beside_the_jobs_own_is_added(run: Any) -> None:
    run.executor.workflow.executor_settings.memory_overhead = 400
    pod = make_pod(run.executor, a_job(), run.secret, run.names, "r1")
    assert pod.spec.containers[0].resources.limits["memory"] == "1000M"


def test_sources_are_fetched_without_snakemake_first() -> None:
    deploy = f"python -m snakemake --deploy-sources s3://b/x.tar.xz {'ab' * 32} --default-storage-prefix s3://b/run"
    command = f"{deploy} && python -m snakemake --snakefile Snakefile"
    quick = f"python -m connectomake.source_archive s3://b/x.tar.xz {'ab' * 32}"
    assert with_quick_sources(command) == f"{{ {quick} || {deploy}; }} && python -m snakemake --snakefile Snakefile"
    assert with_quick_sources(command.replace("s3://", "gcs://")) == command.replace("s3://", "gcs://")


@pytest.mark.parametrize(("gpu", "asked"), [(0, None), (1, "1")])
def test_a_gpu_only_where_one_is_asked_for(run: Any, gpu: int, asked: str | None) -> None:
    pod = make_pod(run.executor, a_job(gpu=gpu), run.secret, run.names, "r1")
    assert pod.spec.containers[0].resources.requests.get("nvidia.com/gpu") == asked


def test_secrets_hold_the_environment_and_carry_the_label(core: FakeCore, run: Any) -> None:
    body = core.secrets[run.secret]
    assert body.metadata.labels[RUN_LABEL] == "r1"
    assert set(body.data) == {"aws_secret_access_key"}
    assert make_secret("s", "r1", {})[0].data == {}


def test_a_round_is_one_request_however_many_pods(core: FakeCore, run: Any) -> None:
    core.pods = {f"p{i}": a_pod(f"p{i}", "Running", {"running": {}}) for i in range(1000)}
    for name in core.pods:
        adopt(run, name)
    core.calls.clear()
    pods = run.look()
    assert all(run.decide(name, pods).state == "wait" for name in core.pods)
    assert core.calls == ["list"]


def test_a_deleted_pod_is_made_again_and_costs_no_try(core: FakeCore, run: Any) -> None:
    name = run.submit(a_job())
    run.look()
    core.pods.clear()
    assert run.decide(name, run.look()).state == "wait"
    assert core.pods == {}, "a moment later"
    run.later(2)
    assert run.decide(name, run.look()).state == "wait"
    assert list(core.pods) == [f"{name}-again1"]
    assert f"pod {name} is gone: someone deleted it" in run.executor.logger[-1]
    assert f"it is made again as {name}-again1 (1 of 10)" in run.executor.logger[-1]
    core.pods[f"{name}-again1"] = a_pod(f"{name}-again1", "Succeeded", ended(0))
    assert run.decide(name, run.look()).state == "done"
    run.finish(SimpleNamespace(external_jobid=name), Verdict("done"))
    assert core.pods == {}
    assert run.tasks == {}


@pytest.mark.parametrize("leave", ["gone", "evicted", "preempted"])
def test_a_pod_that_is_ended_for_ever_ends_with_a_sentence(core: FakeCore, run: Any, leave: str) -> None:
    name = run.submit(a_job())
    states = {"evicted": evicted("The node was low on resource: memory. "), "preempted": disrupted("PreemptionByScheduler")}
    for _ in range(1000):
        verdict = run.decide(name, run.look())
        if verdict.state != "wait":
            break
        for pod in list(core.pods):
            if leave == "gone":
                del core.pods[pod]
            else:
                core.pods[pod] = states[leave] | {"metadata": {"name": pod, "labels": {}}}
        run.later(5)
    assert verdict.state == "failed"
    assert f"pod {name} was made 11 times and never ended by itself" in verdict.message
    assert "ask the cluster's administrators" in verdict.message
    assert core.made == [name, *(f"{name}-again{n}" for n in range(1, 11))]


def test_a_pod_younger_than_the_list_is_not_gone(core: FakeCore, run: Any) -> None:
    pods = run.look()
    core.pods["new"] = a_pod("new")
    adopt(run, "new")
    assert run.decide("new", pods).state == "wait"
    assert run.tasks["new"].again == 0


def test_a_pod_is_made_again_only_when_the_one_before_is_gone(core: FakeCore, run: Any) -> None:
    name = run.submit(a_job())
    run.look()
    core.pods[name] = deleted(a_pod(name, "Running", {"running": {}}))
    core.nodes = [a_node(name="n1")]
    assert rounds(run, 1000, name).state == "wait"
    assert core.made == [name]
    assert core.forgotten == []
    assert any("its node n1 does not stop it" in line for line in run.executor.logger)
    core.pods[name] = deleted(a_pod(name, "Failed", ended(137)))
    assert rounds(run, 100, name).state == "wait"
    assert core.made == [name]
    del core.pods[name]
    assert rounds(run, 10, name).state == "wait"
    assert core.made == [name, f"{name}-again1"]
    assert any("deleted while it ran; it is made again" in line for line in run.executor.logger)


@pytest.mark.parametrize("nodes", [[], "unknown"])
def test_a_pod_of_a_lost_node_is_made_again_elsewhere(core: FakeCore, run: Any, nodes: str | list[Any]) -> None:
    """The server keeps such a pod until its node says that it has ended; it never will."""
    name = run.submit(a_job())
    run.look()
    core.pods[name] = deleted(a_pod(name, "Running", {"running": {}}))
    core.nodes = []
    if nodes == "unknown":
        core.nodes = [a_node(name="n1", ready="Unknown"), a_node(name="n2")]
    assert rounds(run, 50, name).state == "wait"
    assert core.made == [name], "a node may come back"
    assert rounds(run, 30, name).state == "wait"
    assert core.forgotten == [name]
    assert core.made == [name, f"{name}-again1"]
    assert any("its node n1 is lost; it is made again" in line for line in run.executor.logger)


def test_where_nodes_may_not_be_seen_the_user_is_told_how_to_forget_a_pod(core: FakeCore, run: Any) -> None:
    name = run.submit(a_job())
    run.look()
    core.pods[name] = deleted(a_pod(name, "Running", {"running": {}}))
    core.faults["nodes"] = [refused(403, "nodes is forbidden")] * 1000
    assert rounds(run, 200, name).state == "wait"
    assert core.forgotten == []
    assert any(f"kubectl delete pod {name} -n em --force --grace-period=0" in line for line in run.executor.logger)


@pytest.mark.parametrize(("ready", "lost"), [("True", False), ("False", False), ("Unknown", True)])
def test_a_node_is_lost_if_nothing_is_heard_of_it(ready: str, lost: bool) -> None:
    assert is_lost("n1", [a_node(name="n2"), a_node(name="n1", ready=ready)]) == lost
    assert is_lost("n3", [a_node(name="n1")])
    assert not is_lost("", [a_node(name="n1")]), "of a pod that no node has"


def test_what_an_evicted_pod_printed_is_kept(core: FakeCore, run: Any) -> None:
    name = run.submit(a_job())
    run.look()
    core.pods[name] = evicted("The node was low on resource: memory. ") | {"metadata": {"name": name}}
    assert run.decide(name, run.look()).state == "wait"
    assert (run.logs / f"{name}.log").read_text() == f"output of {name}\n"
    assert core.pods == {}


def test_out_of_memory_is_a_failed_try_and_the_next_asks_for_double(core: FakeCore, run: Any) -> None:
    asked = []
    for attempt in (1, 2, 3):
        name = run.submit(a_job(attempt, mem_mb=600 << (attempt - 1)))
        run.look()
        asked.append(run.tasks[name].body.spec.containers[0].resources.limits["memory"])
        core.pods[name] = a_pod(name, "Failed", ended(137, reason="OOMKilled"))
        verdict = run.decide(name, run.look())
        assert verdict.state == "failed"
        assert "ran out of memory" in verdict.message
        run.finish(SimpleNamespace(external_jobid=name), verdict)
    assert asked == ["600M", "1200M", "2400M"]
    assert core.made == [f"affinity-r1-7-{attempt}" for attempt in (1, 2, 3)], "none of them made again"


@pytest.mark.parametrize(
    "fault", [refused(500, "etcd is slow"), refused(503, "away"), refused(429, "too many"), OSError("reset"), TimeoutError()]
)
def test_a_server_that_does_not_answer_is_asked_again_ever_more_seldom(core: FakeCore, run: Any, fault: Any) -> None:
    core.faults["list"] = [fault] * 40
    pauses = []
    adopt(run, "p")
    for _ in range(40):
        assert run.look() is None
        assert run.decide("p", None).state == "wait"
        pauses.append(run.wait_seconds)
        run.later(run.wait_seconds)
    assert pauses[:3] == [2, 4, 8]
    assert pauses[-1] == 20
    assert run.look() == {}
    assert run.wait_seconds is None
    assert 1 < len(run.executor.logger) < 40


@pytest.mark.parametrize(("status", "words"), [(401, "renew your credentials"), (403, "the role that is needed")])
def test_a_refused_login_ends_the_run_within_a_minute(core: FakeCore, run: Any, status: int, words: str) -> None:
    core.faults["list"] = [refused(status, "no")] * 100
    with pytest.raises(Fatal, match=words):
        for _ in range(12):
            run.look()
            run.later(5)


def test_a_login_that_ran_out_is_renewed(core: FakeCore, run: Any) -> None:
    core.faults["list"] = [refused(401, "token has expired")]
    assert run.look() == {}


@pytest.mark.parametrize(
    ("reason", "within"), [("InvalidImageName", 10), ("CreateContainerConfigError", 10), ("ErrImagePull", 30)]
)
def test_an_image_that_cannot_start_ends_the_run_within_a_minute(core: FakeCore, run: Any, reason: str, within: int) -> None:
    core.pods["p"] = a_pod(state=waiting(reason))
    assert decide(run, "p").state == "wait"
    run.later(within)
    with pytest.raises(Fatal, match=reason):
        decide(run, "p")


def test_pulling_may_fail_for_a_moment(core: FakeCore, run: Any) -> None:
    states: list[dict[str, Any]] = [waiting("ErrImagePull"), waiting("ImagePullBackOff"), {"running": {}}]
    for state in states:
        core.pods["p"] = a_pod(state=state)
        assert decide(run, "p").state == "wait"
        run.later(12)
    core.pods["q"] = a_pod("q", state=waiting("ErrImagePull"))
    decide(run, "q")
    run.later(30)
    assert decide(run, "q").state == "wait"  # the image is good, so only this pod is deleted, and made again
    assert "q" not in core.pods
    decide(run, "q")
    assert "ErrImagePull: why" in run.executor.logger[-1]
    assert "it is made again as q-again1" in run.executor.logger[-1]


def test_what_no_node_can_take_fails_within_a_minute(core: FakeCore, run: Any) -> None:
    core.pods["p"] = unschedulable()
    assert decide(run, "p").state == "wait"
    run.later(15)
    verdict = decide(run, "p")
    assert verdict.state == "failed"
    assert "can never run here" in verdict.message
    run.executor.workflow.executor_settings.autoscaling = True
    assert decide(run, "p").state == "wait"


@pytest.mark.parametrize("fault", [refused(403, "nodes is forbidden"), None])
def test_a_full_cluster_is_waited_for_and_the_reason_said(core: FakeCore, run: Any, fault: ApiException | None) -> None:
    core.pods["p"] = unschedulable()
    core.pods["p"]["spec"]["containers"][0]["resources"]["requests"] = {"memory": "50Mi"}
    core.faults["nodes"] = [fault]
    for _ in range(100):
        assert decide(run, "p").state == "wait"
        run.tell_waiting()
        run.later(5)
    assert 5 < len(run.executor.logger) < 12
    assert "1 pod(s) wait: 0/1 nodes are available: 1 Insufficient cpu." in run.executor.logger


def test_a_missing_volume_ends_the_run(core: FakeCore, run: Any) -> None:
    core.pods["p"] = unschedulable('persistentvolumeclaim "data" not found')
    decide(run, "p")
    run.later(15)
    with pytest.raises(Fatal, match='"data" not found'):
        decide(run, "p")


def test_submission_is_offered_again_to_a_busy_server(core: FakeCore, run: Any) -> None:
    core.faults["create_pod"] = [refused(500, "busy"), OSError("reset"), refused(409, "the object has been modified")]
    name = run.submit(a_job())
    assert rounds(run, 10, name).state == "wait"
    assert core.made == [name]


def test_a_server_that_is_away_for_hours_costs_no_try_and_makes_nothing_twice(core: FakeCore, run: Any) -> None:
    """Pods are to be made, run and end meanwhile."""
    first = run.submit(a_job(jobid=1))
    run.look()
    core.faults |= {name: [OSError("refused")] * 10_000 for name in ("create_pod", "list", "get", "log", "delete")}
    second = run.submit(a_job(jobid=2))
    for _ in range(1000):
        pods = run.look()
        assert [run.decide(name, pods).state for name in (first, second)] == ["wait", "wait"]
        run.later(run.wait_seconds)
    core.pods[first] = a_pod(first, "Succeeded", ended(0))
    core.faults = {"list": [refused(403, "not ready yet")], "create_pod": [refused(403, "not ready yet")]}
    run.later(20)
    assert rounds(run, 20, first).state == "done"
    assert rounds(run, 20, second).state == "wait"
    assert core.made == [first, second]


def test_pods_are_made_one_after_the_other_and_no_request_is_made_for_those_held_back(core: FakeCore, run: Any) -> None:
    core.faults["create_pod"] = [None, OSError("refused")]
    names = [run.submit(a_job(jobid=n)) for n in range(100)]
    run.look()
    assert core.made == names[:1]
    assert core.calls.count("create_pod") == 2
    for _ in range(9):
        run.offer()
    assert core.calls.count("create_pod") == 2
    run.later(1)
    run.offer()
    assert sorted(core.made) == sorted(names)


def exceeded(text: str = "pods=1, used: pods=10, limited: pods=10") -> ApiException:
    return refused(403, f'pods "affinity-r1-7-2" is forbidden: exceeded quota: lab, requested: {text}')


def test_a_full_quota_is_waited_for_and_others_go_first(core: FakeCore, run: Any) -> None:
    core.faults["create_pod"] = [exceeded("nvidia.com/gpu=1, used: nvidia.com/gpu=2, limited: nvidia.com/gpu=2")]
    names = [run.submit(a_job(jobid=n)) for n in range(5)]
    other = run.submit(a_job(name="merge"))
    run.look()
    assert core.made == [other]
    run.tell_waiting()
    assert run.executor.logger == [
        "5 pod(s) wait: exceeded quota: lab, requested: nvidia.com/gpu=1, used: nvidia.com/gpu=2, limited: nvidia.com/gpu=2"
    ]
    core.pods[other] = a_pod(other, "Succeeded", ended(0))
    run.finish(SimpleNamespace(external_jobid=other), Verdict("done"))
    run.look()
    assert sorted(core.made) == sorted([*names, other]), "a pod has gone, so there may be room"
    core.faults["create_pod"] = [exceeded()] * 10_000
    name = run.submit(a_job(name="lookup"))
    assert rounds(run, 5000, name).state == "wait"
    assert core.calls.count("create_pod") < 400


def test_what_no_quota_will_ever_allow_is_a_failed_try(core: FakeCore, run: Any) -> None:
    asked = "limits.memory=64G,pods=1, used: limits.memory=0,pods=0, limited: limits.memory=10Gi,pods=10"
    core.faults["create_pod"] = [exceeded(asked)]
    verdict = rounds(run, 10, run.submit(a_job()))
    assert verdict.state == "failed"
    assert "it asks for 64G of limits.memory, the quota allows 10Gi in all" in verdict.message
    assert beyond_quota("limited: pods=x, requested: pods=1") == ""


def test_a_lost_answer_makes_no_second_pod(core: FakeCore, run: Any) -> None:
    name = run.submit(a_job())
    core.pods[name] = a_pod(name, "Running", {"running": {}})
    assert rounds(run, 10, name).state == "wait"
    assert run.tasks[name].made
    assert core.made == []


@pytest.mark.parametrize(
    ("fault", "seconds", "words"),
    [
        (refused(422, "spec.x: Invalid value"), 2, "correct the profile or the rule's resources"),
        (refused(403, "pods is forbidden"), 60, "docs/kubernetes.md"),
        (refused(404, 'namespaces "em" not found'), 60, "make the namespace 'em'"),
    ],
)
def test_a_refused_pod_is_a_failed_try_within_a_minute(
    core: FakeCore, run: Any, fault: ApiException, seconds: int, words: str
) -> None:
    core.faults["create_pod"] = [fault] * 1000
    name = run.submit(a_job())
    verdict = rounds(run, seconds, name)
    assert verdict.state == "failed"
    assert words in verdict.message
    assert run.finish(SimpleNamespace(external_jobid=name), verdict) is None


def test_a_refusal_that_passes_costs_nothing(core: FakeCore, run: Any) -> None:
    core.faults["create_pod"] = [refused(403, "pods is forbidden"), refused(404, "no such namespace"), refused(401, "who?")] * 2
    name = run.submit(a_job())
    assert rounds(run, 44, name).state == "wait"
    assert core.made == [name]


def test_no_pod_is_made_when_the_run_has_ended(core: FakeCore, run: Any) -> None:
    core.faults["create_pod"] = [OSError("refused")]
    run.submit(a_job())
    run.look()
    run.end()
    run.later(100)
    run.look()
    assert core.made == []


def test_a_proxy_that_says_404_does_not_make_a_pod_gone(core: FakeCore, run: Any) -> None:
    page = ApiException(status=404, reason="Not Found")
    page.body = "<html>404 page not found</html>"
    core.faults["get"] = [page] * 50
    adopt(run, "p")
    assert rounds(run, 100, "p").state == "wait"
    core.pods["p"] = a_pod("p", "Succeeded", ended(0))
    assert decide(run, "p").state == "done"


def test_output_is_kept_and_the_pod_deleted(core: FakeCore, run: Any) -> None:
    core.pods["p"] = a_pod(phase="Failed", state=ended(1))
    adopt(run, "p")
    kept = run.finish(SimpleNamespace(external_jobid="p"), judge(core.pods["p"]))
    assert Path(kept).read_text() == "output of p\n"
    assert core.pods == {}


@pytest.mark.parametrize("group", [False, True])
def test_why_a_pod_failed_is_said_of_groups_too(group: bool) -> None:
    """Snakemake leaves the message out of a group's report."""
    reported = Lines()
    executor: Any = SimpleNamespace(logger=Lines(), report_job_error=lambda _, msg, aux_logs: reported.append((msg, aux_logs)))
    info = SimpleNamespace(job=SimpleNamespace(is_group=lambda: group))
    Executor._report(executor, info, Verdict("failed", "pod p ran out of memory"), "p.log")
    assert reported == [("pod p ran out of memory. ", ["p.log"])]
    assert executor.logger == (["pod p ran out of memory."] if group else [])


def test_snakemake_is_told_only_of_what_ended_by_itself(core: FakeCore, run: Any) -> None:
    """One round of the executor, with a pod of each kind."""
    told, executor = [], object.__new__(Executor)
    executor.run, executor.logger, executor.status_rate_limiter = run, Lines(), contextlib.nullcontext()
    executor.report_job_submission = lambda info: told.append(("submitted", info.external_jobid))
    executor.report_job_success = lambda info: told.append(("done", info.external_jobid))
    executor.report_job_error = lambda info, msg, aux_logs: told.append((msg, info.external_jobid))
    jobs = [a_job(jobid=number) for number in range(5)]
    for job in jobs:
        job.is_group = lambda: False
        executor.run_job(job)
    names = [name for _, name in told]
    assert names == [f"affinity-r1-{number}-2" for number in range(5)]
    run.offer()
    told.clear()
    del core.pods[names[0]]
    core.pods[names[1]] = evicted("The node had condition: [DiskPressure]. ") | {"metadata": {"name": names[1]}}
    core.pods[names[2]] = a_pod(names[2], "Succeeded", ended(0))
    core.pods[names[3]] = a_pod(names[3], "Failed", ended(137, reason="OOMKilled"))
    active = [SimpleNamespace(job=job, external_jobid=name) for job, name in zip(jobs, names, strict=True)]

    async def one_round() -> list[str]:
        return [info.external_jobid async for info in executor.check_active_jobs(active)]

    assert asyncio.run(one_round()) == [names[0], names[1], names[4]]
    assert told[0] == ("done", names[2])
    assert told[1][0].startswith(f"pod {names[3]} ran out of memory")
    assert len(told) == 2
    assert jobs[3].why_failed == told[1][0].removesuffix(". ")


def test_a_log_that_cannot_be_read_does_not_hide_the_failure(core: FakeCore, run: Any) -> None:
    core.pods["p"] = a_pod(phase="Failed", state=ended(1))
    core.faults |= {"log": [refused(400, "container is gone")], "delete": [refused(500, "busy")]}
    adopt(run, "p")
    assert run.finish(SimpleNamespace(external_jobid="p"), judge(core.pods["p"])) is None
    run.end()
    assert core.pods == {}


def test_the_end_leaves_nothing(core: FakeCore, run: Any) -> None:
    core.pods = {"p": a_pod(), "q": a_pod("q")}
    run.end()
    run.end()
    assert (core.pods, core.secrets, list(read_notes(run.folder))) == ({}, {}, [])
    assert core.calls.count("delete_all") == 1


def test_roles_without_deletecollection(core: FakeCore, run: Any) -> None:
    core.pods = {"p": a_pod(), "q": a_pod("q")}
    core.faults["delete_all"] = [refused(403, "deletecollection is forbidden")]
    run.end()
    assert core.pods == {}


@pytest.mark.parametrize("fault", [refused(500, "busy"), OSError("refused")])
def test_the_end_waits_for_a_server_that_is_away_for_a_moment(core: FakeCore, run: Any, fault: Any) -> None:
    core.faults |= {name: [fault] * 5 for name in ("list", "delete_all", "delete_secret")}
    core.pods["p"] = a_pod()
    run.end()
    assert (core.pods, core.secrets, list(read_notes(run.folder))) == ({}, {}, [])


def test_what_could_not_be_deleted_stays_noted(core: FakeCore, run: Any) -> None:
    core.faults["delete_all"] = [refused(500, "busy")] * 1000
    core.pods["p"] = a_pod()
    run.end()
    assert [note.run for note in read_notes(run.folder)] == ["r1"]
    assert "the next start in this folder will, or you: kubectl delete pod,secret -n em -l" in run.executor.logger[-1]


def left_behind(run: Any, **changes: Any) -> None:
    """The note of a run whose process is dead."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    values: dict[str, Any] = {
        "run": "dead",
        "place": "em",
        "host": Note.own("x", "em").host,
        "pid": process.pid,
        "born": "boot 12",
    }
    Note(**values | changes).write(run.folder)


def test_leftovers_of_a_killed_run_are_deleted(core: FakeCore, run: Any) -> None:
    left_behind(run)
    core.pods = {"old": a_pod("old", "Running", {"running": {}})}
    core.secrets["connectomake-dead"] = "keys"
    run.clean_leftovers()
    assert core.pods == {}
    assert list(core.secrets) == [run.secret]
    assert [note.run for note in read_notes(run.folder)] == ["r1"]


def test_notes_of_the_first_versions_are_read(core: FakeCore, run: Any) -> None:
    """They call the place `namespace`."""
    left_behind(run)
    path = run.folder / "dead.json"
    values = json.loads(path.read_text())
    path.write_text(json.dumps({"namespace" if key == "place" else key: value for key, value in values.items()} | {"new": 1}))
    core.pods = {"old": a_pod("old", "Running", {"running": {}})}
    core.secrets["connectomake-dead"] = "keys"
    run.clean_leftovers()
    assert core.pods == {}
    assert list(core.secrets) == [run.secret]
    assert not path.exists()


def test_what_is_no_note_is_named_with_the_way_out(core: FakeCore, run: Any) -> None:
    (run.folder / "dead.json").write_text("{")
    core.pods = {"p": a_pod()}
    run.clean_leftovers()
    assert "p" in core.pods
    assert "set aside as dead.json.unread" in run.executor.logger[0]
    assert "kubectl delete pod,secret -n NAMESPACE -l connectomake/run=dead" in run.executor.logger[0]


def test_a_run_that_lives_is_left_alone(core: FakeCore, run: Any) -> None:
    core.pods = {"p": a_pod()}
    assert Note.own("r1", "em").alive
    run.clean_leftovers()
    assert "p" in core.pods


def test_a_process_number_used_again_is_not_the_run(run: Any) -> None:
    left_behind(run, pid=os.getpid())
    assert not next(note for note in read_notes(run.folder) if note.run == "dead").alive


def test_runs_of_other_machines_are_named_not_touched(core: FakeCore, run: Any) -> None:
    left_behind(run, host="elsewhere")
    core.pods = {"p": a_pod()}
    run.clean_leftovers()
    assert "p" in core.pods
    assert "kubectl delete pod,secret -n em -l connectomake/run=dead" in run.executor.logger[0]


def test_pods_that_do_not_go_stop_the_start(core: FakeCore, run: Any) -> None:
    left_behind(run)
    core.pods, core.sticky = {"old": a_pod("old")}, True
    with pytest.raises(Fatal, match="kubectl delete pod"):
        run.clean_leftovers()


def test_a_server_that_is_away_is_named_by_the_last_cause(core: FakeCore) -> None:
    pool: Any = "pool"
    long: Any = "a pool with a long name"
    refused_connection = urllib3.exceptions.NewConnectionError(pool, "Connection refused")
    core.faults["list"] = [urllib3.exceptions.MaxRetryError(long, "/a/long/path", refused_connection)]
    with pytest.raises(ApiError, match=r"^NewConnectionError: pool: Connection refused$"):
        PodApi(core, "em").pods("x=y")


@pytest.mark.parametrize(
    ("data", "words"), [(b"<html>", "not JSON"), (b'{"items": null}', "not a list"), (b"[]", "not a list")]
)
def test_answers_that_are_none(core: FakeCore, data: bytes, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core, "list_namespaced_pod", lambda *_, **__: SimpleNamespace(data=data))
    with pytest.raises(ApiError, match=words):
        PodApi(core, "em").pods("x=y")


@pytest.mark.slow
def test_snakemake_finds_the_plugin_and_nothing_heavy_is_imported() -> None:
    code = (
        "import sys, snakemake_executor_plugin_pods as p;"
        "assert not {'kubernetes', 'connectomake', 'snakemake_executor_plugin_kubernetes'} & set(sys.modules);"
        "from snakemake_interface_executor_plugins.registry import ExecutorPluginRegistry;"
        "assert ExecutorPluginRegistry().get_plugin('pods').executor is p.Executor"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
