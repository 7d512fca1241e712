"""Loaded by every Python that is started with this folder on PYTHONPATH: notes at its end what the process took.

One JSON file per process in the folder named by CONNECTOMAKE_PROBE: rule (of a script that Snakemake runs, also in a fork that
ends by `os._exit`), peak memory, CPU and wall time, and which heavy packages were loaded. Peak memory is VmHWM, which begins
anew with each program; `getrusage` would count the memory of the process that started it.
"""

import atexit
import os
import sys
import time

_STARTED = time.time()
_HEAVY = ("torch", "cloudvolume", "snakemake")


def _peak_mb() -> float:
    with open("/proc/self/status") as file:  # noqa: PTH123  (pathlib is not loaded for a measurement)
        lines = [line for line in file if line.startswith("VmHWM")]
    return int(lines[0].split()[1]) / 1024


def _rule_of(script: str) -> str | None:
    """Return the name in .snakemake/scripts/tmpXXXX.NAME.py, which is that of the rule."""
    return script.rsplit(".", 2)[-2] if "/.snakemake/scripts/" in script else None


def _note(folder: str) -> None:
    import json

    job = getattr(sys.modules["__main__"], "snakemake", None)
    times = os.times()
    note = {
        "rule": getattr(job, "rule", None) or _rule_of(sys.argv[0]),
        "mem_mb": getattr(getattr(job, "resources", None), "mem_mb", None),
        "argv": sys.argv,
        "peak_mb": _peak_mb(),
        "cpu_s": times.user + times.system,
        "children_s": times.children_user + times.children_system,
        "started": _STARTED,
        "wall_s": time.time() - _STARTED,
        "loaded": [name for name in _HEAVY if name in sys.modules],
    }
    with open(f"{folder}/{os.getpid()}-{_STARTED:.6f}.json", "w") as file:  # noqa: PTH123
        json.dump(note, file)


def _begin() -> None:
    global _STARTED  # noqa: PLW0603  (a fork begins anew)
    _STARTED = time.time()


def _noting(leave):  # type: ignore[no-untyped-def]
    def exit_now(code: int) -> None:
        if _rule_of(sys.argv[0]):
            _note(os.environ["CONNECTOMAKE_PROBE"])
        leave(code)

    return exit_now


if os.environ.get("CONNECTOMAKE_PROBE"):
    atexit.register(_note, os.environ["CONNECTOMAKE_PROBE"])
    os.register_at_fork(after_in_child=_begin)
    os._exit = _noting(os._exit)  # type: ignore[no-untyped-call]
