"""The pods executor with a cluster of dictionaries: every fault that a pod, the server or the user can make."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("kubernetes")
from kubernetes.client.exceptions import ApiException

from connectomake_heads import Note, read_notes
from snakemake_executor_plugin_pods import Executor
from snakemake_executor_plugin_pods.api import ApiError, PodApi
from snakemake_executor_plugin_pods.room import never_fits, quantity
from snakemake_executor_plugin_pods.run import Ended, Fatal, Run
from snakemake_executor_plugin_pods.spec import RUN_LABEL, make_pod, make_secret, with_quick_sources
from snakemake_executor_plugin_pods.verdict import Verdict, judge


def a_pod(name="p", phase="Pending", state=None, **status):
    """A pod's JSON, the parts that matter."""
    resources = {"requests": {"cpu": "950m", "memory": "500M"}, "limits": {"memory": "500M"}}
    containers = [{"name": "sidecar", "state": {"running": {}}}, {"name": "snakemake", "state": state or {}}]
    return {
        "metadata": {"name": name, "labels": {RUN_LABEL: "r1"}},
        "spec": {"containers": [{"name": "snakemake", "image": "lab/image:1", "resources": resources}]},
        "status": {"phase": phase, "containerStatuses": containers, **status},
    }


def ended(code, **more):
    return {"terminated": {"exitCode": code, **more}}


def waiting(reason, message="why"):
    return {"waiting": {"reason": reason, "message": message}}


def unschedulable(message="0/1 nodes are available: 1 Insufficient cpu."):
    return a_pod(conditions=[{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}])


def deleted(pod):
    pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
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
        (a_pod(phase="Failed", reason="Evicted", message="The node was low on disk"), "failed", "Evicted: The node was low"),
        (a_pod(phase="Failed", reason="DeadlineExceeded"), "failed", "ran longer than its `runtime`"),
        (a_pod(phase="Failed", reason="Preempting"), "failed", "Preempting"),
        (deleted(a_pod(phase="Running", state={"running": {}})), "wait", "is being deleted"),
        (deleted(a_pod(phase="Failed", state=ended(137))), "failed", "137"),
        (a_pod(phase="Unknown"), "wait", ""),
        (a_pod(state=waiting("ErrImagePull", "not found")), "stuck", "container-image 'lab/image:1'"),
        (a_pod(state=waiting("ImagePullBackOff")), "stuck", "ImagePullBackOff"),
        (a_pod(state=waiting("InvalidImageName")), "stuck", "correct container-image"),
        (a_pod(state=waiting("CreateContainerConfigError", 'secret "x" not found')), "stuck", 'secret "x" not found'),
        (unschedulable(), "no room", "Insufficient cpu"),
        ({"metadata": {"name": "p"}, "spec": {}, "status": {}}, "wait", ""),
    ],
)
def test_what_a_pod_means(pod, state, words):
    verdict = judge(pod)
    assert verdict.state == state
    assert words in verdict.message


@pytest.mark.parametrize(
    ("text", "value"),
    [("500m", 0.5), ("2", 2), ("24632892Ki", 24632892 * 1024), ("1e3", 1000), ("3M", 3e6), ("1Gi", 2**30), ("12E", 12e18)],
)
def test_quantities(text, value):
    assert quantity(text) == pytest.approx(value)


def test_a_quantity_must_be_one():
    with pytest.raises(ValueError, match="lots"):
        quantity("lots")


def a_node(memory="8Gi", cpu="4", **more):
    return {"metadata": {"labels": {"zone": "a"}}, "status": {"allocatable": {"memory": memory, "cpu": cpu, **more}}}


def test_what_fits_on_no_node():
    pod = a_pod()
    assert never_fits(pod, [a_node()]) is None
    assert "asks for 500M of memory, the largest node has 100Mi" in never_fits(pod, [a_node("100Mi"), a_node("50Mi")])
    pod["spec"]["containers"][0]["resources"]["requests"]["nvidia.com/gpu"] = "1"
    assert "nvidia.com/gpu, the largest node has none" in never_fits(pod, [a_node()])
    assert never_fits(pod, [a_node(), a_node(**{"nvidia.com/gpu": "8"})]) is None
    assert "no single node" in never_fits(pod, [a_node(), a_node(memory="1M", **{"nvidia.com/gpu": "8"})])
    pod["spec"]["nodeSelector"] = {"zone": "b"}
    assert "no node has the labels" in never_fits(pod, [a_node()])


