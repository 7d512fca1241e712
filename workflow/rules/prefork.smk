# Requires: nothing. Makes: scripts that the head runs itself start in forks of a server that has the library imported already.
# CONNECTOMAKE_PREFORK=0 turns it off; jobs in conda environments or containers start as ever.
import os
import subprocess
import sys
import threading
import time

from snakemake.script import PythonScript

from connectomake.prefork import Server

LOOKS_ONLY = {
    "-n",
    "--dry-run",
    "--dryrun",
    "--lint",
    "--dag",
    "--rulegraph",
    "--filegraph",
    "--summary",
}


def prefork(server, execute_script):
    """Wrap Snakemake's way to run a Python script."""

    def run(self, fname, edit=False):
        if edit or self.conda_env or self.container_img or self.env_modules:
            return execute_script(self, fname, edit)
        began = time.time()
        try:
            ended = server.run(fname)
        except ConnectionError as error:
            logger.warning(f"{error}; starting Python for {fname} instead")
            return execute_script(self, fname, edit)
        if self.bench_record is not None:
            note(self.bench_record, time.time() - began, ended)
        if ended.code:
            raise subprocess.CalledProcessError(ended.code, f"python {fname}")

    return run


def note(record, seconds, ended):
    """Fill a benchmark record with what the kernel measured; Snakemake's own way looks at the process twice a second."""
    record.running_time, record.data_collected = seconds, True
    record.max_rss, record.io_in, record.io_out = (
        ended.rss_mb,
        ended.read_mb,
        ended.written_mb,
    )
    record.cpu_time, record.cpu_usage = ended.cpu_s, 100 * ended.cpu_s


def end_without_waiting():
    """Cancel the scheduler's timers, which would hold an ended run for a second."""
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.cancel()


if workflow.is_main_process and os.environ.get("CONNECTOMAKE_PREFORK", "1") != "0":
    script_server = Server()
    PythonScript.execute_script = prefork(script_server, PythonScript.execute_script)
    if LOOKS_ONLY.isdisjoint(sys.argv):
        script_server.start()


onsuccess:
    leave_records()
    end_without_waiting()


onerror:
    end_without_waiting()
