"""What is pinned of a plan: asked of the library in its own process, and of Snakemake in another."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from typer.testing import CliRunner

from connectomake.atomic import canonical_json
from connectomake.cli.app import app
from connectomake.cli.tally import stage_files
from connectomake.planning import resolve
from connectomake.planning.demands import Demands
from connectomake.planning.infos import info_of
from connectomake.planning.opening import leave_plan
from connectomake.planning.scales import Scales
from connectomake.planning.skeletons import LAYER, Skeletons
from connectomake.planning.stages import REPORT, Stages
from connectomake.planning.targets import Targets
from connectomake.planning.times import SECONDS_PER_MB, SECONDS_PER_MEGAVOXEL
from connectomake.planning.took import PROCESS_MB
from connectomake.queueing.task import Task
from connectomake.verify import expected
from tests.pins.cases import ROOT

ATTEMPTS = (1, 2, 3)


def of_library(plan):
    """All that is pinned but Snakemake's jobs, as plain values."""
    return json.loads(json.dumps({
        "stages": stages_of(plan), "infos": {layer: info_of(plan, layer) for layer in _layers(plan)},
        "paths": paths(plan), "inputs": inputs(plan), "blocks": blocks(plan), "wholes": wholes(plan),
        "demands": demands(plan), "progress": stage_files(plan), "verify": verified(plan), "printed": printed(plan),
    }))  # fmt: skip


def stages_of(plan):
    """Params and fingerprints."""
    stages = Stages(plan)
    names = [*stages.names, REPORT]
    found = {name: {"param": json.loads(stages.param(name)), "fingerprint": stages.fingerprint(name)} for name in names}
    for name, value in found.items():
        if canonical_json(value["param"]) != stages.param(name):
            raise AssertionError(f"the param of {name} is no canonical JSON")
    return {"names": stages.names, **found}


def _layers(plan):
    further = [*(["segmentation/mesh"] if plan.meshes_enabled else []), *([LAYER] if Skeletons(plan).enabled else [])]
    return [*plan.layers, *further]


def _nodes(t):
    return list(t.nodes())


def paths(plan):
    """Names of files."""
    t, scales, skeletons = Targets(plan), Scales(plan), Skeletons(plan)
    grids = {layer: spec.grid for layer, spec in plan.layers.items()}
    found = {
        "scale": t.scale,
        "shard": {layer: [t.shard(layer, b) for b in grid.ids] for layer, grid in grids.items()},
        "tables": {layer: [t.tables(layer, b) for b in plan.grid.ids] for layer in ("components", *t.segmentations())},
        "info": [t.info(layer) for layer in plan.layers],
        "merge": [t.merge(*node) for node in _nodes(t)],
        "lookup": [t.lookup(*node) for node in _nodes(t)],
        "objects": [t.objects, t.properties],
        "measures": [t.measures(g) for g in plan.measure_tree.packs(0)],
        "contingency": [t.contingency(n) for n in t.contingency_nodes()] if plan.truth is not None else [],
        "evaluation": t.evaluation(),
        "curve": t.curve(),
        "reports": t.reports,
        "pyramids": {layer: [scales.shard(layer, i, b) for i, b in _scale_blocks(scales, layer)] for layer in scales.layers},
        "thumbnails": [scales.thumbnail(layer) for layer in scales.layers],
    }
    if plan.agglomerates:
        for at in plan.thresholds:
            found[f"agglomerate{at}"] = [t.agglomerate(*node, at) for node in _nodes(t)]
            found[f"assign{at}"] = [t.assign(*node, at) for node in _nodes(t)]
            found[f"history{at}"] = t.history(at)
    if plan.meshes_enabled:
        found |= {"packs": [t.pack(*p) for p in _packs(plan.mesh_tree)], "mesh_info": t.mesh_info, "meshes": t.mesh_shards()}
        for name in map(_stem, t.mesh_shards()):
            _same(t.mesh_shard(t.parse_mesh_shard(name)), f"{plan.outdir}/segmentation/mesh/{name}.shard")
    if skeletons.enabled:
        numbers = skeletons.numbers
        found |= {
            "traces": [skeletons.traces(*p) for p in _packs(skeletons.tree)],
            "skeletons": [skeletons.info, *map(skeletons.shard, numbers), *map(skeletons.lengths, numbers)],
        }
    return found


