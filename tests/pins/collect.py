"""What is pinned of a plan: asked of the library in its own process, and of Snakemake in another."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from connectomake.atomic import canonical_json
from connectomake.cli.app import app
from connectomake.pipeline.demands import Demands
from connectomake.pipeline.registry import Stages
from connectomake.pipeline.targets import Targets
from connectomake.planning import resolve
from connectomake.planning.infos import info_of
from connectomake.planning.opening import leave_plan
from connectomake.planning.plan import Plan
from connectomake.planning.skeletons import LAYER, Skeletons
from connectomake.queueing.task import Task
from connectomake.reporting.stage_files import stage_files
from connectomake.verify import expected
from tests.pins.cases import ROOT

ATTEMPTS = (1, 2, 3)


def of_library(plan: Plan) -> Any:
    """All that is pinned but Snakemake's jobs, as plain values."""
    return json.loads(json.dumps({
        "stages": stages_of(plan), "infos": {layer: info_of(plan, layer) for layer in _layers(plan)},
        "wholes": wholes(plan),
        "demands": demands(plan), "progress": {rule: list(files) for rule, files in stage_files(plan).items()},
        "verify": verified(plan), "printed": printed(plan),
    }))  # fmt: skip


def stages_of(plan: Plan) -> dict[str, Any]:
    """Params and fingerprints."""
    stages = Stages(plan)
    names = [*stages.names, "report"]
    found = {name: {"param": json.loads(stages.param(name)), "fingerprint": stages.fingerprint(name)} for name in names}
    for name, value in found.items():
        if canonical_json(value["param"]) != stages.param(name):
            raise AssertionError(f"the param of {name} is no canonical JSON")
    return {"names": stages.names, **found}


def _layers(plan: Plan) -> list[str]:
    further = [*(["segmentation/mesh"] if plan.meshes_enabled else []), *([LAYER] if Skeletons(plan).enabled else [])]
    return [*plan.layers, *further]


def wholes(plan: Plan) -> dict[str, list[str]]:
    """Lists of all files of a kind, in order of their names: that of the stages may change."""
    t = Targets(plan)
    found = {"final": t.final(), "kept": t.kept(), "reported": t.reported(), "wanted_reports": t.wanted_reports()}
    if len(set(found["kept"])) != len(found["kept"]):
        raise AssertionError("a kept file is named twice")
    return {name: sorted(files) for name, files in found.items()}


def demands(plan: Plan) -> dict[str, str]:
    """MB at each attempt, and minutes, of all rules that the plan runs."""
    asked, names = Demands(plan), {rule.name for rule in Stages(plan).rules()}
    values = {name: [*(asked.memory(name, n) for n in ATTEMPTS), *(asked.minutes(name, n) for n in ATTEMPTS)]
              for name in sorted(names)}  # fmt: skip
    return {name: "{}, {}, {} MB; {}, {}, {} min".format(*numbers) for name, numbers in values.items()}


def verified(plan: Plan) -> dict[str, list[str]]:
    """Files that `connectomake verify` looks at, per stage."""
    found: dict[str, Any] = {}
    for file in expected(plan):
        compare = file.compare and getattr(file.compare, "func", file.compare).__name__
        more = {"recorded": file.recorded, "beside": file.beside, "compare": compare, "against": file.against}
        wanted = {"layer": file.layer, "block": file.block, "needed": file.needed, "spec": file.spec and file.spec.scale_key}
        values = {name: value for name, value in (more | wanted).items() if value}
        found.setdefault(file.stage, []).append(f"{file.path} {json.dumps(values)}")
    return {stage: sorted(lines) for stage, lines in sorted(found.items())}