class FakeCore:
    """What `CoreV1Api` does, on dictionaries. `faults` holds, by method, exceptions to raise next."""

    def __init__(self):
        self.pods, self.secrets, self.faults, self.calls, self.sticky = {}, {}, {}, [], False

    def _called(self, method):
        self.calls.append(method)
        if self.faults.get(method):
            fault = self.faults[method].pop(0)
            if fault is not None:
                raise fault

    @staticmethod
    def _answer(value):
        return SimpleNamespace(data=json.dumps(value).encode())

    def create_namespaced_pod(self, namespace, body, **_):
        self._called("create_pod")
        if body.metadata.name in self.pods:
            raise refused(409, "already exists")
        self.pods[body.metadata.name] = a_pod(body.metadata.name)

    def list_namespaced_pod(self, namespace, label_selector, **_):
        self._called("list")
        return self._answer({"items": list(self.pods.values())})

    def read_namespaced_pod(self, name, namespace, **_):
        self._called("get")
        if name not in self.pods:
            raise refused(404, "not found")
        return self._answer(self.pods[name])

    def read_namespaced_pod_log(self, name, namespace, **_):
        self._called("log")
        return SimpleNamespace(data=f"output of {name}\n".encode())

    def delete_namespaced_pod(self, name, namespace, **_):
        self._called("delete")
        if self.pods.pop(name, None) is None:
            raise refused(404, "not found")

    def delete_collection_namespaced_pod(self, namespace, **_):
        self._called("delete_all")
        if not self.sticky:
            self.pods.clear()

    def create_namespaced_secret(self, namespace, body, **_):
        self._called("create_secret")
        self.secrets[body.metadata.name] = body

    def delete_namespaced_secret(self, name, namespace, **_):
        self._called("delete_secret")
        self.secrets.pop(name, None)

    def list_node(self, **_):
        self._called("nodes")
        return self._answer({"items": [a_node(memory="100Mi")]})


def refused(status, message):
    error = ApiException(status=status, reason="refused")
    error.body = json.dumps({"message": message})
    return error


class Lines(list):
    """A logger that remembers."""

    def warning(self, text):
        self.append(text)

    info = error = debug = warning


@pytest.fixture
def core():
    return FakeCore()


