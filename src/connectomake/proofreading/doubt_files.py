"""Doubts as a table file, or as an annotation layer for Neuroglancer."""

from pathlib import Path

import numpy as np

from connectomake import table_files
from connectomake.exporting import whole
from connectomake.planning.plan import Plan
from connectomake.proofreading.annotations import write_annotations
from connectomake.proofreading.doubts import MERGE, SPLIT, Doubts

ANNOTATIONS = ".annotations"
SUFFIXES = (*table_files.SUFFIXES, ANNOTATIONS)


def write_doubts(doubts: Doubts, plan: Plan, final: Path) -> None:
    """Write doubts in the format of the suffix; equal doubts give equal bytes, and what is there is whole or absent."""
    if final.suffix == ANNOTATIONS:
        with whole(final) as temporary:
            _annotations(doubts, plan, temporary)
    else:
        table_files.write_table(final, doubts.named())


def _annotations(doubts: Doubts, plan: Plan, folder: Path) -> None:
    places = np.stack([doubts.z_nm, doubts.y_nm, doubts.x_nm], axis=-1) / np.array(plan.source.voxel_size, np.float64)
    kinds = (MERGE, SPLIT)
    properties = {
        "rank": (np.arange(1, len(doubts) + 1, dtype=np.uint32), "1 is the greatest doubt"),
        "doubt": (doubts.doubt.astype(np.float32), "what the rank is from"),
        "affinity": (doubts.affinity.astype(np.float32), "mean of the contact"),
        "faces": (
            np.minimum(doubts.faces, np.iinfo(np.uint32).max).astype(np.uint32),
            "area of the contact in faces of voxels",
        ),
        "voxels": (doubts.voxels.astype(np.float32), "of the smaller side"),
        "kind": (np.array([kinds.index(k) for k in doubts.kind.tolist()], np.uint8), "a merge or a split that is in doubt"),
    }
    objects = [sorted({a, b}) for a, b in zip(doubts.object_a.tolist(), doubts.object_b.tolist(), strict=True)]
    write_annotations(folder, places, plan.roi, plan.source.voxel_size, properties, {"kind": kinds}, objects)
