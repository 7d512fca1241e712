"""List the jobs of one rule that Snakemake would run, as JSON: what `connectomake queue fill` puts into a queue.

    python workflow/list_jobs.py OUT RULE --snakefile Snakefile --configfile config.yaml [OPTIONS OF SNAKEMAKE]

It is `snakemake --summary` with another summary. So what is missing or outdated, and which files a job reads and writes, is
said in one place, the rules, and a new rule needs nothing here. Snakemake's notes on the listed jobs' files are dropped: they
refer to older files, and would call those that a worker makes outdated.
"""

import json
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from snakemake.cli import main

from connectomake_snakemake.replaced import instead, replace


def _name(path: Any, prefix: str) -> str:
    """Return a file's name as the rule has it: without the storage's prefix."""
    return str(path.storage_object.query).removeprefix(prefix) if getattr(path, "is_storage", False) else str(path)


def _names(values: Any, prefix: str) -> dict[str, Any]:
    """Return Snakemake's list with names as plain values: all items, and where each name starts and stops."""
    return {
        "items": [_name(v, prefix) for v in values],
        "names": {name: [start, stop] for name, (start, stop) in values._get_names()},
    }


def _stage(job: Any) -> str | None:
    """Return the stage that the rule's one param names, if it does."""
    try:
        return str(json.loads(job.params.stage)["stage"])
    except (AttributeError, ValueError, KeyError, TypeError):
        return None


def _entry(job: Any, prefix: str) -> dict[str, Any]:
    return {
        "wildcards": job.wildcards_dict,
        "input": _names(job.input, prefix),
        "output": _names(job.output, prefix),
        "log": [_name(path, prefix) for path in job.log],
        "benchmark": _name(job.benchmark, prefix) if job.benchmark else None,
        "threads": job.threads,
        "stage": _stage(job),
    }


def listing(dag: Any, rule: str) -> dict[str, Any]:
    """Return the jobs of a rule whose inputs are there, how many wait, and for which rules."""
    settings = dag.workflow.storage_settings
    prefix = f"{(settings.default_storage_prefix or '').rstrip('/')}/" if settings.default_storage_provider else ""
    script = next((r.script for r in dag.workflow.rules if r.name == rule), None)
    wanted = [job for job in dag.jobs if script and job.rule.name == rule and dag.needrun(job)]
    ready, waiting = [], 0
    missing: Counter[str] = Counter()
    for job in sorted(wanted, key=lambda job: job.output[0]):
        before = [other for other in dag.dependencies[job] if dag.needrun(other)]
        if before:
            waiting += 1
            missing.update({other.rule.name for other in before})
        else:
            ready.append(_entry(job, prefix))
            dag.workflow.persistence.cleanup(job)
    return {
        "rules": sorted(r.name for r in dag.workflow.rules if r.script),
        "script": Path(str(script)).name if script else None,
        "plan": dag.workflow.globals["plan"].to_json(),
        "ready": ready,
        "waiting": waiting,
        "missing": dict(missing),
    }


def put_in_place_of_summary(out: Path, rule: str) -> None:
    """Make Snakemake's summary write the listing to a file; end where it cannot be done."""

    async def summary(dag: Any, detailed: bool = False) -> AsyncIterator[str]:  # noqa: ARG001
        out.write_text(json.dumps(listing(dag, rule)))
        yield f"listed the jobs of {rule}"

    if not replace({"snakemake.dag:DAG.summary": instead(summary)}, lambda fault: print(fault, file=sys.stderr)):  # noqa: T201
        raise SystemExit(1)


if __name__ == "__main__":
    put_in_place_of_summary(Path(sys.argv[1]), sys.argv[2])
    main([*sys.argv[3:], "--summary"])
