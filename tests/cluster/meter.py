"""What the kernel says that jobs of a Slurm take: memory of their control groups and of the processes in them.

The groups exist where the kernel enforces memory (`tests.cluster.slurm.KERNEL`). They are looked at some dozen times a second,
for Slurm itself looks once, and most jobs of a small run last two.
"""

import contextlib
import mmap
import re
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

EVERY_SECONDS = 0.04
MB = 1 << 20
_RULE = re.compile(r"--target-jobs\0([A-Za-z_]\w*):([^\0]*)")


@dataclass
class Used:
    """What a job was given, and what it took.

    Parameters
    ----------
    job
        Its number in Slurm.
    rule, wildcards
        Of Snakemake; empty until its processes were seen.
    asked_mb
        The limit of its control group.
    used_mb
        The most that its processes held at once: their resident memory, as Slurm's accounting sums it up.
    charged_mb
        The most that the kernel charged to the group and cannot take back: without pages of files.
    script_mb
        The most that one process of it held.
    seconds
        Between the first look at it and the last.
    """

    job: int
    rule: str = ""
    wildcards: str = ""
    asked_mb: float = 0.0
    used_mb: float = 0.0
    charged_mb: float = 0.0
    script_mb: float = 0.0
    seconds: float = 0.0


class Meter:
    """Looks at the groups of some nodes until it is left; use as a context manager.

    Parameters
    ----------
    groups
        The nodes' folders of control groups.
    """

    def __init__(self, groups: Iterable[Path]) -> None:
        self.groups, self.jobs, self._begun = list(groups), dict[int, Used](), dict[int, float]()
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Meter":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ends.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ends.wait(EVERY_SECONDS):
            for group in self.groups:
                with contextlib.suppress(OSError):  # Slurm removes it where no job is left
                    for place in list(group.glob("uid_*/job_*")):
                        with contextlib.suppress(OSError, ValueError):  # the job ends meanwhile
                            self._look(place)

    def _look(self, place: Path) -> None:
        number, now = int(place.name.removeprefix("job_")), time.monotonic()
        job = self.jobs.setdefault(number, Used(number))
        job.seconds = now - self._begun.setdefault(number, now)
        job.asked_mb = int((place / "memory.limit_in_bytes").read_text()) / MB
        held = list(self._held(place, job))
        job.used_mb = max(job.used_mb, sum(held) / MB)
        job.script_mb = max(job.script_mb, max(held, default=0) / MB)
        counts = dict(line.split() for line in (place / "memory.stat").read_text().splitlines())
        job.charged_mb = max(job.charged_mb, (int(counts["total_rss"]) + int(counts.get("total_shmem", 0))) / MB)

    def _held(self, place: Path, job: Used) -> Iterator[int]:
        """Yield the resident bytes of each process of a job; Slurm's own daemon is not of the job.

        Nor is a child that has not started its program yet: it holds no memory of its own, though it is counted.
        """
        pids = [pid for file in place.rglob("cgroup.procs") for pid in file.read_text().split()]
        words = {pid: found for pid in pids if (found := _words(pid)) is not None and not found.startswith("slurmstepd")}
        for pid, said in words.items():
            if match := _RULE.search(said):
                job.rule, job.wildcards = match[1], match[2]
            with contextlib.suppress(OSError):
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                if words.get(fields[1]) != said:
                    yield int(fields[21]) * mmap.PAGESIZE


def _words(pid: str) -> str | None:
    """Return the command line of a process; None if it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    except OSError:
        return None


def table(jobs: Iterable[Used], limits: dict[int, float]) -> str:
    """Return, per rule, the memory of the job with the least to spare and of that with the most, and the longest time.

    Parameters
    ----------
    jobs
        What was measured.
    limits
        Minutes that each job asked for, by its number.
    """
    by_rule = defaultdict(list)
    for job in jobs:
        by_rule[job.rule or "?"].append(job)
    lines = ["rule             jobs  asked   used  ratio  least  charged  script  longest    limit"]
    for rule, found in sorted(by_rule.items()):
        tight = max(found, key=lambda job: job.used_mb / job.asked_mb)
        loose = min(found, key=lambda job: job.used_mb / job.asked_mb)
        slow = max(found, key=lambda job: job.seconds)
        mark = " " if loose.used_mb * 3 >= loose.asked_mb and tight.used_mb <= tight.asked_mb else "*"
        lines.append(
            f"{rule:<16}{len(found):>5}{tight.asked_mb:>7.0f}{tight.used_mb:>7.0f}{tight.used_mb / tight.asked_mb:>7.2f}"
            f"{loose.used_mb / loose.asked_mb:>7.2f}{mark}{tight.charged_mb:>8.0f}{tight.script_mb:>8.0f}"
            f"{slow.seconds:>7.1f} s{limits.get(slow.job, 0):>5.0f} min"
        )
    return "\n".join(lines)
