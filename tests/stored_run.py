"""A finished run in a bucket, simulated: every object of a plan is there, with a few bytes and the right record."""

import json
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.parquet as pq

from connectomake.layers.records import PARQUET_KEY, encode_record
from connectomake.planning.infos import info_text
from connectomake.planning.stages import Stages
from connectomake.planning.targets import Targets


def note(record):
    """A record as Parquet has it."""
    return {PARQUET_KEY: json.dumps(record).encode()}


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
            pq.write_table(pa.table({"id": []}).replace_schema_metadata(note(stages.record(stage))), folder / "objects.parquet")
            return (folder / "objects.parquet").read_bytes()
        if stage not in records:
            records[stage] = encode_record(stages.record(stage))
        return path.encode() + records[stage]

    def put(path):
        client.put_object(Bucket=bucket, Key=f"{prefix}/{path}", Body=body(path))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put, paths))
    return len(paths)
