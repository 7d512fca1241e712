"""The evaluation on files: one HDF5 file of tallies per node and of the whole, JSON and CSV of the result."""

import functools
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from connectomake.atomic import write_text
from connectomake.evaluation.contingency import Overlap
from connectomake.evaluation.curve import Mappings, csv_text, curve_of, curve_rows, point_of, write_picture
from connectomake.evaluation.report import WORST_COLUMNS, result_of, worst_rows
from connectomake.evaluation.stream import ROWS_KEPT, Reader, overlap_of
from connectomake.evaluation.tiles import tile_of_chunks
from connectomake.geometry import Box
from connectomake.layers import LayerSpec, read_box, read_tables, write_tables
from connectomake.layers.companions import companion_checksums

PathLike = str | os.PathLike[str]
_NAMES_KEPT = 64


def shards_reader(shards: Mapping[int, str], spec: LayerSpec) -> Reader:
    """Return a reader of labels from the shards of a layer, given by block."""
    return lambda box: read_box(shards, spec, box)[0].astype(np.uint64, copy=False)


def named_reader(shards: Mapping[int, str], spec: LayerSpec, names: Callable[[int], np.ndarray]) -> Reader:
    """Return a reader of what the labels of each block are called outside of it: `names` gives that of each label, from 0.

    A block without a shard has no label.
    """
    names = functools.lru_cache(_NAMES_KEPT)(names)

    def read(box: Box) -> np.ndarray:
        out = np.zeros(box.shape, np.uint64)
        for block in filter(shards.__contains__, spec.grid.ids_meeting(box)):
            part = spec.grid.box(block).intersect(box)
            labels = read_box({block: shards[block]}, spec, part)[0]
            out[part.slices(box.start)] = names(block)[labels]
        return out

    return read


def write_contingency(
    output: PathLike,
    read_gt: Reader,
    read_seg: Reader,
    blocks: Iterable[Box],
    spec: LayerSpec,
    bounds: Box,
    record: dict[str, Any],
    read_supervoxels: Reader | None = None,
) -> None:
    """Tally some blocks and write the file of it; `spec` is the segmentation, whose storage chunks say what reads well."""
    tile = tile_of_chunks(spec.chunk, spec.block)
    overlap = overlap_of(read_gt, read_seg, blocks, tile, bounds, read_supervoxels)
    write_tables(output, overlap.arrays(), record)


def read_contingency(path: PathLike) -> Overlap:
    """Read a file of tallies.

    Raises
    ------
    LayerError
        If it is missing or damaged.
    """
    return Overlap.from_arrays(read_tables(path))


def sum_contingencies(paths: Sequence[PathLike]) -> Overlap:
    """Return the sum of all files, holding the sum so far and about as many rows more at a time.

    Adding file by file would sort the sum as often as there are files.
    """
    total, parts = Overlap.summed([]), list[Overlap]()
    for path in paths:
        parts.append(read_contingency(path))
        if sum(map(len, parts)) > max(len(total), ROWS_KEPT):
            total, parts = Overlap.summed([total, *parts]), []
    return Overlap.summed([total, *parts])


def write_result(
    output: Mapping[str, str], overlap: Overlap, bounds: Box, section: dict[str, Any], record: dict[str, Any]
) -> None:
    """Write the summed tallies, the scores and the list of the worst faults.

    Parameters
    ----------
    output
        Paths: ``table`` (HDF5), ``scores`` (JSON), ``worst`` (CSV).
    overlap, bounds
        Of all that is evaluated.
    section
        ``worst`` and ``ignore``: how many faults to list, true objects to leave out.
    record
        What to note in the table, with the checksums of scores and worst: these are the same bytes for every way to cut
        the volume.

    Raises
    ------
    RunError
        If no voxel has a true label.
    """
    texts = _texts(overlap, bounds, section)
    for name, text in texts.items():
        write_text(output[name], text)
    noted = companion_checksums(output["table"], *(output[name] for name in texts))
    write_tables(output["table"], overlap.arrays(), record | noted)


def result_texts(table: PathLike, bounds: Box, section: dict[str, Any]) -> dict[str, str]:
    """Return what ``scores`` and ``worst`` must hold, given the summed table that lies beside them."""
    return _texts(read_contingency(table), bounds, section)


def _texts(overlap: Overlap, bounds: Box, section: dict[str, Any]) -> dict[str, str]:
    result = result_of(overlap, bounds, section["worst"], section["ignore"])
    return {
        "scores": json.dumps(result, sort_keys=True, indent=2, allow_nan=False) + "\n",
        "worst": csv_text(list(worst_rows(result)), WORST_COLUMNS),
    }


def write_curve(
    output: Mapping[str, str],
    overlap: Overlap,
    mappings: Mappings,
    chosen: float,
    section: dict[str, Any],
    record: dict[str, Any],
) -> None:
    """Write the scores over thresholds of agglomeration.

    Parameters
    ----------
    output
        Paths: ``table`` (CSV), ``picture`` (PNG).
    overlap
        Of all that is evaluated, with supervoxels.
    mappings
        Per threshold, ascending: it, supervoxels and their segments; see `curve_of`.
    chosen
        The run's own threshold, whose segmentation is marked as it is in `overlap`: small segments absorbed, dust dropped.
    section
        ``ignore``: true objects to leave out.
    record
        What to note behind the picture, with the checksum of the table.
    """
    counted = overlap.without(section["ignore"])
    points = curve_of(counted.supervoxels, mappings)
    write_text(output["table"], csv_text(curve_rows(points)))
    noted = companion_checksums(output["picture"], output["table"])
    write_picture(output["picture"], points, point_of(counted.pairs, chosen), record | noted)


def curve_text(table: PathLike, mappings: Mappings, section: dict[str, Any]) -> str:
    """Return what the table of a curve must hold, given the summed tallies."""
    counted = read_contingency(table).without(section["ignore"])
    return csv_text(curve_rows(curve_of(counted.supervoxels, mappings)))
