"""Layers and settings as an image that `ctr images import` takes: oci_archive.py ARCHIVE TAG LAYER... [--entrypoint=PATH].

Layers whose digests stand in the environment's PRESENT (words) are named, not included: the store has them already.
"""

import hashlib
import io
import json
import os
import sys
import tarfile
from pathlib import Path
from typing import Any

SETTINGS: dict[str, Any] = {
    "User": "1000:1000",
    "WorkingDir": "/workdir",
    "Env": [
        "PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin",
        "HOME=/workdir",
        "USER=worker",
        "MPLBACKEND=Agg",
        "PYTHONUNBUFFERED=1",
        "NUMBA_CACHE_DIR=/opt/numba",
    ],
}


def digest_of(path: str) -> Any:
    """SHA-256 of a file; kept beside large ones."""
    note = Path(f"{path}.sha256")
    if note.exists():
        return note.read_text()
    with Path(path).open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if Path(path).stat().st_size > 1 << 28:
        note.write_text(digest)
    return digest


def described(data: Any, kind: str, **more: Any) -> dict[str, Any]:
    """A blob's descriptor."""
    media = f"application/vnd.oci.image.{kind}"
    return {"mediaType": media, "digest": f"sha256:{hashlib.sha256(data).hexdigest()}", "size": len(data), **more}


def write_archive(target: Any, tag: Any, layers: Any, settings: Any, present: tuple[()] | list[str] = ()) -> None:
    """Write the archive; layers are tar files, the lowest first."""
    digests = [digest_of(layer) for layer in layers]
    config = json.dumps({
        "architecture": "amd64", "os": "linux", "config": settings,
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{d}" for d in digests]},
    }).encode()  # fmt: skip
    manifest = json.dumps({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": described(config, "config.v1+json"),
        "layers": [
            {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": f"sha256:{d}", "size": Path(layer).stat().st_size}
            for d, layer in zip(digests, layers, strict=True)
        ],
    }).encode()  # fmt: skip
    names = {"io.containerd.image.name": tag, "org.opencontainers.image.ref.name": tag.rpartition(":")[2]}
    index = {"schemaVersion": 2, "manifests": [described(manifest, "manifest.v1+json", annotations=names)]}
    with tarfile.open(target, "w") as archive:
        add(archive, "oci-layout", b'{"imageLayoutVersion": "1.0.0"}')
        add(archive, "index.json", json.dumps(index).encode())
        for data in (config, manifest):
            add(archive, f"blobs/sha256/{hashlib.sha256(data).hexdigest()}", data)
        for digest, layer in zip(digests, layers, strict=True):
            if digest not in present:
                archive.add(layer, f"blobs/sha256/{digest}")


def add(archive: Any, name: str, data: Any) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    archive.addfile(entry, io.BytesIO(data))


if __name__ == "__main__":
    *words, last = sys.argv[1:]
    entrypoint = last.startswith("--entrypoint=")
    settings = {"Entrypoint": [last.partition("=")[2]]} if entrypoint else SETTINGS
    layers = words[2:] if entrypoint else [*words[2:], last]
    write_archive(words[0], words[1], layers, settings, os.environ.get("PRESENT", "").split())
