"""Inference of one block: patches in lattice order, blended and handed on slab by slab."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from connectomake.errors import ModelError, RunError
from connectomake.geometry.box import Box, Vec
from connectomake.geometry.lattice import PatchLattice
from connectomake.geometry.mirror import Reader, read_reflected
from connectomake.inference.backend import Backend, Blender, backend_of
from connectomake.inference.batches import Answer, Batches, InferenceStats, Network, Row
from connectomake.inference.chance import Askable
from connectomake.inference.context import check_finite
from connectomake.inference.queues import ReadAhead, WriteBehind
from connectomake.inference.spec import InferenceSpec
from connectomake.inference.values import BadOutputError, complaint

Sink: TypeAlias = Callable[[Box, NDArray[Any]], None]
"""Takes a finished slab: its box and its voxels (c, z, y, x)."""

Progress: TypeAlias = Callable[[int, int], None]
"""Takes the number of patches done and of all patches of the block."""


@dataclass(slots=True)
class _Job:
    read: Reader
    bounds: Box
    network: Network
    spec: InferenceSpec
    lattice: PatchLattice
    box: Box
    write: Sink
    slab: int
    again: Callable[[], Askable] | None
    probabilities: frozenset[int]
    backend: Backend
    wanted: Callable[[Box], bool] | None
    stats: InferenceStats = field(default_factory=InferenceStats)


def infer_block(
    read: Reader,
    bounds: Box,
    network: Network,
    spec: InferenceSpec,
    lattice: PatchLattice,
    box: Box,
    write: Sink,
    slab: int,
    progress: Progress | None = None,
    again: Callable[[], Askable] | None = None,
    probabilities: Iterable[int] = (),
    backend: Backend | None = None,
    wanted: Callable[[Box], bool] | None = None,
) -> InferenceStats:
    """Run the network over one block and hand its output on slab by slab.

    Every lattice patch whose output meets the block is computed, weighted with the bump function, summed in lattice
    order in float32 and divided by the sum of the lattice's weights. What a voxel becomes depends on the lattice, the
    image and the network, not on the block. The next row of patches is read and the last slab written in threads beside
    the network. Memory: two rows of input patches in the image's dtype, one of output in float32, two slabs, one batch.

    Parameters
    ----------
    read, bounds
        Reads a box of the image inside `bounds`, (c, z, y, x) or (z, y, x); beyond these it is mirrored.
    network
        From `connectomake.inference.models.load_network`.
    spec, lattice
        Patch shapes, channels, dtype, batch; ``spec.lattice(roi)``.
    box
        The block, inside the region of interest.
    write
        Takes slabs of the whole block in y and x, `slab` planes thick but for the last, from the block's start on.
    slab
        Planes per slab: the storage chunk's z.
    progress
        Called after each patch with the number of patches done.
    again
        Loads the network anew; its answer to a patch is then compared with the network's, bit for bit, at the cost of a
        forward pass per block (of two more in blocks of many). None does not compare.
    probabilities
        Channels of a float32 output that must lie in 0 to 1; of uint8 all must.
    backend
        Where patches are cut and blended; default that of the network's device.
    wanted
        Returns for a part of the block whether any voxel of its output is used; called in lattice order. The network is not run
        for a patch without such voxels, and its output there may be anything. None: all are.

    Raises
    ------
    RunError
        If the block leaves the region, or the image has a value that is not finite or a dtype the network cannot read.
    ModelError
        If the network fails, its output has the wrong form, a value that is not finite or no probability, or is another
        when it is asked again.
    """
    side = backend or backend_of(network)
    job = _Job(read, bounds, network, spec, lattice, box, write, slab, again, frozenset(probabilities), side, wanted)
    return _run(job, progress)


def _run(job: _Job, progress: Progress | None) -> InferenceStats:
    """Make the whole block, counting patches and time."""
    if not job.lattice.roi.contains(job.box) or job.box.empty:
        raise RunError(f"the block {job.box} is not inside the region of interest {job.lattice.roi}")
    began = time.perf_counter()
    total = job.lattice.count(job.box)
    for done in _blend(job):
        job.stats.patches = done
        if progress is not None:
            progress(done, total)
    job.stats.seconds = time.perf_counter() - began
    return job.stats


def _blend(job: _Job) -> Iterator[int]:
    """Run all patches of the block, yielding how many are done after each."""
    network = job.network
    checked = range(job.spec.channels) if job.spec.dtype == "uint8" else job.probabilities
    blender = job.backend.blender(job.lattice, job.box, job.spec.channels, network.weighted, checked)
    starts = job.lattice.patches_meeting(job.box)
    rows, behind = ReadAhead(_rows(job, starts)), WriteBehind(lambda box, planes: job.write(box, planes()))
    try:
        with behind, rows:
            slabs = _SlabWriter(job, blender, behind)
            for done, (output, start) in enumerate(_outputs(job, starts, rows), start=1):
                slabs.advance(int(start[0]) - job.box.start[0])
                blender.add(output, start)
                yield done
            slabs.advance(job.box.shape[0])
    except BadOutputError as bad:
        read = lambda box: read_reflected(job.read, box, job.bounds)  # noqa: E731
        raise ModelError(complaint(bad, network, job.spec, job.lattice, read)) from None
    stats = job.stats
    stats.read_seconds, stats.read_wait_seconds = rows.busy_seconds, rows.waited_seconds
    stats.write_seconds, stats.write_wait_seconds = behind.busy_seconds, behind.waited_seconds
    stats.forward_seconds = job.backend.forward_seconds()


def _outputs(job: _Job, starts: NDArray[np.int64], rows: Iterable[NDArray[Any]]) -> Iterator[Answer]:
    """Yield each patch's output and place, in lattice order."""
    batches = Batches(job.network, job.backend, job.spec, job.stats, len(starts), job.again, _wanted(job))
    origin = starts.min(axis=0)
    planes = np.flatnonzero(np.diff(starts[:, 0], prepend=starts[0, 0] - 1))
    for image, row_starts in zip(rows, np.split(starts, planes[1:]), strict=False):  # `rows` is asked once more, for its end
        row = Row(image, job.backend.upload(image))
        del image
        for start in row_starts:
            _, y, x = (int(v) for v in start - origin)
            yield from batches.put(row, (y, x), start)
        del row
    yield from batches.rest()


