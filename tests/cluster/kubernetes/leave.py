"""What a cluster of this machine leaves behind, whatever ended it: containers, control groups, links."""

import contextlib
import os
import signal
import subprocess
from pathlib import Path
from typing import Any


def kill_containers(socket: Any) -> None:
    """Containers outlive containerd: kill the children of the shims that belong to this cluster."""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError):
            words = (folder / "cmdline").read_bytes().split(b"\0")
            if b"containerd-shim" in words[0] and str(socket).encode() in words:
                for child in (folder / "task" / folder.name / "children").read_text().split():
                    os.kill(int(child), signal.SIGKILL)


def remove_groups() -> None:
    """Remove the control groups of containers."""
    for controller in Path("/sys/fs/cgroup").glob("*/k8s.io"):
        for group in sorted(controller.rglob("*"), reverse=True):
            with contextlib.suppress(OSError):
                group.rmdir()
        with contextlib.suppress(OSError):
            controller.rmdir()


def remove_bridge(name: str) -> None:
    """Remove a bridge and what hangs on it."""
    if not Path("/sys/class/net", name).exists():
        return
    for link in Path("/sys/class/net", name, "brif").glob("*"):
        subprocess.run(["ip", "link", "del", link.name], check=False, capture_output=True)
    subprocess.run(["ip", "link", "del", name], check=False, capture_output=True)


def unmount_below(folder: Path) -> None:
    """Unmount all that is mounted below a folder."""
    for line in reversed(Path("/proc/mounts").read_text().splitlines()):
        place = line.split()[1]
        if place.startswith(str(folder)):
            subprocess.run(["umount", "-l", place], check=False, capture_output=True)
