"""TEASAR on the voxels of one cell, all objects of it in one call.

Method: Sato, Bitter, Bender, Kaufman and Nakajima, "TEASAR: tree-structure extraction algorithm for accurate and robust
skeletons" (Pacific Graphics 2000); Bae et al., "Digital museum of retinal ganglion cells" (Cell, 2018). From a root, one tree
of cheapest paths over the 26 neighbours, where a voxel costs more the nearer it lies to the object's border; then the tip
farthest along that tree is joined to the skeleton, all voxels near its path are covered, and so on until all are covered.

Costs and lengths are integers, so that sums are exact; what is equal is decided by the smaller raster index.
"""

import numpy as np

from connectomake.compiled import njit

PENALTY, UNIT = 100000.0, 16
"""A voxel costs 1 + PENALTY (1 - r / 1.01 r_max) ^ 8 per length, in units of 1 / UNIT."""
ROOT = 26
_OPEN = np.int64(1) << 62


@njit(cache=True, nogil=True)
def push(heap, count, key):  # type: ignore[no-untyped-def]
    """Put a key on a heap of ``count`` keys, each with four below it; return the heap, which may have grown."""
    if count == len(heap):
        larger = np.empty(2 * count, np.int64)
        larger[:count] = heap
        heap = larger
    place = count
    while place > 0:
        above = (place - 1) >> 2
        if heap[above] <= key:
            break
        heap[place] = heap[above]
        place = above
    heap[place] = key
    return heap


@njit(cache=True, nogil=True)
def pop(heap, count):  # type: ignore[no-untyped-def]
    """Take the least key off a heap, of which ``count`` stay."""
    top, last, place = heap[0], heap[count], 0
    while True:
        best = 4 * place + 1
        if best >= count:
            break
        for child in range(best + 1, min(best + 4, count)):
            if heap[child] < heap[best]:
                best = child
        if heap[best] >= last:
            break
        heap[place] = heap[best]
        place = best
    heap[place] = last
    return top


@njit(cache=True, nogil=True)
def _spread(root, labels, weights, offsets, steps, bits, cost, parent, length):  # type: ignore[no-untyped-def]
    """Find the cheapest path from the root to every voxel of its piece: cost, direction of the one before it, length.

    A key is a cost and, in its low ``bits``, the voxel; a cost too large for its bits stays at the greatest, which still
    gives a tree.
    """
    most, low = (np.int64(1) << (62 - bits)) - 1, (np.int64(1) << bits) - 1
    heap, count, label = np.empty(1024, np.int64), 1, labels[root]
    heap[0], cost[root], parent[root], length[root] = root, 0, ROOT, 0
    while count:
        count -= 1
        key = pop(heap, count)
        v, c = key & low, key >> bits
        if c > cost[v]:
            continue
        for d in range(26):
            n = v + offsets[d]
            if labels[n] != label:
                continue
            new = min(c + steps[d] * np.int64(weights[n]), most)
            if new < cost[n]:
                cost[n], parent[n], length[n] = new, 25 - d, length[v] + steps[d]
                heap = push(heap, count, new << bits | n)
                count += 1


@njit(cache=True, nogil=True)
def _flood(first, labels, offsets, members, seen):  # type: ignore[no-untyped-def]
    """Collect the voxels of one piece (26 neighbours) in ``members``; return how many."""
    members[0], count, done = first, 1, 0
    seen[first] = True
    while done < count:
        v = members[done]
        done += 1
        for d in range(26):
            n = v + offsets[d]
            if labels[n] == labels[first] and not seen[n]:
                seen[n] = True
                members[count] = n
                count += 1
    return count


@njit(cache=True, nogil=True)
def _trace(tip, parent, offsets, tree, links, path):  # type: ignore[no-untyped-def]
    """Join a voxel to the tree; write the new path, up to the voxel where it ends, to ``path`` and return its length.

    The link between two voxels is noted at the later one, in the bit of the direction to the earlier.
    """
    v, count = tip, 1
    path[0] = v
    while not tree[v]:
        tree[v] = True
        d = parent[v]
        if d == ROOT:
            break
        n = v + offsets[d]
        if d < 13:
            links[v] |= np.uint16(1 << d)
        else:
            links[n] |= np.uint16(1 << (25 - d))
        v = n
        path[count] = v
        count += 1
    return count


