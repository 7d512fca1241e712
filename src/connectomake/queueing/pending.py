"""The missing outputs of a rule, as Snakemake finds them, so that a queue holds exactly what a run would make."""

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import connectomake
from connectomake.errors import ConfigError, QueueError
from connectomake.pipeline.registry import Stages
from connectomake.planning.plan import Plan
from connectomake.queueing.task import Task

TRIGGERS = ("mtime", "params", "input")
_LISTER = "workflow/list_jobs.py"


@dataclass(frozen=True, slots=True)
class PendingTasks:
    """The missing targets of a rule.

    Parameters
    ----------
    tasks
        Those whose inputs are there.
    waiting
        How many others there are.
    before
        Of those others, how many wait for a rule, by the rule's name.
    """

    tasks: list[Task]
    waiting: int
    before: dict[str, int]


def find_workflow(folder: str | None = None) -> Path:
    """Return the folder of Snakefile and scripts: the one given, the working directory, or the checkout of the library.

    Raises
    ------
    ConfigError
        If there is none.
    """
    places = [Path(folder)] if folder else [Path.cwd(), Path(connectomake.__file__).resolve().parents[2]]
    for place in places:
        if (place / "Snakefile").is_file() and (place / _LISTER).is_file() and (place / "scripts").is_dir():
            return place.resolve()
    raise ConfigError(f"there is no connectomake workflow in {places[0]}; name a checkout of the repository: --workflow DIR")


def pending_tasks(
    rule: str,
    config: str,
    workflow: Path,
    storage: str | None = None,
    endpoint: str | None = None,
    options: list[str] | None = None,
) -> PendingTasks:
    """Ask Snakemake which jobs of a rule it would run.

    Parameters
    ----------
    rule
        Name of a rule that has a script.
    config
        The run's config.
    workflow
        See `find_workflow`.
    storage, endpoint
        Where the files lie, if not in the working directory.
    options
        More options and targets for Snakemake.

    Raises
    ------
    QueueError
        If there is no such rule, or Snakemake cannot plan the run.
    """
    with tempfile.TemporaryDirectory(prefix="connectomake-") as folder:
        out = Path(folder, "jobs.json")
        command = [sys.executable, str(workflow / _LISTER), str(out), rule, "--snakefile", str(workflow / "Snakefile")]
        command += [*(options or []), "--configfile", config, *_storage_options(storage, endpoint)]
        command += ["--quiet", "rules", "--rerun-incomplete", "--rerun-triggers", *TRIGGERS]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode or not out.exists():
            raise QueueError(f"snakemake cannot plan the run: {_last_lines(done.stderr or done.stdout)}")
        found = json.loads(out.read_text())
    if found["script"] is None:
        raise QueueError(f"there is no rule {rule!r} that a worker can run; rules are {', '.join(found['rules'])}")
    fingerprints = _Fingerprints(Plan.from_json(json.loads(json.dumps(found["plan"]))))
    common = {"rule": rule, "script": found["script"], "plan": found["plan"], "storage": storage, "endpoint": endpoint}
    tasks = [Task(**common, **job, fingerprint=fingerprints.get(job["stage"])) for job in found["ready"]]
    return PendingTasks(tasks, found["waiting"], found["missing"])


class _Fingerprints:
    def __init__(self, plan: Plan) -> None:
        self._stages = Stages(plan)

    def get(self, stage: str | None) -> str | None:
        return None if stage is None else self._stages.fingerprint(stage)


def _storage_options(storage: str | None, endpoint: str | None) -> list[str]:
    if storage is None:
        return []
    scheme, _, place = storage.partition("://")
    if scheme == "file":
        return ["--directory", place]
    provider = {"gs": "gcs"}.get(scheme, scheme)
    url = ["--storage-s3-endpoint-url", endpoint] if endpoint and provider == "s3" else []
    return ["--default-storage-provider", provider, "--default-storage-prefix", storage, *url]


def _last_lines(text: str) -> str:
    """Return the error in what Snakemake printed, on one line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    starts = [i for i, line in enumerate(lines) if "Error" in line or "error" in line]
    words: Any = lines[starts[0] :] if starts else lines[-3:]
    return " ".join(words)[:600] or "no reason given"
