"""A job's resources as options of ``sbatch``."""

import math
import re
import shlex
from typing import Any

OURS = re.compile(
    r"-[JoaWDMQ].*|--(job-name|output|array|wait|chdir|clusters|quiet|comment|parsable|wrap|test-only|export|export-file|requeue)"
)
_GRES = re.compile(r"[\w.-]+(:[\w.-]+)?(:\d+[KMGT]?)?(,[\w.-]+(:[\w.-]+)?(:\d+[KMGT]?)?)*")


class BadRequestError(Exception):
    """A resource that cannot be asked for; the message says which and what to do."""


def options_of(job: Any) -> tuple[str, ...]:
    """Return the options of ``sbatch`` for what a job asks for.

    Parameters
    ----------
    job
        Snakemake's: its ``resources`` and ``threads``.

    Raises
    ------
    BadRequestError
        If a resource is of the wrong kind or not supported.
    """
    get = job.resources.get
    refuse_clusters(get)
    return (*_place(get), *_size(get), *_processors(job, get), *_gpus(get), *_extra(get))


def refuse_clusters(get: Any) -> None:
    """Raise an error where a job, whose resources are `get`, asks for another Slurm cluster than that of the run."""
    for name in ("cluster", "clusters", "slurm_cluster"):
        if get(name):
            raise BadRequestError(
                f"the resource {name}={get(name)} is not supported: a run has one Slurm cluster; leave it out and start the "
                "run on a login node of that cluster"
            )


def _place(get: Any) -> list[str]:
    """Account (the first, if there are several), partition, quality of service, reservation, features of nodes."""
    accounts = re.split(r"[,\s]+", str(get("slurm_account") or "").strip())
    named = [("account", accounts[0]), ("partition", get("slurm_partition")), ("reservation", get("reservation"))]
    options = [f"--{name}={value}" for name, value in named if value]
    return options + [f"--{name}={get(name)}" for name in ("qos", "constraint") if get(name) not in (None, "")]


def _size(get: Any) -> list[str]:
    options = []
    if get("runtime"):
        options.append(f"--time={max(1, math.ceil(_number(get, 'runtime')))}")
    if get("mem_mb_per_cpu"):
        options.append(f"--mem-per-cpu={math.ceil(_number(get, 'mem_mb_per_cpu'))}M")
    elif get("mem_mb"):
        options.append(f"--mem={math.ceil(_number(get, 'mem_mb'))}M")
    if get("nodes") is not None:
        options.append(f"--nodes={_positive(get, 'nodes')}")
    elif not get("mpi"):
        options.append("--nodes=1")  # a job is one process, whatever else it starts
    return options


def _processors(job: Any, get: Any) -> list[str]:
    on_gpu = _on_gpu(get)
    options = []
    if on_gpu:
        tasks = next((name for name in ("tasks_per_gpu", "tasks") if get(name) is not None), None)
        if tasks and _number(get, tasks) >= 1:
            options.append(f"--ntasks-per-gpu={_positive(get, tasks)}")
    elif get("tasks_per_node") is not None:
        options.append(f"--ntasks-per-node={_positive(get, 'tasks_per_node')}")
    else:
        options.append(f"--ntasks={_positive(get, 'tasks') if get('tasks') else 1}")
    name = "cpus_per_gpu" if on_gpu and get("cpus_per_gpu") and not get("cpus_per_task") else "cpus_per_task"
    count = int(_number(get, name)) if get(name) else int(job.threads)
    if count >= 0:  # below 0: the site wants none to be named
        options.append(f"--{name.replace('_', '-')}={max(1, count)}")
    return options


def _on_gpu(get: Any) -> bool:
    return bool(get("gpu") or get("gpu_model") or "gpu" in str(get("gres") or ""))


def _gpus(get: Any) -> list[str]:
    options = []
    if gres := get("gres"):
        if not _GRES.fullmatch(str(gres)):
            raise BadRequestError(f"gres={gres!r} is not a generic resource; write NAME, NAME:NUMBER or NAME:TYPE:NUMBER")
        options.append(f"--gres={gres}")
    if model := get("gpu_model"):
        options.append(f"--gpus={model}:{_positive(get, 'gpu') if get('gpu') else 1}")
    elif get("gpu"):
        options.append(f"--gpus={_positive(get, 'gpu')}")
    return options


def _extra(get: Any) -> list[str]:
    try:
        words = shlex.split(str(get("slurm_extra") or ""))
    except ValueError as error:
        raise BadRequestError(f"slurm_extra={get('slurm_extra')!r} cannot be read ({error}); quote it as in a shell") from None
    for word in words:
        if OURS.fullmatch(word.partition("=")[0]):
            raise BadRequestError(f"slurm_extra has {word!r}, which the run itself sets; leave it out")
    return words


def _number(get: Any, name: str) -> float:
    value = get(name)
    try:
        return float(value)
    except (TypeError, ValueError):
        raise BadRequestError(f"{name}={value!r} is not a number; correct the resource") from None


def _positive(get: Any, name: str) -> int:
    value = _number(get, name)
    if value < 1 or value != int(value):
        raise BadRequestError(f"{name}={get(name)!r} must be a whole number of 1 or more; correct the resource")
    return int(value)
