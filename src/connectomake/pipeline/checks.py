"""One look into each kind of file: does it open, and is it of the right form? Each raises a LayerError if not."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from connectomake.bounded_text import read_json
from connectomake.errors import LayerError, OtherSettingsError
from connectomake.geometry import Vec
from connectomake.layers import LayerSpec, ShardReader, read_batches, read_tables
from connectomake.layers.companions import check_form
from connectomake.layers.id_shards import IdSharding, read_minishard
from connectomake.planning.infos import info_text
from connectomake.planning.plan import Plan
from connectomake.planning.skeletons import Skeletons
from connectomake.tables import MeasureTable

OBJECT_COLUMNS = ("id", "voxels", "start_z", "start_y", "start_x", "stop_z", "stop_y", "stop_x")
MERGE_COLUMNS = ("kind", "a", "b", "total", "count", "index")
ROUNDED = 0.05
"""Share by which a skeleton of vertices in float32 may differ from the sum of its steps, far from the origin."""


def shard(spec: LayerSpec, block: int, path: str) -> None:
    """Open a shard, and decode its first and its last storage chunk: index, dtype and shape."""
    reader = ShardReader(path, spec, block)
    chunks = list(spec.chunks.positions_meeting(spec.grid.box(block)))
    for position in {chunks[0], chunks[-1]}:
        reader.read(spec.chunks.box_at(position))


def tables(path: str) -> dict[str, np.ndarray]:
    """Read all tables of an HDF5 file."""
    return read_tables(path)


def segment_table(path: str) -> None:
    """Read a table of supervoxels and segments, a part at a time."""
    from connectomake.segment_table.sorting import STARTS

    for number in range(len(read_tables(path, [STARTS])[STARTS])):
        read_tables(path, [f"supervoxels/{number}", f"segments/{number}"])


def components(plan: Plan, block: int, path: str) -> None:
    """Read the tables and faces of a block's components."""
    found = read_tables(path)
    shape = plan.grid.box(block).shape
    for axis, name in enumerate("zyx"):
        for side in (0, 1):
            _check_plane(path, f"faces/{name}{side}", found, _without(shape, axis))


def halo(plan: Plan, block: int, path: str) -> None:
    """Read the halo planes of a block's segmentation."""
    found = read_tables(path)
    shape = plan.grid.box(block).shape
    for axis, name in enumerate("zyx"):
        _check_plane(path, f"halo/{name}", found, _without(shape, axis))


def _without(shape: Vec, axis: int) -> tuple[int, ...]:
    return tuple(n for i, n in enumerate(shape) if i != axis)


def _check_plane(path: str, name: str, found: dict[str, np.ndarray], shape: tuple[int, ...]) -> None:
    if name not in found or found[name].shape != shape:
        what = f"of shape {found[name].shape}" if name in found else "missing"
        raise LayerError(f"{path} is of another block: {name} is {what}, not {shape}; delete it and rerun")


def passed(plan: Plan, level: int, node: int, path: str) -> None:
    """Read what a node passes up, with a table for each of its children."""
    _check_children(plan, level, node, path, "slots")


def lookup(plan: Plan, level: int, node: int, path: str) -> None:
    """Read the look-up tables that a node hands to its children."""
    _check_children(plan, level, node, path, "ids")


def _check_children(plan: Plan, level: int, node: int, path: str, group: str) -> None:
    found = read_tables(path)
    for child in plan.octree.children(level, node):
        name = f"{group}/{plan.octree.name(level - 1, child)}"
        if name not in found:
            raise LayerError(f"{path} has no table {name} for its child; delete it and rerun")


def measures(path: str) -> None:
    """Read the measures of a group of blocks, ids ascending."""
    found = read_tables(path)
    lacking = [name for name in MeasureTable.names("measures") if name not in found]
    if lacking or np.any(found["measures/id"][1:] <= found["measures/id"][:-1]):
        raise LayerError(f"{path} does not hold measures of objects; delete it and rerun")


def objects(path: str) -> dict[str, np.ndarray]:
    """Read the object table, ids ascending."""
    parts = list(object_batches(path))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def object_batches(path: str) -> Iterator[dict[str, np.ndarray]]:
    """Yield the rows of the object table, ids ascending, a row group at a time."""
    last: int | None = None
    for part in read_batches(path):
        lacking = [name for name in OBJECT_COLUMNS if name not in part]
        if lacking:
            raise LayerError(f"{path} has no column {lacking[0]}; delete it and rerun")
        ids = part["id"]
        if np.any(ids[1:] <= ids[:-1]) or (last is not None and len(ids) and int(ids[0]) <= last):
            raise LayerError(f"{path} names an object twice or not in order; delete it and rerun")
        last = int(ids[-1]) if len(ids) else last
        yield part


def history(path: str) -> None:
    """Read the table of merges."""
    for found in read_batches(path):
        lacking = [name for name in MERGE_COLUMNS if name not in found]
        if lacking:
            raise LayerError(f"{path} has no column {lacking[0]}; delete it and rerun")


def properties(path: str) -> None:
    """Read the segment properties."""
    value = _json(path)
    try:
        inline = value["inline"]
        whole = {len(p["values"]) for p in inline["properties"]} <= {len(inline["ids"])}
    except (LookupError, TypeError):
        whole = False
    if not whole:
        raise LayerError(f"{path} does not hold segment properties; delete it and rerun")


