"""Imports before scripts are forked: what light stages need immediately, the rest while idle."""

import functools
import importlib
from collections.abc import Callable

FIRST = (
    "snakemake.script",
    "h5py",
    "tensorstore",
    "connectomake.jobs",
    "connectomake.components",
    "connectomake.sources",
    "connectomake.octree",
    "connectomake.segmentation",
)
LATER = (
    "compressed_segmentation", "connectomake.planning.infos", "connectomake.objects", "connectomake.meshes",
    "connectomake.meshes.simplify",
)  # fmt: skip


def first() -> None:
    """Import what labelling and merging need, and call their compiled functions."""
    for name in FIRST:
        importlib.import_module(name)
    _load_compiled()


def later() -> list[Callable[[], object]]:
    """Return what imports the rest, piece by piece."""
    return [functools.partial(importlib.import_module, name) for name in LATER]


def _load_compiled() -> None:
    """Call the compiled functions of light stages once, so that forks find them loaded."""
    import numpy as np

    from connectomake.components import label_block
    from connectomake.geometry import Box
    from connectomake.layers import segmentation_codec

    box = Box((0, 0, 0), (2, 2, 2))
    for dtype in (np.uint8, np.float32):
        labels = label_block(np.ones(box.shape, dtype), 0.5, 6, box, box).labels
    encoded = segmentation_codec.encode(labels[None])
    relabelled, _ = segmentation_codec.relabel(encoded, box.shape, np.arange(2, dtype=np.uint64))
    segmentation_codec.decode_part(relabelled, box.shape, box.shape)
