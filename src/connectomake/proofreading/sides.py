"""The two sides of every merge: the parts that would be separate if only this merge had not been made."""

import numpy as np

from connectomake.compiled import njit
from connectomake.errors import RunError


def sides_of(voxels: np.ndarray, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the voxels on both sides of each edge of a forest.

    Parameters
    ----------
    voxels
        (n,) uint64: of each node.
    a, b
        (m,) int64: the nodes that an edge joins; no edge closes a circle.

    Returns
    -------
    side_a, side_b : (m,) uint64
        Voxels of all nodes that hang together with a, and with b, without this edge.
    root : (n,) int64
        The smallest node of the tree that each node is in.

    Raises
    ------
    RunError
        If an edge closes a circle.

    Examples
    --------
    Four nodes in a row, of 1, 2, 4 and 8 voxels; without the edge in the middle, 3 and 12 voxels come apart.

    >>> sides_of(np.array([1, 2, 4, 8], np.uint64), np.array([0, 1, 2]), np.array([1, 2, 3]))[:2]
    (array([1, 3, 7], dtype=uint64), array([14, 12,  8], dtype=uint64))
    """
    from connectomake.union_find import unite

    pairs = np.stack([a, b], axis=-1).astype(np.int64)
    root = np.asarray(unite(len(voxels), pairs))
    if len(pairs) != len(voxels) - np.count_nonzero(root == np.arange(len(voxels))):
        raise RunError("the history of merges joins two parts twice; run `connectomake verify --deep`")
    below, above = _summed(voxels.astype(np.uint64), pairs, root)
    whole = np.zeros(len(voxels), np.uint64)
    np.add.at(whole, root, voxels.astype(np.uint64))
    total = whole[root[pairs[:, 0]]]
    child_is_b = above[pairs[:, 1]] == np.arange(len(pairs))
    child = np.where(child_is_b, pairs[:, 1], pairs[:, 0])
    far, near = below[child], total - below[child]
    return np.where(child_is_b, near, far), np.where(child_is_b, far, near), root


@njit(cache=True, nogil=True)
def _summed(voxels, pairs, root):  # type: ignore[no-untyped-def]
    """Return the voxels of each node with all that hang below it, seen from the root, and the edge upwards or -1."""
    n, m = voxels.size, pairs.shape[0]
    head, following = np.full(n, -1, np.int64), np.empty(2 * m, np.int64)
    for half in range(2 * m):
        node = pairs[half // 2, half % 2]
        following[half], head[node] = head[node], half
    above, order = np.full(n, -1, np.int64), np.empty(n, np.int64)
    done, waiting = 0, 0
    for node in range(n):
        if root[node] == node:
            order[waiting] = node
            waiting += 1
    while done < waiting:
        node = order[done]
        done += 1
        half = head[node]
        while half >= 0:
            edge = half // 2
            if edge != above[node]:
                other = pairs[edge, 1 - half % 2]
                above[other] = edge
                order[waiting] = other
                waiting += 1
            half = following[half]
    below = voxels.copy()
    for place in range(n - 1, -1, -1):
        node = order[place]
        if above[node] >= 0:
            edge = above[node]
            other = pairs[edge, 0] if pairs[edge, 1] == node else pairs[edge, 1]
            below[other] += below[node]
    return below, above