@pytest.fixture
def run(core, tmp_path):
    """A run whose clock moves only when it sleeps."""
    now = [1000.0]

    def sleep(seconds):
        now[0] += seconds

    settings = SimpleNamespace(
        namespace="em", cpu_scalar=0.95, service_account_name="", persistent_volumes="", autoscaling=False, keep_logs="all",
        memory_overhead=400,
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
    made = Run(executor, api, "r1", tmp_path / "notes", tmp_path / "logs", clock=lambda: now[0], sleep=sleep)
    made._open({"AWS_SECRET_ACCESS_KEY": "hidden"})
    made.later = sleep
    yield made
    made.ended = True


def a_job(**resources):
    values = {"mem_mb": 600, "runtime": 10, "scale": 0, "_cores": 1, **resources}
    return SimpleNamespace(name="affinity", jobid=7, attempt=2, resources=values, is_containerized=False)


def test_the_pod_is_the_stock_one_without_its_job(run):
    pod = make_pod(run.executor, a_job(disk_mb=2000), run.secret, run.names, "r1")
    container = pod.spec.containers[0]
    assert pod.kind == "Pod"
    assert pod.metadata.name == "affinity-r1-7-2"
    assert pod.metadata.labels[RUN_LABEL] == "r1"
    assert container.args == ["-c", "snakemake affinity"]
    assert container.resources.requests == {"cpu": "950m", "memory": "1000M", "ephemeral-storage": "2000M"}
    assert container.resources.limits["memory"] == "1000M"
    assert pod.spec.active_deadline_seconds == 600
    assert pod.spec.restart_policy == "Never"
    assert not pod.spec.automount_service_account_token
    assert container.env[0].value_from.secret_key_ref.name == run.secret


def test_sources_are_fetched_without_snakemake_first():
    deploy = f"python -m snakemake --deploy-sources s3://b/x.tar.xz {'ab' * 32} --default-storage-prefix s3://b/run"
    command = f"{deploy} && python -m snakemake --snakefile Snakefile"
    quick = f"python -m connectomake.shipped s3://b/x.tar.xz {'ab' * 32}"
    assert with_quick_sources(command) == f"{{ {quick} || {deploy}; }} && python -m snakemake --snakefile Snakefile"
    assert with_quick_sources(command.replace("s3://", "gcs://")) == command.replace("s3://", "gcs://")


@pytest.mark.parametrize(("gpu", "asked"), [(0, None), (1, "1")])
def test_a_gpu_only_where_one_is_asked_for(run, gpu, asked):
    pod = make_pod(run.executor, a_job(gpu=gpu), run.secret, run.names, "r1")
    assert pod.spec.containers[0].resources.requests.get("nvidia.com/gpu") == asked


def test_secrets_hold_the_environment_and_carry_the_label(core, run):
    body = core.secrets[run.secret]
    assert body.metadata.labels[RUN_LABEL] == "r1"
    assert set(body.data) == {"aws_secret_access_key"}
    assert make_secret("s", "r1", {})[0].data == {}


def test_a_round_is_one_request_however_many_pods(core, run):
    core.pods = {f"p{i}": a_pod(f"p{i}", "Running", {"running": {}}) for i in range(1000)}
    core.calls.clear()
    pods = run.look()
    assert all(run.decide(name, pods).state == "wait" for name in core.pods)
    assert core.calls == ["list"]


def test_a_deleted_pod_is_a_failed_job(run):
    verdict = run.decide("gone", run.look())
    assert verdict.state == "failed"
    assert "deleted" in verdict.message


def test_a_pod_younger_than_the_list_is_not_gone(core, run):
    pods = run.look()
    core.pods["new"] = a_pod("new")
    assert run.decide("new", pods).state == "wait"


@pytest.mark.parametrize(
    "fault", [refused(500, "etcd is slow"), refused(503, "away"), refused(429, "too many"), OSError("reset"), TimeoutError()]
)
def test_a_server_that_does_not_answer_is_asked_again_ever_more_seldom(core, run, fault):
    core.faults["list"] = [fault] * 40
    pauses = []
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
def test_a_refused_login_ends_the_run_within_a_minute(core, run, status, words):
    core.faults["list"] = [refused(status, "no")] * 100
    with pytest.raises(Fatal, match=words):
        for _ in range(12):
            run.look()
            run.later(5)


def test_a_login_that_ran_out_is_renewed(core, run):
    core.faults["list"] = [refused(401, "token has expired")]
    assert run.look() == {}


@pytest.mark.parametrize(
    ("reason", "within"), [("InvalidImageName", 10), ("CreateContainerConfigError", 10), ("ErrImagePull", 30)]
)
def test_an_image_that_cannot_start_ends_the_run_within_a_minute(core, run, reason, within):
    core.pods["p"] = a_pod(state=waiting(reason))
    assert run.decide("p", run.look()).state == "wait"
    run.later(within)
    with pytest.raises(Fatal, match=reason):
        run.decide("p", run.look())


def test_pulling_may_fail_for_a_moment(core, run):
    for state in (waiting("ErrImagePull"), waiting("ImagePullBackOff"), {"running": {}}):
        core.pods["p"] = a_pod(state=state)
        assert run.decide("p", run.look()).state == "wait"
        run.later(12)
    core.pods["q"] = a_pod("q", state=waiting("ErrImagePull"))
    run.decide("q", run.look())
    run.later(30)
    assert run.decide("q", run.look()).state == "failed"  # the image is good, so only this job's try has failed


def test_what_no_node_can_take_fails_within_a_minute(core, run):
    core.pods["p"] = unschedulable()
    assert run.decide("p", run.look()).state == "wait"
    run.later(15)
    verdict = run.decide("p", run.look())
    assert verdict.state == "failed"
    assert "can never run here" in verdict.message
    run.executor.workflow.executor_settings.autoscaling = True
    assert run.decide("p", run.look()).state == "wait"


@pytest.mark.parametrize("fault", [refused(403, "nodes is forbidden"), None])
def test_a_full_cluster_is_waited_for_and_the_reason_said(core, run, fault):
    core.pods["p"] = unschedulable()
    core.pods["p"]["spec"]["containers"][0]["resources"]["requests"] = {"memory": "50Mi"}
    core.faults["nodes"] = [fault]
    for _ in range(100):
        assert run.decide("p", run.look()).state == "wait"
        run.tell_waiting()
        run.later(5)
    assert 5 < len(run.executor.logger) < 12
    assert "1 pod(s) wait: 0/1 nodes are available: 1 Insufficient cpu." in run.executor.logger


def test_a_missing_volume_ends_the_run(core, run):
    core.pods["p"] = unschedulable('persistentvolumeclaim "data" not found')
    run.decide("p", run.look())
    run.later(15)
    with pytest.raises(Fatal, match='"data" not found'):
        run.decide("p", run.look())


def test_submission_is_offered_again_to_a_busy_server(core, run):
    core.faults["create_pod"] = [refused(500, "busy"), refused(403, "exceeded quota: pods=10"), OSError("reset")]
    assert run.submit(a_job()) in core.pods


def test_a_lost_answer_makes_no_second_pod(core, run):
    name = run.submit(a_job())
    assert run.submit(a_job()) == name
    assert list(core.pods) == [name]


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (refused(422, "spec.x: Invalid value"), "correct the profile or the rule's resources"),
        (refused(403, "pods is forbidden"), "docs/kubernetes.md"),
        (refused(404, 'namespaces "em" not found'), "make the namespace 'em'"),
    ],
)
def test_a_refused_pod_is_a_failed_try(core, run, fault, words):
    core.faults["create_pod"] = [fault]
    with pytest.raises(Ended, match=words):
        run.submit(a_job())


