"""A whole Kubernetes of one node on this machine: etcd, API server, controller manager, scheduler, containerd, kubelet.

Everything is started as a plain process, listens on loopback or on a bridge of its own, keeps its files in one folder, and is
gone after `stop`, whatever happened. Needs root and Debian's etcd-server, containerd, runc and containernetworking-plugins.
"""

import contextlib
import fcntl
import json
import os
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from tests.cluster.daemons import Daemons, free_port
from tests.cluster.kubernetes import leave

HERE = Path(__file__).resolve().parent
CACHE = Path(
    os.environ.get("CONNECTOMAKE_CLUSTER_CACHE")
    or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "connectomake/kubernetes"
)
PACKAGES = (
    "etcd-server", "containerd", "runc", "containernetworking-plugins", "debootstrap", "iproute2", "openssl", "ca-certificates"
)  # fmt: skip
PLUGINS, SHARES = "/usr/lib/cni", Path("/sys/fs/cgroup/cpu/k8s.io/cpu.shares")
BRIDGE, GATEWAY, SUBNET = "cmk-k8s0", "10.213.7.1", "10.213.7.0/24"
MAC = "02:43:4d:4b:00:01"  # fixed: with a random one, uploads of pods stalled for a minute
NODE = "cmk-node"
TAG = "docker.io/library/connectomake:test"
PAUSE = "docker.io/library/cmk-pause:1"


class CannotRun(Exception):
    """The cluster cannot be set up here; the message says why."""


