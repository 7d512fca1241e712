"""The few requests that the executor makes of Kubernetes, each bounded in time, each fault with a kind and a sentence."""

import contextlib
import json
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

TIMEOUT = (5.0, 30.0)  # seconds to connect, to answer
LOG_BYTES = 4_000_000
_KINDS = {400: "invalid", 401: "login", 403: "forbidden", 404: "absent", 409: "there", 422: "invalid"}


class ApiError(Exception):
    """A request failed.

    Parameters
    ----------
    kind
        ``login`` (401), ``forbidden`` (403), ``full`` (403 of a quota), ``absent`` (404), ``there`` (409), ``invalid`` (400,
        422), or ``busy``: any other answer, or none, or one of something that stands before the server; ask again later.
    message
        What the server said, one sentence.
    """

    def __init__(self, kind: str, message: str):
        super().__init__(message)
        self.kind = kind


def connect() -> Any:
    """Return Kubernetes' core API, from the kubeconfig (``KUBECONFIG``) or the pod that this runs in.

    Raises
    ------
    ApiError
        If there is neither.
    """
    import kubernetes

    try:
        kubernetes.config.load_kube_config()
    except Exception as error:  # broken files raise all kinds
        try:
            kubernetes.config.load_incluster_config()
        except kubernetes.config.ConfigException:
            raise ApiError("login", f"no usable kubeconfig ({error}); set KUBECONFIG, or try `kubectl get pods`") from error
    return kubernetes.client.CoreV1Api()


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """Turn what the client raises into an `ApiError`."""
    import urllib3
    from kubernetes.client.exceptions import ApiException

    try:
        yield
    except ApiException as error:
        raise ApiError(_kind(error), _sentence(error)) from error
    except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        cause = getattr(error, "reason", None) or error  # of many tries, the last one's
        raise ApiError("busy", f"{type(cause).__name__}: {cause}") from error


def _kind(error: Any) -> str:
    """Return the kind of an answer: a proxy's 404 says nothing of a pod, nor does 409 of a quota that changed meanwhile."""
    kind, said = _KINDS.get(error.status or 0, "busy"), _message(error)
    if kind == "forbidden":
        return "full" if "exceeded quota" in said else kind
    if kind == "there":
        return kind if "already exists" in said else "busy"
    return "busy" if kind in {"absent", "invalid"} and not said else kind


def _message(error: Any) -> str:
    """Return the message in the answer's JSON; empty if it has none."""
    try:
        return str(json.loads(error.body)["message"])
    except (TypeError, ValueError, KeyError):
        return ""


def _sentence(error: Any) -> str:
    """Return the server's message, else the reason phrase."""
    return _message(error) or f"{error.status} {error.reason}"


