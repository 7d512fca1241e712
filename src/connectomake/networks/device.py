"""The device on which a network runs, and what is fixed before it does: threads, algorithms, memory."""

import ctypes
import os

import torch

from connectomake.errors import ModelError

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
"""Of glibc's mallopt, malloc.h."""
_NEVER_TRIM = 0x7FFFFFFF


def prepare_device(name: str, threads: int, key: str) -> torch.device:
    """Fix threads and deterministic algorithms, and return the device to run on.

    Parameters
    ----------
    name
        'auto' (a CUDA device if there is one), 'cpu', 'cuda' or 'cuda:N'.
    threads
        On the CPU.
    key
        Of the config, for the message.

    Raises
    ------
    ModelError
        If the config asks for a device that is not there.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # else 40 % of a pass
    torch.backends.cudnn.benchmark = False
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise ModelError(f"{key} is {name!r}, but torch finds no CUDA device here: use cpu or auto")
    if name == "cpu":
        keep_freed_memory()
    return torch.device(name)


def keep_freed_memory() -> bool:
    """Let this process keep the memory that tensors leave for those that follow; return whether it can.

    A C library that gives each large tensor fresh pages and returns them to the kernel has these zeroed every time, which is
    a quarter of a forward pass of a patch of 128³. Only glibc is told; elsewhere nothing is done.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # not glibc
        return False
    return bool(mallopt(_M_MMAP_MAX, 0) and mallopt(_M_TRIM_THRESHOLD, _NEVER_TRIM))


def gpu_name(name: str) -> str | None:
    """Return what the GPU is called that a device of this name, as of `prepare_device`, would be; None if it is the CPU."""
    if name == "cpu" or not torch.cuda.is_available():
        return None
    return str(torch.cuda.get_device_name("cuda" if name == "auto" else name))