def picture(path: str) -> None:
    """Decode a PNG."""
    from PIL import Image

    try:
        Image.open(path).load()
    except Exception as error:  # whatever damaged bytes make Pillow raise
        raise LayerError(f"{path} is not a complete PNG; delete it and rerun") from error


def csv(path: str) -> None:
    """Look whether a table of text is evidently cut."""
    check_form(path)


def json_text(path: str) -> None:
    """Look whether a file is JSON."""
    _json(path)


def text(path: str) -> None:
    """Read a text file as UTF-8."""
    try:
        whole = bool(Path(path).read_bytes().decode())
    except ValueError:
        whole = False
    if not whole:
        raise LayerError(f"{path} is truncated or damaged; delete it and rerun")


def contingency(path: str) -> None:
    """Read a file of contingency tables."""
    from connectomake.evaluation.files import read_contingency

    read_contingency(path)


def scores(plan: Plan, table: str, path: str) -> None:
    """Compare the scores with those that follow from the summed table, to the byte."""
    from connectomake.evaluation.files import result_texts

    _compare_result(path, result_texts(table, plan.evaluation_box, plan.config["evaluation"])["scores"])


def worst(plan: Plan, table: str, path: str) -> None:
    """Compare the list of the worst faults with the one that follows from the summed table."""
    from connectomake.evaluation.files import result_texts

    _compare_result(path, result_texts(table, plan.evaluation_box, plan.config["evaluation"])["worst"])


def curve(plan: Plan, inputs: dict[str, str], path: str) -> None:
    """Compare the scores over thresholds with those that follow from the tallies and the history of merges."""
    from connectomake.agglomeration import read_merges, segments_over
    from connectomake.evaluation import thresholds_of
    from connectomake.evaluation.files import curve_text

    thresholds = thresholds_of(plan.thresholds[plan.lowest] or 0, plan.thresholds[""] or 0)
    mappings = segments_over(read_merges(inputs["history"]), thresholds, plan.agglomeration().dtype)
    _compare_result(path, curve_text(inputs["tallies"], mappings, plan.config["evaluation"]))


def _compare_result(path: str, text: str) -> None:
    if Path(path).read_bytes() != text.encode():
        raise LayerError(f"{path} does not fit the table beside it; delete it and rerun")


def info(plan: Plan, layer: str, path: str) -> None:
    """Read an info and compare it with the plan's."""
    if _json(path) != json.loads(info_text(plan, layer)):
        raise OtherSettingsError(f"{path} describes another layer than the config; delete it and rerun")


def _json(path: str) -> Any:
    try:
        return read_json(Path(path).read_bytes().decode())
    except ValueError as error:
        raise LayerError(f"{path} is not JSON; delete it and rerun") from error


def pack(plan: Plan, path: str) -> None:
    """Open a pack of mesh pieces and follow its index to the end of the data."""
    from connectomake.meshes.pack import PackReader

    sharding = plan.mesh_spec.sharding
    with PackReader(path, sharding) as reader:
        last = max((n for n in range(sharding.count) if reader.counts[n]), default=None)
        if last is not None:
            row = reader.index(last)[-1]
            reader.data(int(reader.offsets(last)[-1]), int(row["size"]), int(row["checksum"]))


def pack_deep(plan: Plan, path: str) -> None:
    """Read every mesh piece of a pack and compare its checksum."""
    from connectomake.meshes.pack import PackReader

    sharding = plan.mesh_spec.sharding
    with PackReader(path, sharding) as reader:
        for number in range(sharding.count):
            rows = zip(reader.offsets(number).tolist(), reader.index(number), strict=True)
            for offset, row in rows:
                reader.data(offset, int(row["size"]), int(row["checksum"]))


def skeleton_lengths(skeletons: Skeletons, number: int, path: str) -> None:
    """Read every skeleton of a file, and compare ids and lengths with the table of lengths."""
    from connectomake.skeletons.reading import SkeletonReader

    reader, lengths = SkeletonReader(Path(path).parent, skeletons.spec), read_tables(skeletons.lengths(number))
    for object_id, nm in zip(lengths["id"].tolist(), lengths["nm"].tolist(), strict=True):
        found = reader.read(object_id).length
        if abs(found - nm) > ROUNDED * max(found, nm):
            raise LayerError(f"{path}: object {object_id} is {found:.0f} nm long, not {nm:.0f}; delete it and rerun")


def id_shard(sharding: IdSharding, path: str) -> int:
    """Follow the index of a file of meshes or skeletons to every object's; return their number.

    Raises
    ------
    LayerError
        If the index is damaged or a value lies outside the file.
    """
    if Path(path).stat().st_size < sharding.index_bytes:
        raise LayerError(f"{path} is truncated; delete it and rerun")
    try:
        with Path(path).open("rb") as stream:
            return sum(len(read_minishard(stream, sharding, number)[0]) for number in range(1 << sharding.minishard_bits))
    except ValueError as error:
        raise LayerError(f"the index of {path} is truncated or corrupted; delete it and rerun") from error
