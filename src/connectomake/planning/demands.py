"""Memory and time of a job, computed from the block. Figures are per voxel or per patch, with a base for the process."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from connectomake.errors import ConfigError
from connectomake.geometry import volume_of
from connectomake.planning.fan_out import MB, TABLE_BYTES, agglomeration_bytes, merge_bytes
from connectomake.planning.mesh_tree import MeshTree
from connectomake.planning.plan import Plan
from connectomake.planning.scales import Scales
from connectomake.planning.skeletons import Skeletons
from connectomake.planning.times import LEAST_MINUTES, SECONDS_PER_MB, SPARE, read_bytes, seconds_of

LIGHT_PROCESS_MB = 100
PROCESS_MB = {
    "image": 260,
    "affinity": 600,
    "components": 220,
    "watershed": 300,
    "merge": 300,
    "lookup": LIGHT_PROCESS_MB,
    "agglomeration": 290,
    "history": 340,
    "segmentation": 250,
    "objects": 170,
    "measures": 260,
    "fragments": 340,
    "gather": 260,
    "meshes": 220,
    "traces": 300,
    "gather_traces": 220,
    "skeletons": 300,
    "ground_truth": 250,
    "contingency": 260,
    "evaluation": 110,
    "curve": 380,
    "pyramid": 260,
    "info": LIGHT_PROCESS_MB,
}
"""Memory of a stage's process before it reads anything, with some to spare; those with compiled code or torch need most."""
REMOTE_MB = 180
"""Of the Snakemake around a script on a cluster: measured 105, and up to 174 of jobs with hundreds of inputs."""
NETWORK_BYTES_PER_VOXEL = 1500
"""Of the input patch: measured 790 for residual U-Nets of 16 channels at full size, 1,050 with 24; wider ones need more."""
COMPONENTS_BYTES = 14
WATERSHED_BYTES = 10
"""Per voxel: labels, their table and graph; the three affinities are there twice while they are read."""
BOUNDARY_BYTES, INTERIOR_BYTES = 6, 4
"""Per voxel, where boundaries are left out: strongest edges and a copy of the labels; what is left of each label."""
ENCODED_BYTES = 16
"""Per voxel of a storage chunk: what its encoding can take at most, twice."""
TRACE_BYTES = 0.5
"""Per voxel of the region: one skeleton's voxel in 50 where objects are thin and dense, 22 bytes each; measured."""
GRAPH_TO_TABLES = 2.5
"""Estimated memory over bytes of the tables, of smooth affinities: 8 and 3.1 per voxel."""
PACK_BYTES = 0.2
"""Per voxel of the region, of mesh pieces."""
TRACED_BYTES, TRACED_HALO_BYTES = 50, 24
"""Per voxel of a cell, and of a cell with its halo."""
TILE_VOXELS = 1 << 23
PAIRS_BYTES = 0.01
"""Per voxel, of contingency tables: about 200 pairs of labels and as many contacts in a million voxels."""
SUPERVOXEL_BYTES = 0.2
"""Per voxel, of tables of supervoxels: up to 5,000 pairs with true objects in a million voxels."""
READ_TABLES = {"merge": 1.5, "lookup": 0.6, "agglomeration": 6.0, "history": 2.5, "objects": 2.5}
"""Memory per byte of the tables that a stage reads; measured 1.0, 0.3, 5.5, 1.6 and 1.7, on noise as on smooth affinities."""
HELD, HELD_TABLES = 700 << 20, 4
"""Bytes that stages which read range after range (`RANGED`) take at most, beside so many times the largest table: measured
620 MB for the objects, and 210 MB for the history of merges, of 10⁷ rows."""
RANGED = ("history", "objects")
NOISE_BYTES, LAST_ATTEMPT = 280, 3
"""Per voxel, the region graph of pure noise while it is made, a basin in every fourth voxel: measured 275. Nobody knows before
the job whether a network is that weak, so the last attempt of the cluster profiles asks for it."""


def _check(stage: str) -> None:
    """Raise a ConfigError unless the stage's jobs have demands; `watershed` is a way of `components`."""
    known = [name for name in PROCESS_MB if name != "watershed"]
    if stage not in known:
        raise ConfigError(f"no jobs are called {stage!r}, so their memory and time are unknown; known are {', '.join(known)}")