def _stem(path):
    return Path(path).name.removesuffix(".shard")


def _same(found, wanted):
    if found != wanted:
        raise AssertionError(f"{found} is not {wanted}")


def _packs(tree):
    return [(level, pack) for level in range(tree.top + 1) for pack in tree.packs(level)]


def _scale_blocks(scales, layer):
    return [(i, b) for i, spec in enumerate(scales.specs(layer)) if i for b in spec.grid.ids]


def inputs(plan):
    """What each file is made from."""
    t, scales, skeletons, ids = Targets(plan), Scales(plan), Skeletons(plan), plan.grid.ids
    found = {
        "affinity": [t.affinity_inputs(b) for b in ids] if "image" in plan.layers or plan.source.in_place else [],
        "components": [t.components_inputs(b) for b in ids],
        "merge": [t.merge_inputs(*node) for node in _nodes(t)],
        "lookup": [t.lookup_inputs(*node) for node in _nodes(t)],
        "segmentation": {at: [t.segmentation_inputs(b, at) for b in ids] for at in plan.thresholds},
        "final_lookup": {at: [t.final_lookup(*node, at) for node in _nodes(t)] for at in plan.thresholds},
        "measures": [t.group_inputs(plan.measure_tree, g) for g in plan.measure_tree.packs(0)],
        "objects": [t.objects_inputs(), t.first_objects_inputs()],
        "pyramids": {layer: [scales.inputs(layer, i, b) for i, b in _scale_blocks(scales, layer)] for layer in scales.layers},
        "thumbnails": [scales.thumbnail_inputs(layer) for layer in scales.layers],
        "closed": {at: [*t.all_closed(at), t.first_closed(at)] for at in plan.thresholds},
    }
    if plan.agglomerates:
        found["agglomerate"] = {at: [t.agglomerate_inputs(*node, at) for node in _nodes(t)] for at in plan.thresholds}
        found["assign"] = {at: [t.assign_inputs(*node, at) for node in _nodes(t)] for at in plan.thresholds}
    if plan.meshes_enabled:
        tree = plan.mesh_tree
        found["fragments"] = [t.fragments_inputs(g) for g in tree.packs(0)]
        found["gather"] = [t.gather_inputs(*p) for p in _packs(tree) if p[0]]
        found["meshes"] = t.top_packs()
    if skeletons.enabled:
        found["traces"] = [skeletons.blocks(g) for g in skeletons.tree.packs(0)]
        found["gather_traces"] = [skeletons.gather_inputs(*p) for p in _packs(skeletons.tree) if p[0]]
        found["skeletons"] = skeletons.top_traces()
    if plan.truth is not None:
        found["contingency"] = [t.contingency_inputs(n) for n in t.contingency_nodes()]
        found["evaluation"] = [*t.contingencies(), t.first_contingency()]
        found["curve"] = t.curve_inputs() if plan.curved else {}
    return found


def blocks(plan):
    """Which blocks and nodes are read."""
    t, ids = Targets(plan), plan.grid.ids
    found = {
        "image": [t.image_blocks(b) for b in ids] if "image" in plan.layers else [],
        "high": [t.high_blocks(b) for b in ids],
        "lower": [t.lower_blocks(n) for n in plan.octree.nodes(1)],
        "lookup_nodes": [t.lookup_nodes(n) for n in plan.octree.nodes(1)],
    }
    if plan.truth is not None:
        nodes = t.contingency_nodes()
        found |= {
            "evaluated": {str(n): [str(box) for box in t.evaluated(n)] for n in nodes},
            "contingency": [[t.contingency_blocks("segmentation", n), t.contingency_lookups(n)] for n in nodes],
        }
    return found


