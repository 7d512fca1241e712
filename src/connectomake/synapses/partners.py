"""Synapses from clefts and the cells around them: the two cells with most voxels within reach, and a table of it all."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from connectomake.geometry import Box
from connectomake.synapses.anchors import anchors_of
from connectomake.synapses.clefts import Clefts
from connectomake.synapses.merging import joined_ids
from connectomake.synapses.tally import Tally


@dataclass(frozen=True, slots=True)
class Ranked:
    """The cells of each of n clefts or synapses, most voxels first; of two with as many the smaller id.

    Parameters
    ----------
    near
        Voxels per (cleft, cell), in that order.
    ends
        (n + 1,) int64: cleft i has the rows from ends[i] to ends[i + 1].
    """

    near: Tally
    ends: np.ndarray

    @classmethod
    def of(cls, near: Tally, clefts: np.ndarray) -> "Ranked":
        """Rank the cells of clefts (n,), whose ids ascend."""
        order = np.lexsort((near.keys[:, 1], -near.counts[:, 0], near.keys[:, 0]))
        found = near.take(order)
        return cls(found, np.append(np.searchsorted(found.keys[:, 0], clefts), len(found)))

    def rows(self, rank: int) -> np.ndarray:
        """Return the row (n,) of the cell of a rank from 0, -1 where there are fewer."""
        rows = self.ends[:-1] + rank
        return np.where(rows < self.ends[1:], rows, -1)

    def cells(self, rank: int) -> np.ndarray:
        """Return the cell (n,) uint64 of a rank from 0, 0 where there are fewer."""
        rows = self.rows(rank)
        return np.asarray(np.append(self.near.keys[:, 1], np.uint64(0))[rows])


def synapse_columns(
    found: Clefts,
    read_clefts: Callable[[Box], np.ndarray],
    bounds: Box,
    voxel_size: Sequence[float],
    merge_within: float | None = None,
    min_voxels: int = 1,
) -> dict[str, np.ndarray]:
    """Return the table of synapses.

    Parameters
    ----------
    found
        From `clefts_of`.
    read_clefts, bounds
        As there: clefts are read again, where there are some.
    voxel_size
        Nanometres, z, y, x.
    merge_within
        Clefts of the same two cells whose mean places are no farther apart, in nm, are one synapse; None: none are.
    min_voxels
        Clefts of fewer voxels are left out.

    Returns
    -------
    dict
        Columns (n,): ``synapse`` (uint64), the smallest id of its clefts, and ``clefts``, all of them, with blanks between;
        ``voxels`` (uint64); ``z``, ``y``, ``x`` (int64), the voxel nearest to the mean place, absolute; ``z_nm``, ``y_nm``,
        ``x_nm`` (float64), the mean place; for each of the two cells with most voxels within reach ``partner_1`` (uint64), 0 if
        there is none, ``voxels_1`` (uint64) of it within reach, ``z_1_nm``, ``y_1_nm``, ``x_1_nm``, their mean place, that of
        the synapse where there is no partner; then ``cells`` and ``cell_voxels``, all cells within reach, by their ranks, with
        blanks between. Voxels within reach of several clefts of one synapse count once for each of these. Rows are in the order
        of ``synapse``.
    """
    clefts = found.clefts.take(found.clefts.counts[:, 0] >= min_voxels)
    ids = clefts.keys[:, 0]
    near = found.near.take(np.isin(found.near.keys[:, 0], ids))
    synapse_of = ids
    if merge_within is not None:
        ranked = Ranked.of(near, ids)
        partners = np.stack([ranked.cells(0), ranked.cells(1)], axis=1)
        synapse_of = joined_ids(clefts, partners, merge_within, voxel_size)
    joined = replace(clefts, keys=synapse_of[:, None]).summed()
    cleft_of = synapse_of[np.searchsorted(ids, near.keys[:, 0])]
    ranked = Ranked.of(replace(near, keys=np.stack([cleft_of, near.keys[:, 1]], axis=1)).summed(), joined.keys[:, 0])
    anchors = anchors_of(read_clefts, found.tiles, bounds, ids, synapse_of, joined, voxel_size)
    middles = joined.middles(bounds.start, voxel_size)
    order = np.argsort(synapse_of, kind="stable")
    starts = np.append(np.searchsorted(synapse_of[order], joined.keys[:, 0]), len(order))
    return {
        "synapse": joined.keys[:, 0], "clefts": _texts(ids[order], starts), "voxels": joined.counts[:, 0].astype(np.uint64),
        "z": anchors[:, 0], "y": anchors[:, 1], "x": anchors[:, 2],
        "z_nm": middles[:, 0], "y_nm": middles[:, 1], "x_nm": middles[:, 2],
        **_partner(ranked, 1, middles, bounds, voxel_size), **_partner(ranked, 2, middles, bounds, voxel_size),
        "cells": _texts(ranked.near.keys[:, 1], ranked.ends), "cell_voxels": _texts(ranked.near.counts[:, 0], ranked.ends),
    }  # fmt: skip


def _partner(
    ranked: Ranked, number: int, middles: np.ndarray, bounds: Box, voxel_size: Sequence[float]
) -> dict[str, np.ndarray]:
    rows = ranked.rows(number - 1)
    there = rows >= 0
    voxels, places = np.zeros(len(rows), np.uint64), middles.copy()
    voxels[there] = ranked.near.counts[rows[there], 0]
    places[there] = ranked.near.take(rows[there]).middles(bounds.start, voxel_size)
    named = {f"{axis}_{number}_nm": places[:, i] for i, axis in enumerate("zyx")}
    return {f"partner_{number}": ranked.cells(number - 1), f"voxels_{number}": voxels, **named}


def _texts(values: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Return the numbers between each two ends as one text."""
    words = list(map(str, values.tolist()))
    return np.array([" ".join(words[a:b]) for a, b in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True)], np.str_)
