"""Contacts and synapses as a file for a table, or as a folder for Neuroglancer."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from connectomake import table_files
from connectomake.exporting import whole
from connectomake.geometry import Box
from connectomake.proofreading.annotations import write_annotations
from connectomake.proofreading.doubt_files import ANNOTATIONS, SUFFIXES

__all__ = ["SUFFIXES", "write_contacts", "write_synapses"]


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


def write_synapses(columns: Mapping[str, np.ndarray], bounds: Box, voxel_size: Sequence[float], final: Path) -> None:
    """Write the columns of `synapse_columns` in the format of the suffix; annotations are lines between the partners."""
    if final.suffix != ANNOTATIONS:
        table_files.write_table(final, columns)
        return
    ends = [np.stack([columns[f"{axis}_{number}_nm"] for axis in "zyx"], axis=-1) for number in (1, 2)]
    lines = np.stack(ends, axis=1) / np.array(voxel_size, np.float64)
    cells = [list(map(int, text.split())) for text in columns["cells"].tolist()]
    properties = {  # a number of uint32 only at the start: neuroglancer's Python reader takes its alignment for three bytes
        "cells": (np.array(list(map(len, cells)), np.uint32), "how many cells are within reach"),
        "voxels": (columns["voxels"].astype(np.float32), "of the cleft"),
        "voxels_1": (columns["voxels_1"].astype(np.float32), "of the first partner, within reach"),
        "voxels_2": (columns["voxels_2"].astype(np.float32), "of the second partner, within reach"),
    }
    with whole(final) as temporary:
        write_annotations(temporary, lines, bounds, voxel_size, properties, {}, cells)


def _uint32(values: np.ndarray) -> np.ndarray:
    return np.asarray(np.minimum(values, np.iinfo(np.uint32).max), np.uint32)
