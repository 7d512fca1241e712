"""Writes the jobs that Snakemake would run for pinned configs: each in a fork of this process, which has loaded Snakemake once.

    python -m tests.pins.dag FOLDER NAME ...

leaves FOLDER/NAME.json. Each fork works in an empty folder; the head takes the case's plan instead of opening a source.
"""

import importlib.util
import json
import os
import sys
import traceback
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import yaml
from snakemake.cli import main
from snakemake.dag import DAG

from connectomake.planning import resolve
from connectomake.planning.plan import Plan
from tests.pins.cases import ROOT, Case, cases

TARGETS = ("all", "kept", "reports")
RESOURCES = ("mem_mb", "runtime", "gpu")
ATTEMPTS = (1, 2, 3)


def job_values(job: Any) -> dict[str, Any]:
    """What is pinned of a job: plain values."""
    return {
        "wildcards": job.wildcards_dict,
        "input": _named(job.input),
        "output": _named(job.output),
        "temp": [str(path) for path in job.output if path.flags.get("temp")],
        "log": [str(path) for path in job.log],
        "benchmark": str(job.benchmark) if job.benchmark else None,
        "threads": job.threads,
        "params": {name: str(value) for name, value in job.params.items()},
        "resources": _resources(job),
    }


def _resources(job: Any) -> dict[str, Any]:
    return {name: job.resources[name] for name in RESOURCES if name in job.resources.keys()}  # noqa: SIM118  (no mapping)


def cluster_resources(dag: SimpleNamespace) -> Any:
    """What the first job of each rule asks a cluster for, at each attempt."""
    type(dag.workflow).local_exec = False
    found = {}
    for job in dag.jobs:
        if job.rule.name not in found and "mem_mb" in _resources(job):
            found[job.rule.name] = [_resources_at(job, attempt) for attempt in ATTEMPTS]
    return found


def _resources_at(job: Any, attempt: int) -> Any:
    job.attempt = attempt
    return _resources(job)


def _named(values: Any) -> dict[str, Any]:
    """Names of the list's parts, and its files in order."""
    return {"files": [str(value) for value in values], "names": dict(values._get_names())}


def jobs_of(dag: Any) -> Any:
    """All jobs of a DAG, by rule."""
    found: dict[Any, Any] = {}
    for job in sorted(dag.jobs, key=lambda job: (job.rule.name, str((list(job.output) or [""])[0]))):
        found.setdefault(job.rule.name, []).append(job_values(job))
    return found


def queued(dag: Any) -> dict[str, Any]:
    """What `connectomake queue fill` would find of each rule."""
    spec = importlib.util.spec_from_file_location("list_jobs", ROOT / "workflow/list_jobs.py")
    assert spec
    assert spec.loader
    lister = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(lister)
    return {
        rule: lister.listing(dag, rule) | {"plan": None} for rule in sorted({r.name for r in dag.workflow.rules if r.script})
    }


def write_jobs(out: Any, plan: Any) -> None:
    """Write the jobs of the run in the working directory: in place of Snakemake's summary."""

    async def summary(dag: Any, detailed: bool = False) -> AsyncIterator[Any]:
        found = {"jobs": jobs_of(dag), "queue": queued(dag), "local": sorted(dag.workflow._localrules)}
        out.write_text(json.dumps({**found, "cluster": cluster_resources(dag)}))
        yield "done"

    DAG.summary = summary
    os.environ["CONNECTOMAKE_PREFORK"] = "0"  # no script is run: no server for them
    resolve.prepare_plan = lambda config: _leave(resolve.plan_path(config), plan)
    main(["-s", str(ROOT / "Snakefile"), "--configfile", "config.yaml", "--cores", "64", "--summary", "--", *TARGETS])


def _leave(path: str, plan: Plan) -> None:
    Path(path).parent.mkdir(exist_ok=True)
    Path(path).write_text(json.dumps({"plan": plan.to_json()}))


def run(folder: Path, name: str, case: Case) -> int:
    """Write the jobs of a config, in a child of this process; its exit code is that of Snakemake."""
    place = folder / name
    place.mkdir()
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    code = 1
    try:
        os.chdir(place)
        Path("config.yaml").write_text(yaml.safe_dump(case.config))
        write_jobs(folder / f"{name}.json", case.plan())
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(int(code))


if __name__ == "__main__":
    known, folder = cases(), Path(sys.argv[1]).resolve()
    sys.exit(max(run(folder, name, known[name]) for name in sys.argv[2:]))
