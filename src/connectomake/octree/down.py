"""The way down: final ids for what the children could not decide."""

from collections.abc import Mapping

import numpy as np

from connectomake.errors import RunError


def final_ids(open_rows: int, closed_key: np.ndarray, open_ids: np.ndarray, place: str) -> np.ndarray:
    """List the final id of every slot of a node: background, open sets, closed objects.

    Parameters
    ----------
    open_rows
        Number of the node's open sets.
    closed_key
        (c,) uint64: keys of its closed objects, which are their ids.
    open_ids
        (o,) uint64: final ids of its open sets, from its parent.
    place
        Name of the node, for the message.

    Raises
    ------
    RunError
        If the parent's table has another length than the node has open sets.
    """
    if len(open_ids) != open_rows:
        raise RunError(
            f"{place} has {open_rows} open components but its parent has ids for {len(open_ids)}: the merge files are "
            "not of the same run; delete the merge folder and rerun"
        )
    return np.concatenate([np.zeros(1, np.uint64), open_ids, closed_key])


def tables_for_children(
    slots: Mapping[int, np.ndarray], open_rows: int, closed_key: np.ndarray, open_ids: np.ndarray, place: str = "the node"
) -> dict[int, np.ndarray]:
    """Make the look-up tables of a node's children.

    Parameters
    ----------
    slots
        Per child, see `NodeSummary`.
    open_rows, closed_key
        See `final_ids`.
    open_ids
        (o,) uint64: final ids of its open sets, in order; empty at the top.
    place
        Name of the node, for messages.

    Returns
    -------
    dict
        Per child, uint64: at level 1 the final id of each label of the block, from label 0; above, the final id of each
        of the child's open sets, in order.
    """
    ids = final_ids(open_rows, closed_key, open_ids, place)
    return {child: ids[found] for child, found in slots.items()}
