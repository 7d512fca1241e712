# Requires: nothing. Makes: scripts that the head runs itself start in forks of a server that has the library imported already.
# CONNECTOMAKE_PREFORK=0 turns it off; jobs in conda environments or containers start as ever.
import os
import sys
import threading

from snakemake.script import PythonScript

from connectomake.forking.scripts import forked
from connectomake.forking.server import Server

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


def end_without_waiting():
    """Cancel the scheduler's timers, which would hold an ended run for a second."""
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.cancel()


script_server = None
if workflow.is_main_process and os.environ.get("CONNECTOMAKE_PREFORK", "1") != "0":
    script_server = Server("connectomake.preloaded")
    if LOOKS_ONLY.isdisjoint(sys.argv):
        script_server.start()
PythonScript.execute_script = forked(
    script_server, PythonScript.execute_script, logger.warning
)
