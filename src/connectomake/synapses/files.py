"""Contacts and synapses as a file for a table, or as a folder for Neuroglancer."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from connectomake import table_files
from connectomake.exporting import whole
from connectomake.geometry import Box
from connectomake.proofreading.annotations import write_annotations
from connectomake.proofreading.doubt_files import ANNOTATIONS, SUFFIXES

__all__ = ["SUFFIXES", "write_contacts"]


def write_contacts(columns: Mapping[str, np.ndarray], bounds: Box, voxel_size: Sequence[float], final: Path) -> None:
    """Write the columns of `contact_columns` in the format of the suffix; as annotations they are points with both objects."""
    if final.suffix != ANNOTATIONS:
        table_files.write_table(final, columns)
        return
    places = np.stack([columns[f"{axis}_nm"] for axis in "zyx"], axis=-1) / np.array(voxel_size, np.float64)
    properties = {
        "faces": (_uint32(columns["faces"]), "area in faces of voxels"),
        "area_nm2": (columns["area_nm2"].astype(np.float32), "area in square nanometres"),
    }
    objects = list(zip(columns["object_a"].tolist(), columns["object_b"].tolist(), strict=True))
    with whole(final) as temporary:
        write_annotations(temporary, places, bounds, voxel_size, properties, {}, objects)


def _uint32(values: np.ndarray) -> np.ndarray:
    return np.asarray(np.minimum(values, np.iinfo(np.uint32).max), np.uint32)
