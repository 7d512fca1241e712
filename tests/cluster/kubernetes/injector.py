"""What happens to pods on real clusters, made to happen while a head runs."""

import contextlib
from typing import Any

from kubernetes.client.exceptions import ApiException

from tests.cluster.daemons import wait
from tests.cluster.kubernetes.cluster import NODE, PAUSE
from tests.cluster.kubernetes.site import NAMESPACE, pods

LIMIT = 1800  # seconds until which an event must come, on the busiest machine


def evict(site: Any, name: Any) -> None:
    """What `kubectl drain` does."""
    body = {"apiVersion": "policy/v1beta1", "kind": "Eviction", "metadata": {"name": name, "namespace": NAMESPACE}}
    site.core.create_namespaced_pod_eviction(name, NAMESPACE, body, _request_timeout=10)


class Injector:
    """Breaks things while a head runs, and counts."""

    def __init__(self, site: Any, head: Any) -> None:
        self.hit: set[Any]
        self.count: dict[Any, Any]
        self.site, self.head, self.count, self.hit = site, head, {}, set()

    def alive(self) -> bool:
        return self.head.poll() is None

    def note(self, what: str) -> None:
        self.count[what] = self.count.get(what, 0) + 1

    def on_running_pods(self, what: Any, act: Any, times: Any, stage: Any, seconds: Any = LIMIT) -> None:
        """Do something to running pods of a stage that nothing was done to yet."""

        def once() -> Any:
            for name in pods(self.site, running=True):
                if name.startswith(stage) and name not in self.hit and self.count.get(what, 0) < times:
                    self.hit.add(name)
                    with contextlib.suppress(ApiException):
                        act(name)
                        self.note(what)
            return self.count.get(what, 0) >= times or not self.alive()

        wait(once, seconds, every=0.5)

    def delete(self, name: Any) -> None:
        self.site.core.delete_namespaced_pod(name, NAMESPACE, grace_period_seconds=0, _request_timeout=10)

    def lose_server(self, log: Any, times: int = 2, seconds: Any = LIMIT) -> None:
        """The API server is away until the head has said so some times, once a minute, while pods go on and end."""
        with self.site.cluster.without_server():
            wait(lambda: log.read_text().count("Kubernetes does not answer") >= times or not self.alive(), seconds)
        self.note("API server away")

    def lose_node(self, log: Any, seconds: Any = LIMIT) -> None:
        """The node is not heard of until the head has given up what ran there.

        Pods of a lost node are deleted by Kubernetes itself, but not where it is the only one: then by somebody.
        """
        core = self.site.core
        assert wait(lambda: pods(self.site, running=True) or not self.alive(), seconds)
        with self.site.cluster.without_node():
            for name in pods(self.site, running=True):
                core.delete_namespaced_pod(name, NAMESPACE, _request_timeout=10)
            wait(lambda: f"its node {NODE} is lost" in log.read_text() or not self.alive(), seconds)
        self.note("node lost")

    def preempt(self, log: Any, seconds: Any = LIMIT) -> None:
        """A pod of higher priority takes the whole node for a moment, while others are at work there."""

        def once() -> Any:
            victims = self.at_work()
            if victims:
                self.take_node(seconds)
            told = [f"pod {name}{end}" for name in victims for end in (": ", " is gone")]
            return (victims and wait(lambda: any(text in log.read_text() for text in told), 30)) or not self.alive()

        assert wait(once, seconds)
        self.note("pods preempted")

    def at_work(self) -> list[Any]:
        """Names of the pods that run and shall go on."""
        found = self.site.core.list_namespaced_pod(NAMESPACE, label_selector="app=snakemake", _request_timeout=10).items
        return [pod.metadata.name for pod in found if pod.status.phase == "Running" and not pod.metadata.deletion_timestamp]

    def take_node(self, seconds: Any) -> None:
        """Run a pod of high priority that asks for all that a node has."""
        core, place = self.site.core, "default"
        container = {"name": "rest", "image": PAUSE, "resources": {"requests": {"cpu": "1900m"}}}
        spec = {"containers": [container], "priorityClassName": "system-cluster-critical", "terminationGracePeriodSeconds": 0}
        core.create_namespaced_pod(place, {"metadata": {"name": "first"}, "spec": spec}, _request_timeout=10)
        try:

            def runs() -> bool:
                phase = core.read_namespaced_pod("first", place, _request_timeout=10).status.phase
                return bool(phase == "Running")

            assert wait(lambda: runs() or not self.alive(), seconds)
        finally:
            core.delete_namespaced_pod("first", place, grace_period_seconds=0, _request_timeout=10)

    def trouble_storage(self, times: Any, seconds: Any = LIMIT) -> None:
        """Every fourth request fails for a while, then all reads are slow."""
        faults = self.site.proxy.faults
        faults.failing = 4
        wait(lambda: faults.failed >= times or not self.alive(), seconds)
        faults.failing, faults.slow = 0, 1.5
        wait(lambda: faults.delayed >= times or not self.alive(), seconds)
        faults.slow = 0.0