def printed(plan: Plan) -> dict[str, list[str]]:
    """What commands print of the plan, in an empty folder with its plan."""
    middle = [str((a + b) // 2) for a, b in zip(plan.roi.start, plan.roi.stop, strict=True)]
    last = plan.grid.name(plan.grid.ids[-1])
    commands = {
        "plan": ["plan"], "plan --json": ["plan", "--json"], "where": ["where", *middle, plan.outdir],
        "block": ["block", last, plan.outdir], "progress": ["progress", plan.outdir],
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), _resolved_as(plan):
        Path(plan.outdir).mkdir(parents=True)
        leave_plan(plan)
        Path("config.yaml").write_text("outdir: out\n")
        found = {name: _call(arguments) for name, arguments in commands.items()}
    value = json.loads("\n".join(found["plan --json"]))
    value["rules"] = [rule for rule in value["rules"] if rule["jobs"]]  # whether rules without jobs are told says nothing
    found["plan --json"] = json.dumps(value, indent=1).splitlines()
    return found | {name: sorted(found[name]) for name in ("where", "block")}


def _call(arguments: list[str]) -> list[str]:
    runner = CliRunner(env=dict.fromkeys(("FORCE_COLOR", "TTY_COMPATIBLE", "COLUMNS")))
    done = runner.invoke(app, arguments, catch_exceptions=False)
    return [line.rstrip() for line in done.output.splitlines()]


@contextlib.contextmanager
def _resolved_as(plan: Plan) -> Iterator[None]:
    before = resolve.resolve
    resolve.resolve = lambda config, rule=None: plan
    try:
        yield
    finally:
        resolve.resolve = before


def of_snakemake(names: list[str]) -> dict[str, dict[str, Any]]:
    """Jobs of each config, as plain values; see `tests.pins.dag`."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "tests.pins.dag", folder, *names]
        places = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        env = os.environ | {"PYTHONPATH": places}
        done = subprocess.run(command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode:
            raise AssertionError(f"Snakemake could not plan the jobs:\n{done.stderr[-6000:]}")
        return {name: json.loads(Path(folder, f"{name}.json").read_text()) for name in names}


def jobs(plan: Plan, found: dict[str, Any]) -> dict[str, Any]:
    """What is pinned of Snakemake's jobs: per rule, one list for each thing; params by the name of the stage."""
    stages = Stages(plan)
    known = {stages.param(name): name for name in [*stages.names, "report"]}
    rules = {
        rule: {
            "wildcards": [json.dumps(job["wildcards"]) for job in entries],
            "input": [_joined(job["input"]) for job in entries],
            "output": [_joined(job["output"]) for job in entries],
            **{key: [job[key] for job in entries] for key in ("temp", "log", "benchmark", "threads", "resources")},
            "params": [{key: known.get(text, text) for key, text in job["params"].items()} for job in entries],
        }
        for rule, entries in found["jobs"].items()
    }
    return {
        "local": found["local"],
        "cluster": dict(sorted(found["cluster"].items())),
        "rules": rules,
        "queue": queue(plan, found["queue"]),
    }


def _joined(files: dict[str, Any]) -> str:
    """Files in order of their names: Snakemake compares them so, whatever the names of their parts."""
    return " ".join(sorted(files["files"]))


def queue(plan: Plan, found: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Tasks that `connectomake queue fill` would put into a queue, and what waits, per rule."""
    return {
        rule: {
            "tasks": [canonical_json(_task(plan, rule, value["script"], job)) for job in value["ready"]],
            "waiting": value["waiting"],
            "missing": dict(sorted(value["missing"].items())),
        }
        for rule, value in found.items()
    }


def _task(plan: Plan, rule: str, script: str, job: dict[str, Any]) -> dict[str, Any]:
    fingerprint = job["stage"] and Stages(plan).fingerprint(job["stage"])
    task = Task(rule=rule, script=script, plan=plan.to_json(), **job, fingerprint=fingerprint)
    value = task.to_json()
    for files in ("input", "output"):
        value[files] = sorted(value[files]["items"])
    return {key: value[key] for key in value if key not in ("plan", "plan_hash", "version", "script")}
