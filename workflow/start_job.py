"""Start Snakemake for one job of a cluster with no plugins but those that the job needs.

    python workflow/start_job.py -m snakemake …

Snakemake imports every plugin that is installed at each start; the clusters' own (pandas, Kubernetes' client) take half a
second of CPU time, and a job submits nothing. The head puts this program before the command of each job, see
connectomake_snakemake.cluster. So do clients of stores that the reader of Snakefiles could read from (a job's lie on a disk,
or were brought there), what writes reports, and what reads notebooks.
"""

import pkgutil
import sys
from collections.abc import Iterator
from types import ModuleType

NEVER = "snakemake_executor_plugin_"
UNLESS_NAMED = "snakemake_storage_plugin_"
NOT_HERE = ("smart_open.azure", "smart_open.gcs", "smart_open.s3", "smart_open.ssh", "snakemake.report.html_reporter")


def needed(name: str, words: list[str]) -> bool:
    """Return whether a job with these options may need a module."""
    if name.startswith(UNLESS_NAMED):
        plugin = name.removeprefix(UNLESS_NAMED).replace("_", "-")
        return plugin in words or any(word.startswith(f"--storage-{plugin}-") for word in words)
    return not name.startswith(NEVER)


def modules(words: list[str]) -> Iterator[pkgutil.ModuleInfo]:
    """List the modules that can be imported, as `pkgutil.iter_modules` does, without plugins that are not needed."""
    return (module for module in everything() if needed(module.name, words))


def leave_out(loaded: dict[str, ModuleType]) -> None:
    """Make the import of such modules fail where Snakemake goes on without them, and be empty where it does not."""
    loaded.update(dict.fromkeys(NOT_HERE, None))  # type: ignore[arg-type]
    loaded["nbformat"] = ModuleType("nbformat")


everything = pkgutil.iter_modules

if __name__ == "__main__":
    sys.argv[1:] = sys.argv[3:]
    leave_out(sys.modules)
    pkgutil.iter_modules = lambda *args: everything(*args) if args else modules(sys.argv)
    from snakemake.cli import main

    main()
