"""A whole small run, made by the scripts within this process: no Snakemake, no network."""

import copy
import runpy
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import yaml

from connectomake.jobs import Job
from connectomake.layers import read_box, write_block
from connectomake.planning.resolve import prepare_plan, resolve
from connectomake.planning.scales import Scales
from connectomake.planning.skeletons import LAYER, Skeletons
from connectomake.planning.stages import Stages
from connectomake.planning.targets import Targets

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"
MODEL = """import torch

InstantiatedModel = torch.nn.Sequential(torch.nn.Conv3d(1, 1, 1), torch.nn.Sigmoid())
InstantiatedModel[0].weight.data.fill_(8)
InstantiatedModel[0].bias.data.fill_(-4)
"""
CONFIG = {
    "outdir": "out",
    "source": {"path": "raw.h5", "dataset": "raw", "voxel_size": [20, 10, 10]},
    "block": [16, 16, 16],
    "chunk": [8, 8, 8],
    "inference": {"model": "model.py", "patch": [8, 12, 12], "overlap": [2, 4, 4], "device": "cpu"},
    "segmentation": {"threshold": 0.5, "min_size": 5},
    "meshes": {"cell": [8, 8, 8]},
    "merge": {"fan_out": 4},
    "keep": ["image", "affinity", "fragments"],
    "evaluation": {"ground_truth": "truth.h5", "dataset": "labels", "start": [1, 0, 3], "worst": 3},
    "pyramid": {"scales": 1},
}
SHAPE = (20, 24, 40)
NETWORK = {"torch": "2.13.0", "device": "cpu", "isa": "AVX2", "device_name": "cpu"}


def write_inputs(folder, config=CONFIG, shape=SHAPE, seed=0):
    """Write the image, the model and the config."""
    noise = np.random.default_rng(seed).random(shape)
    for axis in range(3):
        noise = sum(np.roll(noise, s, axis) for s in (-1, 0, 1))
    with h5py.File(folder / "raw.h5", "w") as file:
        file["raw"] = (255 * (noise - noise.min()) / np.ptp(noise)).astype(np.uint8)
    with h5py.File(folder / "truth.h5", "w") as file:
        file["labels"] = (noise > np.median(noise)) * np.arange(1, shape[2] + 1)
    (folder / "model.py").write_text(MODEL)
    (folder / "config.yaml").write_text(yaml.safe_dump(config))


def make_run(config=CONFIG):
    """Make all files of a run in the working directory; affinity is the image. Return the plan."""
    prepare_plan(copy.deepcopy(config))
    plan = resolve(copy.deepcopy(config))
    targets = Targets(plan)
    blocks = plan.grid.ids

    def script(name, inputs, outputs, **wildcards):
        job = SimpleNamespace(
            rule=name, log=[], config={"plan": plan.to_json()}, input=inputs,
            output=SimpleNamespace(**outputs), wildcards=SimpleNamespace(**wildcards),
        )  # fmt: skip
        runpy.run_path(str(SCRIPTS / f"{name}.py"), init_globals={"snakemake": job})

    for b in plan.layers["image"].grid.ids:
        script("image", [], {"shard": targets.shard("image", b)}, block=plan.layers["image"].grid.name(b))
    for b in blocks:
        image = read_box(f"{plan.outdir}/image", plan.layers["image"], plan.grid.box(b))
        noted = Job(plan, None, None, None).read_by(targets.shard("image", i) for i in targets.image_blocks(b))
        record = Stages(plan).record("affinity", network=NETWORK, **noted)
        write_block(targets.shard("affinity", b), plan.layers["affinity"], b, image, record)
        both = {"shard": targets.shard("components", b), "tables": targets.tables("components", b)}
        script("components", SimpleNamespace(probability=targets.components_inputs(b)), both, block=plan.grid.name(b))
    for level, node in targets.nodes():
        children = SimpleNamespace(children=targets.merge_inputs(level, node))
        script("merge", children, {"up": targets.merge(level, node)}, level=level, node=plan.octree.name(level, node))
    for level, node in reversed(list(targets.nodes())):
        inputs = targets.lookup_inputs(level, node)
        wrapped = type("Inputs", (SimpleNamespace,), {"get": lambda self, name: getattr(self, name, None)})(**inputs)
        script("lookup", wrapped, {"down": targets.lookup(level, node)}, level=level, node=plan.octree.name(level, node))
    for b in blocks:
        both = {"shard": targets.shard("segmentation", b), "halo": targets.tables("segmentation", b)}
        script("segmentation", SimpleNamespace(**targets.segmentation_inputs(b)), both, block=plan.grid.name(b))
    groups = plan.measure_tree
    for group in groups.packs(0) if plan.measured else []:
        inputs = SimpleNamespace(**targets.group_inputs(groups, group))
        script("measures", inputs, {"tables": targets.measures(group)}, node=groups.name(0, group))
    make_skeletons(Skeletons(plan), targets, script)
    script("objects", SimpleNamespace(**targets.objects_inputs()), {"table": targets.objects, "properties": targets.properties})
    make_meshes(plan, targets, script)
    make_evaluation(plan, targets, script)
    make_pyramids(Scales(plan), script)
    further = [*(["segmentation/mesh"] if plan.meshes_enabled else []), *([LAYER] if Skeletons(plan).enabled else [])]
    for layer in [*plan.layers, *further]:
        script("info", [], {"info": f"{plan.outdir}/{layer}/info"}, layer=layer)
    return plan


