"""A finished run in a bucket, simulated: every object of a plan is there, with a few bytes and the right record."""

import io
import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from connectomake.layers.records import PARQUET_KEY, encode_record
from connectomake.pipeline.registry import Stages
from connectomake.pipeline.targets import Targets
from connectomake.planning.infos import info_text

ORDER = ("image", "affinity", "components", "merge", "segmentation", "measures", "objects", "fragments", "meshes")


def stage_of(path: str, outdir: Any) -> Any:
    """The stage that makes a target."""
    rest = path[len(outdir) + 1 :]
    if rest.startswith("segmentation/mesh"):
        return "meshes"
    if rest.startswith("objects/measures"):
        return "measures"
    if rest.startswith(("objects", "segmentation/properties")):
        return "objects"
    return rest.split("/")[0]


def rank(path: str, outdir: Any) -> Any:
    """Where a target stands in the order in which a run makes them."""
    up, down = path.endswith(".up.h5"), path.endswith(".down.h5")
    level = int(path.split("/")[-2]) if up or down or path.endswith(".pack") else 0
    return ORDER.index(stage_of(path, outdir)), down, -level if down else level


def fill_bucket(bucket: Any, prefix: Any, plan: Any) -> Any:
    """Put all objects of a finished run straight into moto's memory, in the order of a run.

    Returns
    -------
    dict
        The fingerprint in each object's record, by its etag, as the head remembers them.
    """
    from moto.core.models import DEFAULT_ACCOUNT_ID
    from moto.s3.models import s3_backends

    backend = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
    stages, targets = Stages(plan), Targets(plan)
    layers = {targets.info(name): name for name in plan.layers} | {targets.mesh_info: "segmentation/mesh"}
    paths = sorted(set(targets.kept()), key=lambda path: rank(path, plan.outdir))
    known = {}
    for path in paths:
        text = info_text(plan, layers[path]) if path in layers else None
        record = None if text else stages.record(stage_of(path, plan.outdir))
        body = text.encode() if text else content(path, record)
        stored = backend.put_object(bucket, f"{prefix}/{path}", body)
        known[stored.etag] = record["fingerprint"] if record else ""
    return known


def content(path: str, record: Any) -> Any:
    """A few bytes with a record, as the kind of file has it."""
    if not path.endswith(".parquet"):
        return path.encode() + encode_record(record)
    stream = io.BytesIO()
    note = {PARQUET_KEY: json.dumps(record).encode()}
    pq.write_table(pa.table({"id": [1]}).replace_schema_metadata(note), stream)
    return stream.getvalue()