def wholes(plan):
    """Lists of all files of a kind."""
    t, scales, skeletons = Targets(plan), Scales(plan), Skeletons(plan)
    return {
        "final": t.final(), "kept": t.kept(), "infos": t.infos(),
        "reported": t.reported(), "wanted_reports": t.wanted_reports(),
        "segmentations": t.segmentations(), "all_measures": t.all_measures(), "all_merges": t.all_merges(),
        "skeletons": [*skeletons.final(), *skeletons.kept(), *skeletons.all_lengths(), *skeletons.shards()],
        "traces": skeletons.all_traces() if skeletons.enabled else [],
        "scales": [*scales.final(), *scales.shards(), *scales.keys],
    }  # fmt: skip


def demands(plan):
    """MB at each attempt, and minutes, of all stages that resources are named after and that the plan runs."""
    asked = Demands(plan)
    names = {*PROCESS_MB, *SECONDS_PER_MB, *SECONDS_PER_MEGAVOXEL} - {"watershed", "info"}
    left_out = {"traces", "gather_traces", "skeletons"} if not Skeletons(plan).enabled else set()
    values = {name: [*(asked.memory(name, n) for n in ATTEMPTS), *(asked.minutes(name, n) for n in ATTEMPTS)]
              for name in sorted(names - left_out)}  # fmt: skip
    return {name: "{}, {}, {} MB; {}, {}, {} min".format(*numbers) for name, numbers in values.items()}


def verified(plan):
    """Files that `connectomake verify` looks at, per stage."""
    found = {}
    for file in expected(plan):
        how = getattr(file.look, "func", file.look).__name__
        compare = file.compare and getattr(file.compare, "func", file.compare).__name__
        more = {"look": how, "recorded": file.recorded, "beside": file.beside, "compare": compare, "against": file.against}
        wanted = {"layer": file.layer, "block": file.block, "needed": file.needed, "spec": file.spec and file.spec.scale_key}
        values = {name: value for name, value in (more | wanted).items() if value}
        found.setdefault(file.stage, []).append(f"{file.path} {json.dumps(values)}")
    return found


def printed(plan):
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
        return {name: _call(arguments) for name, arguments in commands.items()}


def _call(arguments):
    runner = CliRunner(env=dict.fromkeys(("FORCE_COLOR", "TTY_COMPATIBLE", "COLUMNS")))
    done = runner.invoke(app, arguments, catch_exceptions=False)
    return [line.rstrip() for line in done.output.splitlines()]


@contextlib.contextmanager
def _resolved_as(plan):
    before, resolve.resolve = resolve.resolve, lambda config: plan
    try:
        yield
    finally:
        resolve.resolve = before


def of_snakemake(names):
    """Jobs of each config, as plain values; see `tests.pins.dag`."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "tests.pins.dag", folder, *names]
        places = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        env = os.environ | {"PYTHONPATH": places}
        done = subprocess.run(command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode:
            raise AssertionError(f"Snakemake could not plan the jobs:\n{done.stderr[-6000:]}")
        return {name: json.loads(Path(folder, f"{name}.json").read_text()) for name in names}


def jobs(plan, found):
    """What is pinned of Snakemake's jobs: per rule, one list for each thing; params by the name of the stage."""
    stages = Stages(plan)
    known = {stages.param(name): name for name in [*stages.names, REPORT]}
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
    return {"local": found["local"], "cluster": found["cluster"], "rules": rules, "queue": queue(plan, found["queue"])}


def _joined(files):
    names = ", ".join(f"{name} {start}:{'' if stop is None else stop}" for name, (start, stop) in files["names"].items())
    return f"{' '.join(files['files'])} ({names})"


def queue(plan, found):
    """Tasks that `connectomake queue fill` would put into a queue, and what waits, per rule."""
    return {
        rule: {
            "tasks": [canonical_json(_task(plan, rule, value["script"], job)) for job in value["ready"]],
            "waiting": value["waiting"],
            "missing": dict(sorted(value["missing"].items())),
        }
        for rule, value in found.items()
    }


def _task(plan, rule, script, job):
    fingerprint = job["stage"] and Stages(plan).fingerprint(job["stage"])
    task = Task(rule=rule, script=script, plan=plan.to_json(), **job, fingerprint=fingerprint)
    value = task.to_json()
    return {key: value[key] for key in value if key not in ("plan", "plan_hash", "version", "script")}
