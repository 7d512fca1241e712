"""The worst splits and mergers, object by object, with a place to go to and look."""

from dataclasses import dataclass

import numpy as np

from connectomake.evaluation.contingency import Contingency, Overlap

PARTS_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Part:
    """One of the parts that an object is split into, or one of the objects that a segment merges.

    Parameters
    ----------
    label, voxels
        Its label and its voxels within the whole.
    place
        Raster index of a voxel: at the part's largest contact with another part where it touches one, else its first.
    touches
        Label of the part across that contact; None where it touches none.
    """

    label: int
    voxels: int
    place: int
    touches: int | None


@dataclass(frozen=True, slots=True)
class Fault:
    """An object that is split, or a segment that merges several objects.

    Parameters
    ----------
    label, voxels
        Of the whole, over voxels with both labels.
    voi
        Bits that it adds to the variation of information (its split or its merge part), over voxels with both labels.
    count
        Number of parts.
    parts
        The largest parts; ties in size by label.
    """

    label: int
    voxels: int
    voi: float
    count: int
    parts: tuple[Part, ...]


def worst_splits(overlap: Overlap, number: int) -> list[Fault]:
    """Return the true objects that add most to the split part of the variation of information; ties by label."""
    return _worst(overlap.pairs, overlap.splits, 0, number)


def worst_mergers(overlap: Overlap, number: int) -> list[Fault]:
    """Return the segments that add most to the merge part of the variation of information; ties by label."""
    return _worst(overlap.pairs, overlap.mergers, 1, number)


def _worst(pairs: Contingency, contacts: Contingency, whole: int, number: int) -> list[Fault]:
    both = pairs.take(pairs.keys[:, 1] != 0)
    both = both.take(np.lexsort((both.keys[:, 1 - whole], both.keys[:, whole])))
    if not len(both):
        return []
    labels, starts, counts = np.unique(both.keys[:, whole], return_index=True, return_counts=True)
    voxels = np.add.reduceat(both.count, starts)
    joint = np.add.reduceat(both.count * np.log2(both.count), starts)
    bits = np.where(counts > 1, voxels * np.log2(voxels) - joint, 0.0) / both.count.sum()
    order = np.lexsort((labels, -bits))[:number]
    return [
        Fault(
            int(labels[i]),
            int(voxels[i]),
            float(bits[i]),
            int(counts[i]),
            _parts(both, contacts, whole, int(starts[i]), int(counts[i])),
        )
        for i in order.tolist()
        if counts[i] > 1
    ]


def _parts(both: Contingency, contacts: Contingency, whole: int, start: int, count: int) -> tuple[Part, ...]:
    rows = np.arange(start, start + count)
    rows = rows[np.lexsort((both.keys[rows, 1 - whole], -both.count[rows]))][:PARTS_SHOWN]
    label = both.keys[start, whole]
    first, last = np.searchsorted(contacts.keys[:, 0], label, "left"), np.searchsorted(contacts.keys[:, 0], label, "right")
    inside = contacts.take(np.arange(first, last))
    return tuple(_part(both.keys[r, 1 - whole], int(both.count[r]), int(both.first[r]), inside) for r in rows)


def _part(label: np.uint64, voxels: int, first: int, inside: Contingency) -> Part:
    rows = np.flatnonzero((inside.keys[:, 1:] == label).any(axis=1))
    if not len(rows):
        return Part(int(label), voxels, first, None)
    best = rows[np.lexsort((inside.first[rows], -inside.count[rows]))[0]]
    low, high = inside.keys[best, 1:]
    return Part(int(label), voxels, int(inside.first[best]), int(high if low == label else low))