@dataclass(frozen=True)
class Demands:
    """Memory in MB and time in minutes of one job; `attempt` doubles both at each retry. An unknown stage is a ConfigError.

    Parameters
    ----------
    plan
        The plan.
    """

    plan: Plan

    @property
    def _voxels(self) -> int:
        shape = [min(b, r) for b, r in zip(self.plan.block, self.plan.roi.shape, strict=True)]
        return math.prod(shape)

    def memory(self, stage: str, attempt: int = 1, tables: Iterable[str] = ()) -> int:
        """Return the memory in MB that a job of a stage may take.

        Parameters
        ----------
        stage
            The stage.
        attempt
            1 for the first one; each further one gets double.
        tables
            Files that the job reads. Where the stage's memory follows from them (`READ_TABLES`) and all are there and say how
            large their arrays are, it is that; else an estimate from the block, which a weak network's many basins exceed.
        """
        _check(stage)
        read = [read_bytes(path) for path in tables] if stage in READ_TABLES else []
        if read and None not in read:
            sizes = [size for size in read if size is not None]
            needed = READ_TABLES[stage] * sum(sizes)
            needed = min(needed, HELD + HELD_TABLES * max(sizes)) if stage in RANGED else needed
        else:
            needed = self._estimate(stage)
        asked = (self._process(stage) + math.ceil(needed / MB)) << (attempt - 1)
        if stage == "components" and self.plan.watershed and attempt >= LAST_ATTEMPT:
            asked = max(asked, self._process(stage) + math.ceil(NOISE_BYTES * self._voxels / MB))
        return asked

    def _estimate(self, stage: str) -> float:
        """Return the bytes that a job of a stage may take beside its process, from the block alone."""
        estimates: dict[str, Callable[[], float]] = {
            "image": self._image,
            "affinity": self._affinity,
            "components": self._components,
            "segmentation": self._segmentation,
            "merge": lambda: merge_bytes(self.plan, self.plan.octree.bits),
            "lookup": lambda: merge_bytes(self.plan, self.plan.octree.bits) // 2,
            "agglomeration": lambda: agglomeration_bytes(self.plan, self.plan.octree.bits),
            "objects": self._ranged,
            "history": self._ranged,
            "fragments": self._fragments,
            "measures": self._fragments,
            "traces": self._traces,
            "gather_traces": self._skeletons,
            "skeletons": lambda: 4 * self._skeletons(),
            "ground_truth": lambda: 3 * 8 * volume_of((self.plan.chunk[0], *self.plan.block[1:])),
            "contingency": self._contingency,
            "pyramid": self._pyramid,
            "evaluation": lambda: int(2 * self._pairs_bytes * self.plan.evaluation_box.volume),
            "curve": lambda: int(4 * self._pairs_bytes * self.plan.evaluation_box.volume),
        }
        return estimates.get(stage, lambda: 0)()

    def _process(self, stage: str) -> int:
        """Memory in MB of a stage's process before it reads anything."""
        if stage == "components" and self.plan.watershed:
            stage = "watershed"
        if stage == "meshes" and self.plan.mesh_spec.lods == 1:
            return LIGHT_PROCESS_MB  # packs fragments as they are
        return PROCESS_MB[stage]

    def minutes(self, stage: str, attempt: int = 1, tables: Iterable[str] = ()) -> int:
        """Return the time in minutes that a job of a stage may take: generous, for clusters kill what exceeds it.

        Parameters
        ----------
        stage
            The stage.
        attempt
            1 for the first one; each further one gets double.
        tables
            Files that the job reads. Where the stage's time follows from them (`SECONDS_PER_MB`) and all are there and say how
            large they are, it is that; else an estimate from the voxels.
        """
        _check(stage)
        if stage in SECONDS_PER_MB:
            read = [read_bytes(path) for path in tables]
            held = float(sum(size for size in read if size is not None)) if read and None not in read else self._read(stage)
            seconds = SECONDS_PER_MB[stage] * held / self._jobs(stage) / MB
        else:
            seconds = seconds_of(self.plan, stage, self._voxels_of(stage))
        return (LEAST_MINUTES + math.ceil(SPARE * seconds / 60)) << (attempt - 1)

    def _voxels_of(self, stage: str) -> int:
        """Return the voxels of all blocks that a job of a stage reads."""
        blocks = {
            "fragments": self.plan.mesh_tree.group_bits,
            "measures": self.plan.measure_tree.group_bits,
            "contingency": self.plan.octree.bits,
        }
        if stage == "traces":
            blocks["traces"] = Skeletons(self.plan).tree.group_bits
        return self._voxels << min(blocks.get(stage, 0), self.plan.grid.id_bits)

    def _jobs(self, stage: str) -> int:
        """Return how many jobs share what they all open."""
        if stage == "skeletons":
            return len(Skeletons(self.plan).numbers)
        return self.plan.mesh_spec.sharding.count if stage == "meshes" else 1

    def _read(self, stage: str) -> float:
        """Return about how many bytes the largest job of a stage reads, all that its jobs share included."""
        bits, roi = self.plan.octree.bits, self.plan.roi.volume
        reads: dict[str, Callable[[], float]] = {
            "merge": lambda: merge_bytes(self.plan, bits),
            "lookup": lambda: merge_bytes(self.plan, bits),
            "agglomeration": lambda: agglomeration_bytes(self.plan, bits) / GRAPH_TO_TABLES,
            "history": lambda: 2 * TABLE_BYTES * roi,
            "objects": lambda: 2 * TABLE_BYTES * roi,
            "gather": lambda: PACK_BYTES * self._gathered(self.plan.mesh_tree),
            "meshes": lambda: PACK_BYTES * roi,
            "gather_traces": lambda: TRACE_BYTES * self._gathered(Skeletons(self.plan).tree),
            "skeletons": lambda: TRACE_BYTES * roi,
            "evaluation": lambda: 2 * self._pairs_bytes * self.plan.evaluation_box.volume,
            "curve": lambda: 2 * self._pairs_bytes * self.plan.evaluation_box.volume,
        }
        return reads[stage]()

    def _gathered(self, tree: MeshTree) -> int:
        """Return the voxels of the largest pack that is gathered, but no more than there are."""
        below = self.plan.grid.id_bits - tree.group_bits
        levels = max(-(-(below - tree.bits) // tree.bits), 1)
        bits = min(tree.group_bits + levels * tree.bits, self.plan.grid.id_bits)
        return min(self._voxels << bits, self.plan.roi.volume)

    @property
    def _probability_dtype(self) -> str:
        return self.plan.source.dtype if self.plan.probability is None else self.plan.layers[self.plan.probability].dtype

    def _components(self) -> int:
        itemsize = np.dtype(self._probability_dtype).itemsize
        boundary = BOUNDARY_BYTES + itemsize if self.plan.t_boundary else 0
        each = WATERSHED_BYTES + 6 * itemsize + boundary if self.plan.watershed else COMPONENTS_BYTES + itemsize
        return self._voxels * each

    def _image(self) -> int:
        row = volume_of((self.plan.chunk[0], *self.plan.block[1:]))
        return 3 * row * self.plan.source.channels * np.dtype(self.plan.source.dtype).itemsize

    def _affinity(self) -> int:
        """One row of patches of the image, one of the output in float32, one slab of storage chunks, one batch."""
        spec = self.plan.inference
        if spec is None:
            return 0
        depth, height, width = (min(b, r) for b, r in zip(self.plan.block, self.plan.roi.shape, strict=True))
        image = volume_of((spec.patch[0], height + 2 * spec.patch[1], width + 2 * spec.patch[2]))
        row = min(spec.output_patch[0], depth) * height * width
        slab = min(self.plan.chunk[0], depth) * height * width
        return (
            volume_of(spec.patch) * spec.batch * NETWORK_BYTES_PER_VOXEL
            + 3 * image * self.plan.source.channels * np.dtype(self.plan.source.dtype).itemsize
            + spec.channels * (4 * row + np.dtype(spec.dtype).itemsize * slab)
        )

    def _ranged(self) -> int:
        """Tables of the whole region, but no more of them than one range and the tables of one node."""
        node = min(self._voxels << self.plan.octree.bits, self.plan.roi.volume)
        return int(min(2 * TABLE_BYTES * self.plan.roi.volume, HELD + HELD_TABLES * TABLE_BYTES * node))

    def _pyramid(self) -> int:
        """A storage chunk, the eight or so below it, decoded and encoded; the indices of the shards that are read, mapped."""
        layers = [self.plan.layers[name] for name in Scales(self.plan).layers]
        voxel = max((spec.channels * np.dtype(spec.dtype).itemsize for spec in layers), default=0)
        return 40 * volume_of(self.plan.chunk) * voxel + self._voxels

    def _traces(self) -> int:
        """One cell with its halo, and the traces of a group."""
        skeletons = Skeletons(self.plan)
        cell = volume_of(skeletons.spec.around(skeletons.spec.largest).shape)
        group = self._voxels << min(skeletons.tree.group_bits, self.plan.grid.id_bits)
        own = volume_of(skeletons.spec.reach(skeletons.spec.largest).shape)
        return int(TRACED_BYTES * own + TRACED_HALO_BYTES * cell + TRACE_BYTES * group)

    def _skeletons(self) -> int:
        """The traces of one shard."""
        return int(TRACE_BYTES * self.plan.roi.volume / len(Skeletons(self.plan).numbers))

    def _contingency(self) -> int:
        """One tile of both labels, read and turned into integers, the face planes of a block, the tables of a node."""
        depth, height, width = self.plan.block
        faces = depth * height + depth * width + height * width
        tile = max(volume_of(self.plan.chunk), min(TILE_VOXELS, self._voxels))
        node = self._voxels << min(self.plan.octree.bits, self.plan.grid.id_bits)
        return int(40 * tile + 32 * faces + 2 * self._pairs_bytes * node)

    @property
    def _pairs_bytes(self) -> float:
        return PAIRS_BYTES + (SUPERVOXEL_BYTES if self.plan.curved else 0)

    def _segmentation(self) -> int:
        """One storage chunk, encoded, before and after, and the component shard, which is mapped; what is left of labels."""
        return ENCODED_BYTES * volume_of(self.plan.chunk) + (2 + (INTERIOR_BYTES if self.plan.t_boundary else 0)) * self._voxels

    def _fragments(self) -> int:
        """One slab of labels with what is cut from it, one cell, an index of the pieces."""
        thickness = math.lcm(self.plan.cells.cell[0], self.plan.chunk[0])
        depth, height, width = (min(b, r) for b, r in zip(self.plan.block, self.plan.roi.shape, strict=True))
        slab = volume_of((min(thickness, depth) + 2, height + 2, width + 2))
        return 30 * slab + 40 * volume_of(self.plan.cells.cell) + self._voxels
