"""The evaluation on files: one HDF5 file of tallies per node and of the whole, JSON and CSV of the result."""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from connectomake.atomic import write_text
from connectomake.evaluation.curve import csv_text
from connectomake.evaluation.report import WORST_COLUMNS, result_of, worst_rows
from connectomake.evaluation.stream import Reader, overlap_of
from connectomake.evaluation.tally import Overlap
from connectomake.evaluation.tiles import tile_of_chunks
from connectomake.geometry import Box
from connectomake.layers import LayerSpec, read_box, read_tables, write_tables

PathLike = str | os.PathLike[str]


def shards_reader(shards: Mapping[int, str], spec: LayerSpec) -> Reader:
    """Return a reader of labels from the shards of a layer, given by block."""
    return lambda box: read_box(shards, spec, box)[0].astype(np.uint64, copy=False)


def write_contingency(
    output: PathLike,
    read_gt: Reader,
    read_seg: Reader,
    blocks: Iterable[Box],
    spec: LayerSpec,
    bounds: Box,
    record: dict[str, Any],
) -> None:
    """Tally some blocks and write the file of it; `spec` is the segmentation, whose storage chunks say what reads well."""
    overlap = overlap_of(read_gt, read_seg, blocks, tile_of_chunks(spec.chunk, spec.block), bounds)
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
    """Return the sum of all files, holding the sum so far and one file more at a time."""
    total = Overlap.summed([])
    for path in paths:
        total = Overlap.summed([total, read_contingency(path)])
    return total


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
        What to note in the table; scores and worst are the same bytes for every way to cut the volume.

    Raises
    ------
    RunError
        If no voxel has a true label.
    """
    texts = _texts(overlap, bounds, section)
    write_tables(output["table"], overlap.arrays(), record)
    for name, text in texts.items():
        write_text(output[name], text)


def result_texts(table: PathLike, bounds: Box, section: dict[str, Any]) -> dict[str, str]:
    """Return what ``scores`` and ``worst`` must hold, given the summed table that lies beside them."""
    return _texts(read_contingency(table), bounds, section)


def _texts(overlap: Overlap, bounds: Box, section: dict[str, Any]) -> dict[str, str]:
    result = result_of(overlap, bounds, section["worst"], section["ignore"])
    return {
        "scores": json.dumps(result, sort_keys=True, indent=2, allow_nan=False) + "\n",
        "worst": csv_text(list(worst_rows(result)), WORST_COLUMNS),
    }
