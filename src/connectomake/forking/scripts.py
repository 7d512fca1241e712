"""Snakemake's scripts run in forks of a server; for a failed one, the error in its log is printed.

Nothing here imports Snakemake: what runs a script is handed over, and any object with the same attributes will do.
"""

import signal
import subprocess
import time
from collections.abc import Callable
from typing import Any

from connectomake.forking import last_file
from connectomake.forking.fork import ExitStatus
from connectomake.forking.logs import last_error
from connectomake.forking.server import Server

Execute = Callable[..., Any]


class JobFailedError(Exception):
    """A script ended with an error; the text is the sentence in its log, and where the log lies."""


def forked(server: Server | None, execute_script: Execute, warn: Callable[[str], object]) -> Execute:
    """Wrap Snakemake's way to run a Python script, ``PythonScript.execute_script``.

    Parameters
    ----------
    server
        Runs the scripts; those of jobs in conda environments or containers, and all where it is None or gone, start as ever.
    execute_script
        Snakemake's own method.
    warn
        Gets a sentence when the server is gone.
    """

    def run(script: Any, path: str, edit: bool = False) -> None:
        log = str(script.log[0]) if script.log else None
        if server is not None and not (edit or script.conda_env or script.container_img or script.env_modules):
            began = time.time()
            try:
                ended = server.run(path)
            except ConnectionError as error:
                warn(f"{error}; starting Python for {path} instead")
            else:
                if script.bench_record is not None:
                    _note(script.bench_record, time.time() - began, ended)
                if ended.code:
                    raise JobFailedError(failure(ended.code, log))
                return
        with last_file.shared_page(path) as page:
            try:
                execute_script(script, path, edit)
            except subprocess.CalledProcessError as error:
                last_file.report_signal(page, error.returncode)
                raise JobFailedError(failure(error.returncode, log)) from None

    return run


def _note(record: Any, seconds: float, ended: ExitStatus) -> None:
    """Fill a benchmark record with what the kernel measured; Snakemake's own way looks at the process twice a second."""
    record.running_time, record.data_collected = seconds, True
    record.max_rss, record.io_in, record.io_out = ended.rss_mb, ended.read_mb, ended.written_mb
    record.max_uss = max(ended.rss_mb - ended.inherited_mb, 0.0)
    record.cpu_time, record.cpu_usage = ended.cpu_s, 100 * ended.cpu_s


def failure(code: int, log: str | None) -> str:
    """Return in one sentence why a script failed.

    Parameters
    ----------
    code
        Its exit code; minus the number of the signal that ended it.
    log
        Path of its log, whose last error is quoted: that of a script which a signal ended is from the process above.

    Examples
    --------
    >>> failure(-9, None)
    'the job was ended by SIGKILL: most likely it ran out of memory, or someone killed it'
    """
    text = last_error(log)
    if text is None and code < 0:
        name = signal.Signals(-code).name
        why = ": most likely it ran out of memory, or someone killed it" if -code == signal.SIGKILL else ""
        text = f"the job was ended by {name}{why}"
    elif text is None:
        text = f"the script ended with exit code {code}"
    return f"{text} (log: {log})" if log else text
