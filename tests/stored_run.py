"""A finished run in a bucket, simulated: every object of a plan is there, with a few bytes and the right record."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from connectomake.layers.records import encode_record
from connectomake.objects import write_parquet
from connectomake.planning.infos import info_text
from connectomake.planning.stages import Stages
from connectomake.planning.targets import Targets

STAGES = {"image": "image", "affinity": "affinity", "components": "components", "merge": "merge", "fragments": "fragments"}


def stage_of(path, outdir):
    """The stage that makes a target."""
    rest = path[len(outdir) + 1 :]
    if rest.startswith("segmentation/mesh"):
        return "meshes"
    if rest.startswith(("objects", "segmentation/properties")):
        return "objects"
    return rest.split("/")[0]


def fill_bucket(client, bucket, prefix, plan, folder):
    """Put all objects of a finished run; return how many."""
    stages, targets = Stages(plan), Targets(plan)
    layers = {targets.info(name): name for name in plan.layers} | {targets.mesh_info: "segmentation/mesh"}
    paths = sorted(set(targets.kept()))
    records = {}

    def body(path):
        if path in layers:
            return info_text(plan, layers[path]).encode()
        stage = stage_of(path, plan.outdir)
        if path.endswith(".parquet"):
            write_parquet(folder / "objects.parquet", {"id": np.zeros(0, np.uint64)}, stages.record(stage))
            return (folder / "objects.parquet").read_bytes()
        if stage not in records:
            records[stage] = encode_record(stages.record(stage))
        return path.encode() + records[stage]

    def put(path):
        client.put_object(Bucket=bucket, Key=f"{prefix}/{path}", Body=body(path))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put, paths))
    return len(paths)