def sh(*command: Any, timeout: int = 120, **options: Any) -> Any:
    """Run a command; raise CannotRun with its last words if it fails."""
    try:
        done = subprocess.run(
            command, timeout=timeout, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **options
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotRun(f"{command[0]}: {error}") from error
    if done.returncode:
        raise CannotRun(f"{' '.join(map(str, command))}: {done.stdout.strip()[-400:]}")
    return done.stdout


def wait_until(true: Any, seconds: int, what: str) -> None:
    """Wait for a condition; CannotRun after so many seconds."""
    until, last = time.monotonic() + seconds, ""
    while time.monotonic() < until:
        try:
            if true():
                return
        except Exception as error:
            last = f": {error}"
        time.sleep(0.3)
    raise CannotRun(f"{what} did not come within {seconds:.0f} s{last}")


class Cluster:
    """Processes of one cluster, started in order, ended in the reverse order.

    Parameters
    ----------
    folder
        Logs, keys and data; may be removed when the cluster is down.
    """

    def __init__(self, folder: Any) -> None:
        self.folder = Path(folder)
        self.daemons = Daemons(self.folder)
        self.ports: dict[Any, Any] = {}
        self.lock: IO[str] | None = None
        self.kubeconfig = self.folder / "kubeconfig"

    def __enter__(self) -> Any:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: Any) -> None:
        self.stop()

    def start(self) -> None:
        self._alone()
        self.folder.mkdir(parents=True, exist_ok=True)
        leave.remove_bridge(BRIDGE)
        self._share()
        self._bridge()
        self._keys()
        self._containerd()
        self._etcd()
        self._api_server()
        self._controllers()
        self._kubelet()
        wait_until(self.ready, 90, "the node")

    def spawn(self, name: Any, *command: Any) -> None:
        """Start a process; its output goes to logs/NAME.log."""
        self.daemons.start(name, command)

    def _alone(self) -> None:
        """The bridge and containerd's folder are one a machine."""
        CACHE.mkdir(parents=True, exist_ok=True)
        self.lock = (CACHE / "cluster.lock").open("w")
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self.lock = None
            raise CannotRun("another such cluster runs on this machine") from None

    def _share(self) -> None:
        """All pods lie in one control group, which would get no more of a busy machine than one process."""
        with contextlib.suppress(OSError):
            SHARES.parent.mkdir(exist_ok=True)
            SHARES.write_text("4096")

    def _bridge(self) -> None:
        sh("ip", "link", "add", BRIDGE, "address", MAC, "type", "bridge")
        sh("ip", "addr", "add", f"{GATEWAY}/24", "dev", BRIDGE)
        sh("ip", "link", "set", BRIDGE, "up")

    def _keys(self) -> None:
        sh("openssl", "genrsa", "-out", self.folder / "sa.key", "2048")
        sh("openssl", "rsa", "-in", self.folder / "sa.key", "-pubout", "-out", self.folder / "sa.pub")
        (self.folder / "tokens.csv").write_text('admin-token,admin,1,"system:masters"\n')
        self.ports = {name: free_port() for name in ("etcd", "peer", "api")} | {"kubelet": free_port()}
        self.kubeconfig.write_text(self.config_text("admin-token"))

    def config_text(self, token: Any) -> Any:
        """Return a kubeconfig with a token."""
        server = {
            "server": f"https://127.0.0.1:{self.ports['api']}",
            "certificate-authority": str(self.folder / "certs/apiserver.crt"),
        }
        return json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "x",
            "clusters": [{"name": "c", "cluster": server}],
            "users": [{"name": "u", "user": {"token": token}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        })  # fmt: skip

    def _containerd(self) -> None:
        network = self.folder / "cni"
        network.mkdir(exist_ok=True)
        (network / "10-bridge.conflist").write_text(json.dumps({
            "cniVersion": "0.3.1", "name": "cmk", "plugins": [{
                "type": "bridge", "bridge": BRIDGE, "isGateway": True, "ipMasq": False,
                "ipam": {"type": "host-local", "ranges": [[{"subnet": SUBNET, "gateway": GATEWAY}]],
                         "dataDir": str(self.folder / "addresses")}}]}))  # fmt: skip
        config = self.folder / "containerd.toml"
        config.write_text(f"""version = 2
root = "{CACHE / "containerd"}"
state = "{self.folder / "containerd"}"
[grpc]
  address = "{self.socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  restrict_oom_score_adj = true
  stream_server_address = "127.0.0.1"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{PLUGINS}"
    conf_dir = "{network}"
""")
        self.spawn("containerd", "containerd", "--config", config)
        wait_until(lambda: self.ctr("version"), 30, "containerd")

    @property
    def socket(self) -> Any:
        return self.folder / "containerd.sock"

    def ctr(self, *command: Any, timeout: int = 60) -> Any:
        return sh("ctr", "-a", self.socket, "-n", "k8s.io", *command, timeout=timeout)

    def load_images(self, python: Any = sys.executable) -> None:
        """Build the images of the pods from this source and import them."""
        archive = self.folder / "image.tar"
        present = self.ctr("content", "ls", "-q").replace("sha256:", "")
        sh("bash", HERE / "build-image.sh", python, archive, TAG, timeout=900, env=os.environ | {"PRESENT": present})
        self.ctr("images", "import", archive, timeout=300)
        archive.unlink()
        self._load_pause()

    def _load_pause(self) -> None:
        layer, archive = self.folder / "pause-layer.tar", self.folder / "pause.tar"
        with tarfile.open(layer, "w") as tar:
            tar.add(CACHE / "bin/pause", "pause")
        sh(sys.executable, HERE / "oci_archive.py", archive, PAUSE, layer, "--entrypoint=/pause")
        self.ctr("images", "import", archive)

    def _etcd(self) -> None:
        client, peer = (f"http://127.0.0.1:{self.ports[name]}" for name in ("etcd", "peer"))
        self.spawn(
            "etcd", "etcd", "--data-dir", self.folder / "etcd", "--unsafe-no-fsync", "--initial-cluster", f"default={peer}",
            "--listen-client-urls", client, "--advertise-client-urls", client,
            "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
        )  # fmt: skip

    def _api_server(self) -> None:
        self.spawn(
            "api", CACHE / "bin/kube-apiserver", f"--etcd-servers=http://127.0.0.1:{self.ports['etcd']}",
            "--bind-address=127.0.0.1", f"--advertise-address={GATEWAY}", f"--secure-port={self.ports['api']}",
            "--insecure-port=0", f"--cert-dir={self.folder / 'certs'}", f"--token-auth-file={self.folder / 'tokens.csv'}",
            "--authorization-mode=AlwaysAllow", "--disable-admission-plugins=ServiceAccount",
            "--service-account-issuer=https://kubernetes.default.svc", f"--service-account-key-file={self.folder / 'sa.pub'}",
            f"--service-account-signing-key-file={self.folder / 'sa.key'}", "--service-cluster-ip-range=10.213.8.0/24",
            "--kubelet-preferred-address-types=InternalIP", "--profiling=false",
        )  # fmt: skip
        wait_until(lambda: self.core().list_namespace(_request_timeout=3), 60, "the API server")

    @contextlib.contextmanager
    def without_server(self) -> Iterator[None]:
        """The API server is dead meanwhile; nodes and pods go on."""
        self.daemons.kill("api")
        try:
            yield
        finally:
            self._api_server()

    @contextlib.contextmanager
    def without_node(self) -> Iterator[None]:
        """The node is not heard of meanwhile; its containers go on."""
        self.daemons.kill("kubelet")
        try:
            yield
        finally:
            self._kubelet()

    def _controllers(self) -> None:
        common = [f"--kubeconfig={self.kubeconfig}", "--leader-elect=false", "--port=0", "--bind-address=127.0.0.1"]
        self.spawn(
            "controllers", CACHE / "bin/kube-controller-manager", *common, f"--secure-port={free_port()}",
            f"--service-account-private-key-file={self.folder / 'sa.key'}",
        )  # fmt: skip
        self.spawn("scheduler", CACHE / "bin/kube-scheduler", *common, f"--secure-port={free_port()}")

    def _kubelet(self) -> None:
        config = self.folder / "kubelet.json"
        config.write_text(json.dumps({
            "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
            "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
            "authorization": {"mode": "AlwaysAllow"},
            "address": GATEWAY, "port": self.ports["kubelet"], "healthzPort": 0, "readOnlyPort": 0,
            "cgroupDriver": "cgroupfs", "cgroupsPerQOS": False, "enforceNodeAllocatable": [], "failSwapOn": False,
            "makeIPTablesUtilChains": False, "imageGCHighThresholdPercent": 100,
            "evictionHard": {"memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
            "serializeImagePulls": False, "nodeStatusUpdateFrequency": "5s", "syncFrequency": "5s",
            "containerLogMaxSize": "10Mi",
        }))  # fmt: skip
        self.spawn(
            "kubelet", CACHE / "bin/kubelet", f"--config={config}", f"--kubeconfig={self.kubeconfig}",
            f"--root-dir={self.folder / 'kubelet'}", "--container-runtime=remote",
            f"--container-runtime-endpoint=unix://{self.socket}", f"--hostname-override={NODE}", f"--node-ip={GATEWAY}",
            f"--cert-dir={self.folder / 'kubelet-certs'}",
        )  # fmt: skip

    def core(self) -> Any:
        """Return Kubernetes' core API."""
        import kubernetes

        return kubernetes.client.CoreV1Api(kubernetes.config.new_client_from_config(str(self.kubeconfig)))

    def ready(self) -> Any:
        """Whether the node takes pods."""
        conditions = self.core().read_node(NODE, _request_timeout=5).status.conditions
        return any(c.type == "Ready" and c.status == "True" for c in conditions)

    def stop(self) -> None:
        """End all processes, containers and mounts; never raises."""
        if self.lock is None:
            return
        with contextlib.suppress(Exception):
            self._stop_pods()
        leave.kill_containers(self.socket)
        self.daemons.stop()
        leave.remove_groups()
        leave.remove_bridge(BRIDGE)
        leave.unmount_below(self.folder)
        self.lock.close()
        self.lock = None

    def _stop_pods(self) -> None:
        core = self.core()
        core.delete_collection_namespaced_pod("default", grace_period_seconds=0, _request_timeout=5)
        until = time.monotonic() + 15
        while time.monotonic() < until and core.list_namespaced_pod("default", _request_timeout=5).items:
            time.sleep(0.5)
        for task in self.ctr("tasks", "ls", "-q").split():
            with contextlib.suppress(CannotRun):
                self.ctr("tasks", "kill", "-s", "SIGKILL", task)
