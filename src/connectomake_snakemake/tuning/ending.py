"""The exit of Snakemake: the memory of the graph of jobs is freed by the system all at once.

Python would take it apart object by object, a tenth of the time of a dry run; nothing in it has anything left to do.
"""

import atexit
import ctypes
import gc
from typing import Any


def leave(*kept: Any) -> None:
    """Keep objects, and all that they hold, beyond the end of Python."""
    gc.freeze()  # not looked through for what can go
    for one in kept:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(one))


def leave_at_end(*kept: Any) -> None:
    """Do so at the end, once all has been written that is to be written."""
    atexit.register(leave, *kept)