@njit(cache=True, nogil=True)
def _cover(path, count, labels, radius, shape, offsets, widths, reach, covered, queue, origin):  # type: ignore[no-untyped-def]
    """Cover the voxels within ``reach[0] * radius + reach[1]`` of a path, from voxel to voxel of the object."""
    ny, nx = shape[1], shape[2]
    for i in range(count):
        queue[i], origin[i] = path[i], path[i]
        covered[path[i]] = True
    done, label = 0, labels[path[0]]
    while done < count:
        v, source = queue[done], origin[done]
        done += 1
        limit = reach[0] * radius[source] + reach[1]
        z0, y0, x0 = source // (ny * nx), source // nx % ny, source % nx
        for d in range(26):
            n = v + offsets[d]
            if labels[n] != label or covered[n]:
                continue
            z, y, x = widths[0] * (n // (ny * nx) - z0), widths[1] * (n // nx % ny - y0), widths[2] * (n % nx - x0)
            if z * z + y * y + x * x <= limit * limit:
                covered[n] = True
                queue[count], origin[count] = n, source
                count += 1


@njit(cache=True, nogil=True)
def _weigh(members, radius, weights):  # type: ignore[no-untyped-def]
    widest = 0.0
    for v in members:
        widest = max(widest, radius[v])
    for v in members:
        inner = 1.0 - radius[v] / (1.01 * widest)
        for _ in range(3):
            inner *= inner
        weights[v] = UNIT + np.int32(round(UNIT * PENALTY * inner))


@njit(cache=True, nogil=True)
def _farthest(members, length):  # type: ignore[no-untyped-def]
    best = members[0]
    for v in members:
        if length[v] > length[best] or (length[v] == length[best] and v < best):
            best = v
    return best


@njit(cache=True, nogil=True)
def _own(members, shape, inner):  # type: ignore[no-untyped-def]
    """Return the members that lie in the cell itself, not in the planes that it shares with the next cells."""
    kept, count = np.empty(len(members), np.int64), 0
    for v in members:
        z, y, x = v // (shape[1] * shape[2]), v // shape[2] % shape[1], v % shape[2]
        if z <= inner[0] and y <= inner[1] and x <= inner[2]:
            kept[count] = v
            count += 1
    return kept[:count]


@njit(cache=True, nogil=True)
def _is_bridge(members, labels, offsets, shape, inner):  # type: ignore[no-untyped-def]
    """Whether voxels outside the cell touch across its edge, which no other cell sees: their lower corner is in the cell."""
    for v in members:
        for d in range(26):
            n = v + offsets[d]
            if labels[n] == labels[v]:
                z = min(v // (shape[1] * shape[2]), n // (shape[1] * shape[2]))
                y = min(v // shape[2] % shape[1], n // shape[2] % shape[1])
                x = min(v % shape[2], n % shape[2])
                if z <= inner[0] and y <= inner[1] and x <= inner[2]:
                    return True
    return False


@njit(cache=True, nogil=True)
def _root_of(members, joins, labels, radius, weights, offsets, steps, bits, cost, parent, length):  # type: ignore[no-untyped-def]
    """Return the widest join; without joins the voxel farthest from the first one."""
    if len(joins):
        best = joins[0]
        for v in joins:
            if radius[v] > radius[best] or (radius[v] == radius[best] and v < best):
                best = v
        return best
    if len(members) == 1:
        return members[0]
    for v in members:
        weights[v] = 1
    _spread(members.min(), labels, weights, offsets, steps, bits, cost, parent, length)
    root = _farthest(members, length)
    for v in members:
        cost[v] = _OPEN
    return root


@njit(cache=True, nogil=True)
def _uncovered(own, covered, length, bits):  # type: ignore[no-untyped-def]
    """Return the voxels that no path covers yet, the farthest first, of equally far ones the first in the raster."""
    keys, count = np.empty(len(own), np.int64), 0
    for v in own:
        if not covered[v]:
            keys[count] = ((np.int64(1) << 32) - length[v]) << bits | v
            count += 1
    keys = np.sort(keys[:count])
    return keys & ((np.int64(1) << bits) - 1)


@njit(cache=True, nogil=True)
def trace_paths(labels, radius, is_join, shape, inner, offsets, steps, widths, reach):  # type: ignore[no-untyped-def]
    """Trace the skeletons of all pieces of a cell.

    All arrays are flat, over the cell with its shared high planes and one voxel of background around.

    Parameters: ``labels`` (n,) numbers, 0 is background; ``radius`` (n,) float32, nm; ``is_join`` (n,) bool: voxels that must
    be on the skeleton; ``shape`` (3,) of the padded array; ``inner`` (3,): last place of the cell itself along each axis;
    ``offsets``, ``steps`` (26,): to the neighbours in raster order, and their lengths as integers; ``widths`` (3,) nm;
    ``reach`` (2,): scale and const.

    Returns: ``tree`` (n,) bool, the voxels of the skeletons; ``links`` (n,) uint16, see `_trace`.
    """
    n, bits = len(labels), 1
    while n >> bits:
        bits += 1
    cost, length, weights = np.full(n, _OPEN, np.int64), np.zeros(n, np.int32), np.zeros(n, np.int32)
    parent, links = np.zeros(n, np.uint8), np.zeros(n, np.uint16)
    seen, tree, covered = np.zeros(n, np.bool_), np.zeros(n, np.bool_), np.zeros(n, np.bool_)
    pool, path = np.empty(n, np.int32), np.empty(n, np.int32)
    queue, origin = np.empty(n, np.int32), np.empty(n, np.int32)
    for first in range(n):
        if not labels[first] or seen[first]:
            continue
        members = pool[: _flood(first, labels, offsets, pool, seen)]
        own = _own(members, shape, inner)
        if not len(own) and not _is_bridge(members, labels, offsets, shape, inner):
            continue
        joins = members[is_join[members]]
        root = _root_of(members, joins, labels, radius, weights, offsets, steps, bits, cost, parent, length)
        _weigh(members, radius, weights)
        _spread(root, labels, weights, offsets, steps, bits, cost, parent, length)
        count = 0
        for v in joins:
            count += _trace(v, parent, offsets, tree, links, path[count:])
        if count:  # together: what one path has covered would be in the way of the next
            _cover(path, count, labels, radius, shape, offsets, widths, reach, covered, queue, origin)
        if len(own) and len(joins) < 2:
            count = _trace(_farthest(own, length), parent, offsets, tree, links, path)
            _cover(path, count, labels, radius, shape, offsets, widths, reach, covered, queue, origin)
        for v in _uncovered(own, covered, length, bits):
            if not covered[v]:
                count = _trace(v, parent, offsets, tree, links, path)
                _cover(path, count, labels, radius, shape, offsets, widths, reach, covered, queue, origin)
    return tree, links