def make_evaluation(plan, targets, script):
    if plan.truth is None:
        return
    truth = plan.layers["ground_truth"].grid
    for b in truth.ids:
        script("ground_truth", [], {"shard": targets.shard("ground_truth", b)}, block=truth.name(b))
    for node in targets.contingency_nodes():
        inputs = targets.contingency_inputs(node)
        script("contingency", inputs, {"table": targets.contingency(node)}, node=plan.octree.name(1, node))
    script("evaluation", SimpleNamespace(tables=targets.contingencies()), targets.evaluation())


def make_pyramids(scales, script):
    for layer in scales.layers:
        for i, spec in enumerate(scales.specs(layer)[1:], start=1):
            for b in spec.grid.ids:
                names = {"layer": layer, "scale": spec.scale_key, "block": spec.grid.name(b)}
                script("pyramid", scales.inputs(layer, i, b), {"shard": scales.shard(layer, i, b)}, **names)
        script("thumbnail", scales.thumbnail_inputs(layer), {"picture": scales.thumbnail(layer)}, layer=layer)


def make_meshes(plan, targets, script):
    if not plan.meshes_enabled:
        return
    tree = plan.mesh_tree
    for group in tree.packs(0):
        inputs = SimpleNamespace(**targets.fragments_inputs(group))
        script("fragments", inputs, {"pack": targets.pack(0, group)}, node=tree.name(0, group))
    for level in range(1, tree.top + 1):
        for pack in tree.packs(level):
            inputs = SimpleNamespace(packs=targets.gather_inputs(level, pack))
            script("gather", inputs, {"pack": targets.pack(level, pack)}, level=level, node=tree.name(level, pack))
    for number, path in enumerate(targets.mesh_shards()):
        script("meshes", SimpleNamespace(packs=targets.top_packs()), {"shard": path}, number=f"{number:x}")


def make_skeletons(skeletons, targets, script):
    if not skeletons.enabled:
        return
    tree = skeletons.tree
    for group in tree.packs(0):
        inputs = SimpleNamespace(shards=[targets.shard("segmentation", b) for b in skeletons.blocks(group)])
        script("traces", inputs, {"traces": skeletons.traces(0, group)}, node=tree.name(0, group))
    for level in range(1, tree.top + 1):
        for pack in tree.packs(level):
            inputs = SimpleNamespace(traces=skeletons.gather_inputs(level, pack))
            script("gather_traces", inputs, {"traces": skeletons.traces(level, pack)}, level=level, node=tree.name(level, pack))
    for number in skeletons.numbers:
        both = {"shard": skeletons.shard(number), "lengths": skeletons.lengths(number)}
        script("skeletons", SimpleNamespace(traces=skeletons.top_traces()), both, number=skeletons.spec.sharding.hex(number))


if __name__ == "__main__":  # compiles all loops, for an image to hold them
    write_inputs(Path())
    make_run()