@dataclass
class PodApi:
    """Pods and secrets of one namespace. Pods are plain dicts, as the server's JSON has them.

    Parameters
    ----------
    core
        Kubernetes' ``CoreV1Api``.
    namespace
        Where pods are made.
    reconnect
        Makes a new `core` when a login has run out.
    """

    core: Any
    namespace: str
    reconnect: Callable[[], Any] = connect

    def _ask(self, method: str, *args: Any, **options: Any) -> Any:
        """Make one request; once more with a fresh login if the old one has run out."""
        try:
            with _translated():
                return getattr(self.core, method)(*args, _request_timeout=TIMEOUT, **options)
        except ApiError as error:
            if error.kind != "login":
                raise
        self.core = self.reconnect()
        with _translated():
            return getattr(self.core, method)(*args, _request_timeout=TIMEOUT, **options)

    def _ask_json(self, method: str, *args: Any, **options: Any) -> dict[str, Any]:
        """Make a request and parse the answer as plain JSON: ten times faster than the client's classes."""
        answer = self._ask(method, *args, _preload_content=False, **options)
        try:
            found: dict[str, Any] = json.loads(answer.data)
        except ValueError as error:
            raise ApiError("busy", f"{method}: the answer is not JSON") from error
        return found

    def _items(self, method: str, *args: Any, **options: Any) -> list[dict[str, Any]]:
        found = self._ask_json(method, *args, **options)
        if not isinstance(found, dict) or not isinstance(found.get("items"), list):
            raise ApiError("busy", f"{method}: the answer is not a list")
        items: list[dict[str, Any]] = found["items"]
        return items

    def create_pod(self, body: Any) -> None:
        """Make a pod; one of that name that is there already is taken for the answer of an earlier try that got lost."""
        with contextlib.suppress(_There):
            self._there("create_namespaced_pod", body)

    def _there(self, method: str, body: Any) -> None:
        try:
            self._ask(method, self.namespace, body)
        except ApiError as error:
            raise (_There() if error.kind == "there" else error) from None

    def pods(self, selector: str) -> list[dict[str, Any]]:
        """Return all pods with these labels: one request, whatever their number."""
        return self._items("list_namespaced_pod", self.namespace, label_selector=selector)

    def pod(self, name: str) -> dict[str, Any] | None:
        """Return one pod, None if there is none."""
        try:
            return self._ask_json("read_namespaced_pod", name, self.namespace)
        except ApiError as error:
            if error.kind == "absent":
                return None
            raise

    def log(self, name: str) -> bytes:
        """Return what a pod printed, at most 4 MB of it."""
        answer = self._ask(
            "read_namespaced_pod_log",
            name, self.namespace, container="snakemake", limit_bytes=LOG_BYTES, _preload_content=False,
        )  # fmt: skip
        return bytes(answer.data)

    def delete_pod(self, name: str, *, forget: bool = False) -> None:
        """Delete a pod; fine if it is gone. To forget it, do not wait until its node has ended it."""
        options = {"grace_period_seconds": 0} if forget else {}
        self._gone("delete_namespaced_pod", name, self.namespace, _preload_content=False, **options)

    def delete_pods(self, selector: str) -> None:
        """Delete all pods with these labels: one request, or one a pod where the role does not permit it."""
        options = {"label_selector": selector, "_preload_content": False}
        try:
            self._ask("delete_collection_namespaced_pod", self.namespace, **options)
        except ApiError as error:
            if error.kind != "forbidden":
                raise
            for pod in self.pods(selector):
                self.delete_pod(pod["metadata"]["name"])

    def create_secret(self, body: Any) -> None:
        """Make a secret."""
        with contextlib.suppress(_There):
            self._there("create_namespaced_secret", body)

    def delete_secret(self, name: str) -> None:
        """Delete a secret; fine if it is gone."""
        self._gone("delete_namespaced_secret", name, self.namespace)

    def _gone(self, method: str, *args: Any, **options: Any) -> None:
        try:
            self._ask(method, *args, **options)
        except ApiError as error:
            if error.kind != "absent":
                raise

    def nodes(self) -> list[dict[str, Any]]:
        """Return the cluster's nodes.

        Raises
        ------
        ApiError
            Also where the role does not permit to see them.
        """
        return self._items("list_node")


class _There(Exception):  # noqa: N818
    """What was to be made is there already."""


def explain(error: ApiError, namespace: str) -> str:
    """Return a sentence for the user, with the way out."""
    text, look = str(error).rstrip("."), f"try `kubectl get pods -n {shlex.quote(namespace)}`"
    if error.kind == "login":
        return f"Kubernetes rejected the login ({text}); renew your credentials and {look}"
    if error.kind == "forbidden":
        return f"Kubernetes forbids it ({text}); see docs/kubernetes.md for the role that is needed"
    if error.kind == "absent":
        return f"Kubernetes: {text}; make the namespace {namespace!r} or correct pods-namespace in the profile"
    if error.kind == "invalid":
        return f"Kubernetes rejected the pod ({text}); correct the profile or the rule's resources"
    return f"Kubernetes cannot be reached ({text}); check KUBECONFIG and {look}"
