"""On what kind of file system a folder lies, whether other machines see it, and how long a file takes there."""

import os
import statistics
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from connectomake.preflight.finding import Finding

SHARED = {
    "nfs", "nfs4", "lustre", "gpfs", "beegfs", "ceph", "fuse.ceph", "fuse.ceph-fuse", "cifs", "smb3", "glusterfs",
    "fuse.glusterfs", "afs", "panfs", "pvfs2", "wekafs", "fuse.sshfs", "9p", "gfs2", "ocfs2", "fuse.juicefs", "vastnfs", "dvs",
}  # fmt: skip
OWN = {"ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "overlay", "f2fs", "jfs", "reiserfs", "vfat", "exfat", "squashfs", "apfs"}
IN_MEMORY = {"tmpfs", "ramfs", "devtmpfs"}
NFS_DIRECTORY_SECONDS = 60
"""How long a client of NFS may believe what it knows of a folder, unless its mount says so (``acdirmax``)."""
FILES = 16
SLOW_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Mount:
    """Where a file system is mounted, its type, its options."""

    place: str
    kind: str
    options: str

    def option(self, name: str) -> str | None:
        """Return the value of an option; "" if it stands alone."""
        for item in self.options.split(","):
            word, _, value = item.partition("=")
            if word == name:
                return value
        return None


def mount_of(path: str | os.PathLike[str], table: str | None = None) -> Mount | None:
    """Return the file system on which a path lies, or will lie once it is made; None if this machine does not say.

    Parameters
    ----------
    path
        A file or folder; what is not there counts as its nearest folder that is.
    table
        What ``/proc/self/mountinfo`` holds, for tests.
    """
    try:
        text = Path("/proc/self/mountinfo").read_text(errors="replace") if table is None else table
    except OSError:
        return None
    real, best = os.path.realpath(path), None
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        place = _unescaped(before.split()[4])
        inside = real == place or real.startswith(place.rstrip("/") + "/")
        if inside and (best is None or len(place) >= len(best.place)):  # of two at one place the later one is seen
            kind, _, options = after.split(None, 2)
            best = Mount(place, kind, f"{before.split()[5]},{options}")
    return best


def _unescaped(text: str) -> str:
    for code, sign in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, sign)
    return text


def look_at_disks(paths: dict[str, str], latency_wait: float, table: str | None = None) -> list[Finding]:
    """Say of each file system that a run uses whether the nodes can see it.

    Parameters
    ----------
    paths
        What lies where: ``{"the results": "/data/run/out"}``.
    latency_wait
        How long Snakemake waits for a file that a job has made, in seconds.
    table
        As for `mount_of`.
    """
    places: dict[Mount, list[str]] = {}
    for name, path in paths.items():
        mount = mount_of(path, table)
        if mount is not None:
            places.setdefault(mount, []).append(name)
    return [_judged(mount, names, latency_wait) for mount, names in places.items()]


def _judged(mount: Mount, names: list[str], latency_wait: float) -> Finding:
    what = " and ".join(", ".join(names).rsplit(", ", 1)) + (" lies" if len(names) == 1 else " lie")
    where = f"{what} on {mount.place} ({mount.kind})"
    if mount.kind in IN_MEMORY:
        return Finding(False, f"{where}, in this machine's memory: no node sees it; start in a folder that all nodes see")
    if mount.kind in OWN:
        return Finding(
            False,
            f"{where}, a disk of this machine: do the nodes see it under the same path? --probe asks one of them; "
            "if not, start in a folder that all nodes see",
        )
    if mount.kind.startswith("nfs"):
        return _judged_nfs(mount, where, latency_wait)
    if mount.kind in SHARED:
        return Finding(True, f"{where}, which machines share")
    return Finding(False, f"{where}, a kind unknown here: --probe asks a node whether it sees the same files")


def _judged_nfs(mount: Mount, where: str, latency_wait: float) -> Finding:
    told = mount.option("acdirmax") or mount.option("actimeo") or ""
    believes = 0 if mount.option("noac") is not None else int(told) if told.isdigit() else NFS_DIRECTORY_SECONDS
    text = f"{where}, which machines share; a new file may be seen up to {believes} s late (acdirmax)"
    if believes > latency_wait:
        return Finding(False, f"{text}: set latency-wait: {believes} in the profile, it is {latency_wait:g}")
    return Finding(True, f"{text}, and latency-wait is {latency_wait:g} s")


def time_files(folder: str | os.PathLike[str], count: int = FILES) -> Finding:
    """Make small files as jobs do (written, flushed, renamed) in a new folder below one, and remove them again."""
    place = Path(folder) / f".connectomake-check-{uuid.uuid4().hex}"
    try:
        place.mkdir()
        seconds = [_make_one(place, str(number)) for number in range(count)]
    except OSError as error:
        return Finding(False, f"no file can be made in {folder} ({error.strerror}): start in a folder that you can write to")
    finally:
        _remove(place)
    middle = statistics.median(seconds)
    text = f"a file takes {1000 * middle:.1f} ms in {folder} (written, flushed, renamed), at most {1000 * max(seconds):.1f} ms"
    if middle > SLOW_SECONDS:
        return Finding(False, f"{text}: that is slow; use a scratch rather than a home file system, or larger blocks")
    return Finding(True, text)


def _make_one(place: Path, name: str) -> float:
    started = time.perf_counter()
    with (place / f".{name}.part").open("wb") as file:
        file.write(b"connectomake check")
        file.flush()
        os.fsync(file.fileno())
    (place / f".{name}.part").rename(place / name)
    (place / name).stat()
    return time.perf_counter() - started


def _remove(place: Path) -> None:
    if place.is_dir():
        for path in place.iterdir():
            path.unlink()
        place.rmdir()