def _wanted(job: _Job) -> Callable[[NDArray[np.int64]], bool] | None:
    """Return a function of a patch's position that says whether its output is used in the block."""
    wanted = job.wanted
    if wanted is None:
        return None
    return lambda start: wanted(Box.of_shape(job.spec.output_patch, _vec(start)).intersect(job.box))


def _rows(job: _Job, starts: NDArray[np.int64]) -> Iterator[NDArray[Any]]:
    """Yield the image of each row of patches in z."""
    low = starts.min(axis=0) - job.spec.margin
    high = starts.max(axis=0) - job.spec.margin + job.spec.patch
    for z in np.unique(starts[:, 0]) - job.spec.margin[0]:
        box = Box(_vec((z, *low[1:])), _vec((z + job.spec.patch[0], *high[1:])))
        image = read_reflected(job.read, box, job.bounds)
        check_finite(image, box, "the image")
        yield image
        del image  # before the next is read


def _vec(values: Any) -> Vec:
    z, y, x = (int(v) for v in values)
    return (z, y, x)


class _SlabWriter:
    """Collects finished planes and hands them on when a slab is full."""

    def __init__(self, job: _Job, blender: Blender, behind: WriteBehind) -> None:
        self._job = job
        self._blender = blender
        self._behind = behind
        self._done = 0
        self._planes: Any = None

    def advance(self, stop: int) -> None:
        """Finish all planes below `stop`, counted from the block's start."""
        while self._done < stop:
            at = self._done % self._job.slab
            if at == 0:
                planes = min(self._job.slab, self._job.box.shape[0] - self._done)
                self._planes = self._blender.new_slab(planes, self._job.spec.dtype)
            planes = min(self._planes.shape[1] - at, stop - self._done)
            self._blender.finish(self._planes, at, planes)
            self._done += planes
            if at + planes == self._planes.shape[1]:
                self._flush()

    def _flush(self) -> None:
        low, high = self._job.box.start, self._job.box.stop
        stop = low[0] + self._done
        box = Box((stop - self._planes.shape[1], low[1], low[2]), (stop, high[1], high[2]))
        self._behind.put(box, self._blender.fetch(self._planes))
        self._planes = None
