"""A site: cluster, S3 server, the environment of whoever runs workflows there."""

import os
import sys
from pathlib import Path
from typing import Any

from tests.cluster.daemons import free_port, wait
from tests.cluster.kubernetes.cluster import GATEWAY, Cluster, wait_until
from tests.cluster.kubernetes.storage import Proxy

BUCKET = "lab"
NAMESPACE = "em"
KEYS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_SESSION_TOKEN": "",
    "AWS_DEFAULT_REGION": "us-east-1",
}


class Site:
    """Cluster and storage, up between `with` and its end."""

    def __init__(self, folder: Any) -> None:
        self.folder = Path(folder)
        self.cluster = Cluster(self.folder / "cluster")
        self.proxy: Any = None

    def __enter__(self) -> Any:
        self.cluster.__enter__()
        try:
            self.cluster.load_images()
            self._storage()
            self.core.create_namespace({"metadata": {"name": NAMESPACE}}, _request_timeout=10)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def _storage(self) -> None:
        port = free_port()
        self.cluster.spawn("moto", sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", port)
        self.proxy = Proxy(GATEWAY, 0, ("127.0.0.1", port))
        wait_until(lambda: self.s3.create_bucket(Bucket=BUCKET), 60, "the S3 server")

    @property
    def endpoint(self) -> str:
        return f"http://{GATEWAY}:{self.proxy.port}"

    @property
    def environment(self) -> Any:
        """What a user exports."""
        return KEYS | {"KUBECONFIG": str(self.cluster.kubeconfig), "AWS_ENDPOINT_URL": self.endpoint}

    @property
    def s3(self) -> Any:
        import boto3

        keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing", "region_name": "us-east-1"}
        return boto3.client("s3", endpoint_url=self.endpoint, **keys)

    @property
    def core(self) -> Any:
        return self.cluster.core()

    def close(self) -> None:
        if self.proxy is not None:
            self.proxy.close()
            self.proxy = None
        self.cluster.stop()

    def env(self) -> Any:
        return os.environ | self.environment


def pods(site: Any, *, running: bool = False) -> list[Any]:
    """Names of the pods of runs."""
    found = site.core.list_namespaced_pod(NAMESPACE, label_selector="app=snakemake", _request_timeout=10).items
    return [pod.metadata.name for pod in found if not running or pod.status.phase == "Running"]


def secrets(site: Any) -> list[Any]:
    """Names of the Secrets of runs."""
    return [s.metadata.name for s in site.core.list_namespaced_secret(NAMESPACE, label_selector="app=snakemake").items]


def assert_clean(site: Any, seconds: int = 30) -> None:
    """No pod and no Secret is left."""
    assert wait(lambda: not pods(site) and not secrets(site), seconds), (pods(site), secrets(site))
