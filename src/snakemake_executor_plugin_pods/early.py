"""Changes that must be made before Snakemake reads a config.

Snakemake imports every executor plugin at each start, before it opens the workflow or its configs; no other code of ours runs
so early. ``--configfile`` takes all names that follow it, so a target typed after it is read as a config, and Snakemake ends
with a traceback. Replaced here: ``snakemake.settings.types.load_configfile`` (tried with Snakemake 9.27).
"""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

from snakemake_interface_common.exceptions import WorkflowError


def explained(load: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Wrap the function that reads a config: what it cannot read is named, with the way out.

    Raises
    ------
    WorkflowError
        If the file is not there, or is no YAML or JSON.
    """

    def read(path: Any) -> Any:
        try:
            return load(path)
        except FileNotFoundError as error:
            raise WorkflowError(f"there is no config {path}; {_way_out(path)}") from error
        except (OSError, ValueError, WorkflowError) as error:
            reason = getattr(error, "strerror", None) or str(error).strip().split("\n")[0]
            raise WorkflowError(f"{path} cannot be read as a config ({reason}); {_way_out(path)}") from error

    return read


def _way_out(path: Any) -> str:
    place = shlex.quote(str(Path(path)))
    return f"if it is a target, put -- before it, for --configfile takes all names that follow: --configfile CONFIG -- {place}"


def replace() -> None:
    """Put `explained` in place; a Snakemake without that name is left as it is."""
    from snakemake.settings import types

    load = getattr(types, "load_configfile", None)
    if load is not None and getattr(load, "__module__", None) != __name__:
        types.load_configfile = explained(load)
