"""Ingest: one block of a source becomes one shard of an image layer."""

import os
from collections.abc import Sequence
from typing import Any

from connectomake.errors import SourceError
from connectomake.geometry import Box
from connectomake.layers import LayerSpec, ShardWriter
from connectomake.sources.labels import Labels
from connectomake.sources.probability import probabilities
from connectomake.sources.read_log import LoggedReader
from connectomake.sources.source import Source

FILLED = "filled:"


def ingest_block(
    source: Source,
    spec: LayerSpec,
    block_id: int,
    path: str | os.PathLike[str],
    record: dict[str, Any],
    probability: Sequence[int] = (),
    noted: bool = False,
) -> None:
    """Copy the voxels of one block, in slabs of one storage chunk's height, so that memory is one slab.

    NaN and infinities of a float image are copied as they are; inference refuses them.

    Parameters
    ----------
    source
        The image.
    spec
        The layer that is written.
    block_id
        The block.
    path
        Its shard's file.
    record
        What to note at the end of the file: stage, fingerprint, software.
    probability
        Channels that must hold probabilities, 0 to 1.
    noted
        Whether the record also says what was read; see `connectomake.sources.read_log`.

    Raises
    ------
    SourceError
        If the source does not fit the layer, lacks voxels of the block, cannot be read, or has a value other than a probability
        in one of those channels. No file is left then.
    """
    check_fit(source, spec)
    reader = LoggedReader(source.read)
    read = probabilities(reader, probability, source.path)
    told = {"read": {"source": reader.lines}} if noted else {}
    with ShardWriter(path, spec, block_id, {**record, **told}) as writer:
        for slab in spec.slabs(block_id):
            writer.write(slab, read(slab))
        writer.note(**filled_fact(source, spec.grid.box(block_id)))


def filled_fact(source: Source | Labels, box: Box) -> dict[str, Any]:
    """Return what a block's record says of voxels that the source lacks and that were filled, and print it to the log.

    Parameters
    ----------
    source
        What was read.
    box
        The block, in voxels.

    Returns
    -------
    dict
        ``filled`` with the numbers of ``chunks`` and ``voxels``; empty if none was filled, so that records of complete sources
        do not change.
    """
    chunks, voxels = source.filled(box)
    if not voxels:
        return {}
    path = source.path if isinstance(source, Source) else source.source.path
    print(f"{FILLED} {voxels} voxels of this block, in {chunks} storage chunks that {path} lacks")  # noqa: T201
    return {"filled": {"chunks": chunks, "voxels": voxels}}


def check_fit(source: Source, spec: LayerSpec) -> None:
    """Raise a `SourceError` unless the source has the layer's dtype and channels, and covers its region."""
    if (source.dtype, source.channels) != (spec.dtype, spec.channels):
        raise SourceError(
            f"{source.path} has {source.channels} channels of {source.dtype}, but layer {spec.name} was planned with "
            f"{spec.channels} of {spec.dtype}; has the file changed? make the plan again"
        )
    if not source.bounds.contains(spec.roi):
        raise SourceError(
            f"{source.path} holds {source.bounds}, but the region of interest is {spec.roi}; change start or stop"
        )
