# Requires: nothing. Makes: a job on Slurm starts Snakemake without plugins that it does not need (docs/decisions/0023-one-start.md).
import shlex
import sys
from pathlib import Path

if workflow.is_main_process and "snakemake_executor_plugin_sbatch" in sys.modules:
    here = Path(workflow.current_basedir.get_path_or_uri(secret_free=True))
    sys.modules["snakemake_executor_plugin_sbatch"].Executor.starter = shlex.quote(
        str(here.parent / "start_job.py")
    )
