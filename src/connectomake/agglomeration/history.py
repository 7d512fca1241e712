"""The history of all merges from files of any size, in canonical form, one range at a time; see `canonical`.

Small supervoxels that were joined are sets, which may reach through the whole volume: finding the smallest key of each takes
the keys of all. What does not fit into memory is found by turning the graph of joins into stars, a range of keys at a time::

    large star   a ── u ── b     every larger neighbour of u is joined to u's smallest neighbour instead
    small star   a ── u ── b     u and its smaller neighbours are joined to the smallest of these instead

until nothing changes. Method: Kiveris, Lattanzi, Mirrokni, Rastogi and Vassilvitskii, "Connected Components in MapReduce and
Beyond", SoCC 2014.
"""

import os
from collections.abc import Iterator, Sequence

import numpy as np

from connectomake.agglomeration.solve import ABSORBED, MEAN, SMALL, Merges
from connectomake.layers import ROWS_HELD, KeySample, Spill, read_tables

PathLike = str | os.PathLike[str]
COLUMNS = tuple(Merges.__dataclass_fields__)
_NONE = {name: np.zeros(0, np.uint8 if name == "kind" else np.uint64) for name in COLUMNS}
_PAIR = {"u": np.zeros(0, np.uint64), "v": np.zeros(0, np.uint64)}


def merges_in_order(files: Sequence[PathLike], path: PathLike, rows: int = ROWS_HELD) -> Iterator[Merges]:
    """Yield the merges of all nodes in the order of `canonical`, with memory for about so many rows.

    Parameters
    ----------
    files
        Up files of all nodes, in any order; each is read a few times, one at a time.
    path
        The table that is made: what does not fit into memory waits in files on the same disk.
    rows
        About how many rows may be in memory.

    Yields
    ------
    Merges
        At least one batch.
    """
    samples = {kind: KeySample() for kind in (SMALL, MEAN, ABSORBED)}
    for kind, part in _parts(files):
        samples[kind].add(np.concatenate([part.a, part.b]) if kind == SMALL else part.index)
    # a pair counts by both of its keys where pairs are turned, and takes less than half of the memory of other merges
    cuts = {kind: sample.cuts(4 * rows if kind == SMALL else rows) for kind, sample in samples.items()}
    spills = {kind: Spill(path, cut, _PAIR if kind == SMALL else _NONE) for kind, cut in cuts.items()}
    for kind, part in _parts(files):
        if kind == SMALL:
            spills[kind].add(part.b, {"u": part.b, "v": part.a})
        else:
            spills[kind].add(part.index, {name: getattr(part, name) for name in COLUMNS})
    for spill in spills.values():
        spill.flush()
    yield from _small(spills.pop(SMALL), cuts[SMALL], path)
    for kind in (MEAN, ABSORBED):
        yield from _by_index(spills.pop(kind))


def _parts(files: Sequence[PathLike]) -> Iterator[tuple[int, Merges]]:
    """Yield kinds and merges of that kind in each file."""
    for file in files:
        found = read_tables(file, [f"merges/{name}" for name in COLUMNS])
        merges = Merges(*(found[f"merges/{name}"] for name in COLUMNS))
        for kind in (SMALL, MEAN, ABSORBED):
            yield kind, merges.take(merges.kind == kind)


def _by_index(spill: Spill) -> Iterator[Merges]:
    """Yield merges of one kind, each edge once, ascending by its index."""
    for number in spill.ranges:
        found = Merges(**spill.take(number))
        _, once = np.unique(found.index, return_index=True)
        yield found.take(once)  # two segments that absorb each other may be noted in two nodes


def _small(pairs: Spill, cuts: np.ndarray, path: PathLike) -> Iterator[Merges]:
    """Yield joins of small supervoxels: the smallest key of each set with every other key in it, ascending by that one."""
    from connectomake.union_find import unite

    if not len(cuts):
        found = pairs.take(0)
        keys = np.unique(np.concatenate([found["u"], found["v"]]))
        places = np.stack([np.searchsorted(keys, found[side]) for side in ("v", "u")], axis=-1)
        first = keys[unite(len(keys), places)]
        yield _joins(first[first != keys], keys[first != keys])
        return
    pairs = stars(pairs, cuts, path)
    for number in pairs.ranges:
        found = pairs.take(number)
        key, once = np.unique(found["u"], return_index=True)
        yield _joins(found["v"][once], key)


def _joins(first: np.ndarray, key: np.ndarray) -> Merges:
    none = np.zeros(len(key), np.uint64)
    return Merges(np.full(len(key), SMALL, np.uint8), first, key, none, none, none)


def stars(pairs: Spill, cuts: np.ndarray, path: PathLike) -> Spill:
    """Join every key directly to the smallest one that it is connected to.

    Parameters
    ----------
    pairs
        Pairs ``u`` > ``v`` of keys that are connected, by ranges of u.
    cuts
        The ranges.
    path
        What is written waits on the same disk as this file.

    Returns
    -------
    Spill
        Each key but the smallest of its set as ``u``, by ranges, with the smallest as ``v``; equal pairs may be there twice.
    """
    while True:
        both = Spill(path, cuts, _PAIR)
        for number in pairs.ranges:
            for part in pairs.pieces(number):
                both.add(part["u"], part)
                both.add(part["v"], {"u": part["v"], "v": part["u"]})
        large, moved = _starred(both, cuts, path, larger=True)
        pairs, again = _starred(large, cuts, path, larger=False)
        if not moved and not again:
            return pairs


def _starred(pairs: Spill, cuts: np.ndarray, path: PathLike, *, larger: bool) -> tuple[Spill, bool]:
    """Join the larger neighbours of each u, or u and its smaller ones, to the smallest of them; tell if that changes a pair."""
    found, changed = Spill(path, cuts, _PAIR), False
    for number in pairs.ranges:
        keys, least = _smallest(pairs, number)
        for part in pairs.pieces(number):
            u, v = part["u"], part["v"]
            to = least[np.searchsorted(keys, u)]
            rows = v > u if larger else v != to
            changed |= bool(np.any(to[rows] != u[rows])) if larger else bool(rows.any())
            ends, to = (v[rows], to[rows]) if larger else (np.concatenate([v[rows], u]), np.concatenate([to[rows], to]))
            ends, to = _once(ends, to)
            found.add(ends, {"u": ends, "v": to})
    found.flush()
    return found, changed


def _once(u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return each pair once, in order."""
    order = np.lexsort((v, u))
    u, v = u[order], v[order]
    new = np.ones(len(u), bool)
    new[1:] = (u[1:] != u[:-1]) | (v[1:] != v[:-1])
    return u[new], v[new]


def _smallest(pairs: Spill, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the keys u of a range, ascending, and the smallest of each and its neighbours."""
    keys, least = np.zeros(0, np.uint64), np.zeros(0, np.uint64)
    for part in pairs.pieces(number):
        joined = np.concatenate([keys, part["u"]])
        keys, of_row = np.unique(joined, return_inverse=True)
        smallest = keys.copy()
        np.minimum.at(smallest, of_row, np.concatenate([least, part["v"]]))
        least = smallest
    return keys, least