def test_a_server_away_for_good_is_a_failed_try(core, run):
    core.faults["create_pod"] = [refused(500, "busy")] * 100
    with pytest.raises(Ended, match="cannot be reached"):
        run.submit(a_job())


def test_output_is_kept_and_the_pod_deleted(core, run):
    core.pods["p"] = a_pod(phase="Failed", state=ended(1))
    kept = run.finish(SimpleNamespace(external_jobid="p"), judge(core.pods["p"]))
    assert Path(kept).read_text() == "output of p\n"
    assert core.pods == {}


@pytest.mark.parametrize("group", [False, True])
def test_why_a_pod_failed_is_said_of_groups_too(group):
    """Snakemake leaves the message out of a group's report."""
    reported = Lines()
    executor = SimpleNamespace(logger=Lines(), report_job_error=lambda _, msg, aux_logs: reported.append((msg, aux_logs)))
    info = SimpleNamespace(job=SimpleNamespace(is_group=lambda: group))
    Executor._report(executor, info, Verdict("failed", "pod p ran out of memory"), "p.log")
    assert reported == [("pod p ran out of memory. ", ["p.log"])]
    assert executor.logger == (["pod p ran out of memory."] if group else [])


def test_a_log_that_cannot_be_read_does_not_hide_the_failure(core, run):
    core.pods["p"] = a_pod(phase="Failed", state=ended(1))
    core.faults |= {"log": [refused(400, "container is gone")], "delete": [refused(500, "busy")]}
    assert run.finish(SimpleNamespace(external_jobid="p"), judge(core.pods["p"])) is None
    run.end()
    assert core.pods == {}


def test_the_end_leaves_nothing(core, run):
    core.pods = {"p": a_pod(), "q": a_pod("q")}
    run.end()
    run.end()
    assert (core.pods, core.secrets, list(read_notes(run.folder))) == ({}, {}, [])
    assert core.calls.count("delete_all") == 1


def test_roles_without_deletecollection(core, run):
    core.pods = {"p": a_pod(), "q": a_pod("q")}
    core.faults["delete_all"] = [refused(403, "deletecollection is forbidden")]
    run.end()
    assert core.pods == {}


def test_what_could_not_be_deleted_stays_noted(core, run):
    core.faults["delete_all"] = [refused(500, "busy")]
    core.pods["p"] = a_pod()
    run.end()
    assert [note.run for note in read_notes(run.folder)] == ["r1"]


def left_behind(run, **changes):
    """The note of a run whose process is dead."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    values = {"run": "dead", "place": "em", "host": Note.own("x", "em").host, "pid": process.pid, "born": "boot 12"}
    Note(**values | changes).write(run.folder)


def test_leftovers_of_a_killed_run_are_deleted(core, run):
    left_behind(run)
    core.pods = {"old": a_pod("old", "Running", {"running": {}})}
    core.secrets["connectomake-dead"] = "keys"
    run.clean_leftovers()
    assert core.pods == {}
    assert list(core.secrets) == [run.secret]
    assert [note.run for note in read_notes(run.folder)] == ["r1"]


def test_a_run_that_lives_is_left_alone(core, run):
    core.pods = {"p": a_pod()}
    assert Note.own("r1", "em").alive
    run.clean_leftovers()
    assert "p" in core.pods


def test_a_process_number_used_again_is_not_the_run(run):
    left_behind(run, pid=os.getpid())
    assert not next(note for note in read_notes(run.folder) if note.run == "dead").alive


def test_runs_of_other_machines_are_named_not_touched(core, run):
    left_behind(run, host="elsewhere")
    core.pods = {"p": a_pod()}
    run.clean_leftovers()
    assert "p" in core.pods
    assert "kubectl delete pod,secret -n em -l connectomake/run=dead" in run.executor.logger[0]


def test_pods_that_do_not_go_stop_the_start(core, run):
    left_behind(run)
    core.pods, core.sticky = {"old": a_pod("old")}, True
    with pytest.raises(Fatal, match="kubectl delete pod"):
        run.clean_leftovers()


def test_answers_that_are_no_json(core):
    core.list_namespaced_pod = lambda *_, **__: SimpleNamespace(data=b"<html>")
    with pytest.raises(ApiError, match="no JSON"):
        PodApi(core, "em").pods("x=y")


def test_snakemake_finds_the_plugin_and_nothing_heavy_is_imported():
    code = (
        "import sys, snakemake_executor_plugin_pods as p;"
        "assert not {'kubernetes', 'connectomake', 'snakemake_executor_plugin_kubernetes'} & set(sys.modules);"
        "from snakemake_interface_executor_plugins.registry import ExecutorPluginRegistry;"
        "assert ExecutorPluginRegistry().get_plugin('pods').executor is p.Executor"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
