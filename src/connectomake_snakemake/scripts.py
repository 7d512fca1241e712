"""Scripts that the head runs itself start in forks of a process that has imported the library (docs/decisions/0011).

``CONNECTOMAKE_PREFORK=0`` turns it off; jobs in conda environments or containers start as ever.
"""

import os
import sys
from typing import Any

from connectomake.compiled import use_cache_of_this_source
from connectomake.forking.scripts import forked
from connectomake.forking.server import Server
from connectomake_snakemake.replaced import replace

LOOKS_ONLY = {"-n", "--dry-run", "--dryrun", "--lint", "--dag", "--rulegraph", "--filegraph", "--summary"}


def fork_scripts(workflow: Any, logger: Any) -> None:
    """Run Python scripts in forks; for a failed one, the error in its log is printed, wherever it runs."""
    server = None
    if workflow.is_main_process and os.environ.get("CONNECTOMAKE_PREFORK", "1") != "0":
        server = Server("connectomake.preload")
        if LOOKS_ONLY.isdisjoint(sys.argv):
            use_cache_of_this_source()  # of the server, and of scripts that start without it
            server.start()
    replace({"snakemake.script:PythonScript.execute_script": lambda own: forked(server, own, logger.warning)}, logger.warning)
