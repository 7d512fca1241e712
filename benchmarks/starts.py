"""Start of one job of each rule on a cluster, for volumes of 10³ to 10⁶ blocks: CPU time and peak memory of its Snakemake.

Of each rule that job is started which has most inputs, with the words that an executor gives it, as a dry run: the script is
what is left out. Volumes are Zarr arrays without data; every stage is on, with a further threshold, skeletons, scores and
reports. A row of a size is that of its slowest or largest rule; all figures are in the JSON.
"""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from benchmarks.flow import fresh_folder
from benchmarks.flow import run as run_command
from benchmarks.machine import ROOT
from benchmarks.rows import Row
from connectomake.config import load_config
from connectomake.planning.plan import Plan
from connectomake.planning.resolve import plan_path, prepare_plan
from connectomake.planning.scales import Scales
from connectomake.planning.skeletons import Skeletons

GRIDS = {"10³": (10, 10, 10), "10⁴": (25, 20, 20), "10⁵": (50, 50, 40), "10⁶": (100, 100, 100)}
BLOCK = 512
MOST_SECONDS = 2.0
MOST_MB = 150.0
OPTIONS = (
    "--cores 1 --attempt 1 --force-use-threads --force --target-files-omit-workdir-adjustment --max-inventory-time 0 "
    "--retries 0 --nocolor --no-hooks --nolock --ignore-incomplete --rerun-triggers mtime params input --scheduler greedy "
    "--mode remote -n"
)


def run() -> dict[str, Any]:
    """Start a job of each rule at each size."""
    rows: list[Row] = []
    figures: dict[str, dict[str, dict[str, float]]] = {}
    for size in os.environ.get("CONNECTOMAKE_SIZES", " ".join(GRIDS)).split():
        folder = fresh_folder("starts")
        plan = prepare(folder, GRIDS[size])
        figures[size] = {rule: start(folder, rule, wildcards) for rule, wildcards in jobs(plan)}
        rows += rows_of(size, figures[size])
    return {"title": "Start of a job on a cluster", "starts": figures, "rows": rows}


def rows_of(size: str, figures: dict[str, dict[str, float]]) -> Iterator[Row]:
    """Return the most CPU time and memory of a size, with their rules."""
    for key, unit, limit, what in (("cpu_s", "s", MOST_SECONDS, "CPU time"), ("peak_mb", "MB", MOST_MB, "peak memory")):
        worst = max(figures, key=lambda rule: figures[rule][key])
        yield Row(f"{size} blocks, start of {worst}: {what}", figures[worst][key], unit, limit=limit)


def prepare(folder: Path, blocks: tuple[int, int, int]) -> Plan:
    """Write arrays without data, a config with every stage, and its plan."""
    shape = [BLOCK * n for n in blocks]
    for name, dtype in (("image", "|u1"), ("labels", "<u8")):
        write_zarr(folder / f"{name}.zarr", shape, dtype)
    (folder / "config.yaml").write_text(yaml.safe_dump(config_of()))
    before = Path.cwd()
    os.chdir(folder)
    try:
        config = load_config("config.yaml")
        prepare_plan(config)
        return Plan.from_json(json.loads(Path(plan_path(config)).read_text())["plan"])
    finally:
        os.chdir(before)


def write_zarr(path: Path, shape: list[int], dtype: str) -> None:
    """Write the metadata of a Zarr array that has no chunk."""
    path.mkdir()
    meta = {"zarr_format": 2, "shape": shape, "chunks": [128] * 3, "dtype": dtype, "compressor": None, "fill_value": 0}
    (path / ".zarray").write_text(json.dumps(meta | {"order": "C", "filters": None}))


def config_of(**changes: Any) -> dict[str, Any]:
    """Return the demo's config, as it is shipped, for large blocks of another source, with all that it leaves out."""
    config: dict[str, Any] = yaml.safe_load((ROOT / "config.yaml").read_text())
    source = {"voxel_size": [8, 8, 8], "missing": "fill"}
    config |= {"outdir": "results", "source": {"path": "image.zarr", **source}, "block": [BLOCK] * 3}
    config["inference"] |= {name: str(ROOT / config["inference"][name]) for name in ("model", "weights")}
    config["meshes"] |= {"cell": [128] * 3}
    config["skeletons"] |= {"enabled": True}
    config["evaluation"] = {"ground_truth": "labels.zarr", "missing": "fill"}
    config["report"] |= {"enabled": True}
    return config | changes


def jobs(plan: Plan) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield of each rule the wildcards of a job with as many inputs as any."""
    middle = plan.grid.name(plan.grid.id_at(tuple(n // 2 for n in plan.grid.shape)))  # type: ignore[arg-type]
    low, top = plan.octree.parse(1, plan.octree.name(1, int(middle, 16) >> plan.octree.bits)), plan.octree.levels
    block, at = {"block": middle}, next(at for at in plan.thresholds if at)
    root, first = {"level": top, "node": plan.octree.name(top, 0)}, {"level": 1, "node": plan.octree.name(1, low)}
    image = plan.layers["image"].grid
    yield "image", {"block": image.name(image.ids_meeting(plan.read_box(int(middle, 16)))[0])}
    yield from (("affinity", block), ("components", block), ("ground_truth", block))
    yield from (("merge", root), ("merge", first), ("lookup", first))
    yield from ((rule, node | {"at": at}) for rule in ("agglomerate", "assign") for node in (root, first))
    yield from (("history", {"at": at}), ("segmentation", block | {"at": at}))
    for rule, tree in (("measures", plan.measure_tree), ("fragments", plan.mesh_tree), ("traces", Skeletons(plan).tree)):
        yield rule, {"node": tree.name(0, int(middle, 16) >> tree.group_bits)}
    for rule, tree in (("gather", plan.mesh_tree), ("gather_traces", Skeletons(plan).tree)):
        if tree.top:
            yield rule, {"level": tree.top, "node": tree.name(tree.top, 0)}
    yield from (
        ("meshes", {"number": plan.mesh_spec.sharding.hex(0)}),
        ("skeletons", {"number": Skeletons(plan).spec.sharding.hex(0)}),
    )
    yield from (("objects", {}), ("contingency", {"node": plan.octree.name(1, low)}), ("evaluation", {}), ("curve", {}))
    spec = Scales(plan).specs("segmentation")[-1]
    layer = {"layer": "segmentation"}
    yield from (("pyramid", layer | {"scale": spec.scale_key, "block": spec.grid.name(0)}), ("thumbnail", layer))
    yield from ((f"report_{name}", {}) for name in ("run", "blocks", "slices", "objects"))


def start(folder: Path, rule: str, wildcards: dict[str, Any]) -> dict[str, float]:
    """Start one job; its CPU seconds and peak memory in MB."""
    target = f"{rule}:{','.join(f'{k}={v}' for k, v in wildcards.items())}"
    plan = next((folder / ".connectomake").glob("plan-*.json")).relative_to(folder)
    words = [
        sys.executable,
        ROOT / "workflow/start_job.py",
        "-m",
        "snakemake",
        "--snakefile",
        ROOT / "Snakefile",
        "--target-jobs",
    ]
    words += [target, "--allowed-rules", rule, "--configfiles", "config.yaml", plan, *OPTIONS.split()]
    took = run_command(list(map(str, words)), folder, probe=True)
    (head,) = [note for note in took.notes if "snakemake" in note["loaded"]]
    return {"cpu_s": round(took.cpu, 3), "peak_mb": round(head["peak_mb"], 1)}
