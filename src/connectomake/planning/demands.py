"""Memory and time of a job, computed from the block. Figures are per voxel or per patch, with a base for the process."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from connectomake.errors import ConfigError
from connectomake.geometry import volume_of
from connectomake.planning import took
from connectomake.planning.fan_out import MB, TABLE_BYTES, agglomeration_bytes, merge_bytes
from connectomake.planning.mesh_tree import MeshTree
from connectomake.planning.plan import Plan
from connectomake.planning.scales import Scales
from connectomake.planning.skeletons import Skeletons
from connectomake.planning.times import LEAST_MINUTES, SECONDS_PER_MB, SPARE, read_bytes, seconds_of

REMOTE_MB = 180
"""Of the Snakemake around a script on a cluster: measured 105, and up to 174 of jobs with hundreds of inputs."""


def _check(stage: str) -> None:
    """Raise a ConfigError unless the stage's jobs have demands; `watershed` is a way of `components`."""
    known = [name for name in took.PROCESS_MB if name != "watershed"]
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

    def memory(self, stage: str, attempt: int = 1, tables: Iterable[str] = (), group: int | None = None) -> int:
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
        group
            The group of blocks of a job of `traces`: one that no cell begins in has nothing to do. None: the largest.
        """
        _check(stage)
        read = [read_bytes(path) for path in tables] if stage in took.READ_TABLES else []
        if read and None not in read:
            sizes = [size for size in read if size is not None]
            needed = took.READ_TABLES[stage] * self._share(stage) * sum(sizes)
            needed = min(needed, took.HELD + took.HELD_TABLES * max(sizes)) if stage in took.RANGED else needed
        else:
            needed = self._traces(group) if stage == "traces" else self._estimate(stage)
        asked = (self._process(stage) + math.ceil(needed / MB)) << (attempt - 1)
        if stage == "components" and self.plan.watershed and attempt >= took.LAST_ATTEMPT:
            asked = max(asked, self._process(stage) + math.ceil(took.NOISE_BYTES * self._voxels / MB))
        return asked

    def disk(self, stage: str, attempt: int = 1, tables: Iterable[str] = ()) -> int:
        """Return the disk in MB that a job may take which puts tables aside.

        That is what it reads, where that is brought to it, what it puts aside and sorts, and what it writes.

        Parameters
        ----------
        stage
            `history` or `objects`.
        attempt
            1 for the first one; each further one gets double.
        tables
            Files that the job reads; see `memory`.
        """
        _check(stage)
        return took.LEAST_DISK_MB + math.ceil(took.DISK_TABLES * self._tables_bytes(stage, tables) / MB) << (attempt - 1)

    def _tables_bytes(self, stage: str, tables: Iterable[str]) -> float:
        """Return the bytes of the files that a job reads, where all are there and tell; else an estimate."""
        read = [read_bytes(path) for path in tables]
        return float(sum(size for size in read if size is not None)) if read and None not in read else self._read(stage)

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
            "gather": lambda: took.READ_TABLES["gather"] * self._read("gather"),
            "meshes": lambda: took.READ_TABLES["meshes"] * self._share("meshes") * self._read("meshes"),
            "gather_traces": lambda: took.READ_TABLES["gather_traces"] * self._share("skeletons") * self._read("gather_traces"),
            "skeletons": lambda: took.READ_TABLES["skeletons"] * self._share("skeletons") * self._read("skeletons"),
            "ground_truth": lambda: 3 * 8 * volume_of((self.plan.chunk[0], *self.plan.block[1:])),
            "contingency": self._contingency,
            "pyramid": self._pyramid,
            "evaluation": lambda: took.READ_TABLES["evaluation"] * self._read("evaluation"),
            "curve": lambda: took.READ_TABLES["curve"] * self._read("curve"),
            "report_run": lambda: took.BLOCK_BYTES * self.plan.grid.count,
            "report_blocks": lambda: took.BLOCK_BYTES * self.plan.grid.count,
            "report_slices": lambda: took.SECTION_BYTES * math.prod(min(took.SECTION_SIDE, n) for n in self.plan.roi.shape[1:]),
            "report_objects": lambda: took.DRAWN_BYTES * min(took.PACK_BYTES * self.plan.roi.volume, took.MOST_DRAWN),
        }
        return estimates.get(stage, lambda: 0)()

    def _process(self, stage: str) -> int:
        """Memory in MB of a stage's process before it reads anything."""
        if stage == "components" and self.plan.watershed:
            stage = "watershed"
        if stage == "meshes" and self.plan.mesh_spec.lods == 1:
            return took.LIGHT_PROCESS_MB  # packs fragments as they are
        return took.PROCESS_MB[stage]

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
            seconds = SECONDS_PER_MB[stage] * self._tables_bytes(stage, tables) / self._jobs(stage) / MB
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
            "agglomeration": lambda: agglomeration_bytes(self.plan, bits) / took.GRAPH_TO_TABLES,
            "history": lambda: 2 * TABLE_BYTES * roi,
            "objects": lambda: 2 * TABLE_BYTES * roi,
            "gather": lambda: took.PACK_BYTES * self._gathered(self.plan.mesh_tree),
            "meshes": lambda: took.PACK_BYTES * roi,
            "gather_traces": lambda: took.TRACE_BYTES * self._gathered(Skeletons(self.plan).tree),
            "skeletons": lambda: took.TRACE_BYTES * roi,
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
        boundary = took.BOUNDARY_BYTES + itemsize if self.plan.t_boundary else 0
        each = took.WATERSHED_BYTES + 6 * itemsize + boundary if self.plan.watershed else took.COMPONENTS_BYTES + itemsize
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
            volume_of(spec.patch) * spec.batch * took.NETWORK_BYTES_PER_VOXEL
            + 3 * image * self.plan.source.channels * np.dtype(self.plan.source.dtype).itemsize
            + spec.channels * (4 * row + np.dtype(spec.dtype).itemsize * slab)
        )

    def _ranged(self) -> int:
        """Tables of the whole region, but no more of them than one range and the tables of one node."""
        node = min(self._voxels << self.plan.octree.bits, self.plan.roi.volume)
        return int(min(2 * TABLE_BYTES * self.plan.roi.volume, took.HELD + took.HELD_TABLES * TABLE_BYTES * node))

    def _pyramid(self) -> int:
        """A storage chunk, the eight or so below it, decoded and encoded; the indices of the shards that are read, mapped."""
        layers = [self.plan.layers[name] for name in Scales(self.plan).layers]
        voxel = max((spec.channels * np.dtype(spec.dtype).itemsize for spec in layers), default=0)
        return 40 * volume_of(self.plan.chunk) * voxel + self._voxels

    def _traces(self, group: int | None) -> int:
        """The largest cell with its halo, and the traces of a group; nothing where no cell begins."""
        skeletons = Skeletons(self.plan)
        spec, box = skeletons.spec, self.plan.roi if group is None else skeletons.tree.box(0, group)
        ranges = spec.lattice.ranges_in(box)
        if not all(ranges):
            return 0
        own, around = np.zeros(3, np.int64), np.zeros(3, np.int64)
        for step in (-1, 0, 1):  # least is cut off in the middle of the region
            middle = [(n - 1) // 2 + step for n in spec.lattice.shape]
            z, y, x = (min(max(n, cells[0]), cells[-1]) for n, cells in zip(middle, ranges, strict=True))
            own = np.maximum(own, spec.reach((z, y, x)).shape)
            around = np.maximum(around, spec.around((z, y, x)).shape)
        largest = self._voxels << min(skeletons.tree.group_bits, self.plan.grid.id_bits)
        traced = took.TRACED_BYTES * math.prod(own.tolist()) + took.TRACED_HALO_BYTES * math.prod(around.tolist())
        return int(traced + took.TRACE_BYTES * (largest if group is None else box.volume))

    def _share(self, stage: str) -> float:
        """Return the part of what a job reads that it holds at a time, at most."""
        if stage not in took.ONE_SHARD:
            return 1.0
        shards = self.plan.mesh_spec.sharding.count if stage == "meshes" else len(Skeletons(self.plan).numbers)
        return min(took.SKEW / shards, 1.0)

    def _contingency(self) -> int:
        """One tile of both labels, read and turned into integers, the face planes of a block, the tables of a node."""
        depth, height, width = self.plan.block
        faces = depth * height + depth * width + height * width
        tile = max(volume_of(self.plan.chunk), min(took.TILE_VOXELS, self._voxels))
        node = self._voxels << min(self.plan.octree.bits, self.plan.grid.id_bits)
        return int(40 * tile + 32 * faces + 2 * self._pairs_bytes * node)

    @property
    def _pairs_bytes(self) -> float:
        return took.PAIRS_BYTES + (took.SUPERVOXEL_BYTES if self.plan.curved else 0)

    def _segmentation(self) -> int:
        """One storage chunk, encoded, before and after, and the component shard, which is mapped; what is left of labels."""
        return (
            took.ENCODED_BYTES * volume_of(self.plan.chunk)
            + (2 + (took.INTERIOR_BYTES if self.plan.t_boundary else 0)) * self._voxels
        )

    def _fragments(self) -> int:
        """One slab of labels with what is cut from it, one cell, an index of the pieces."""
        thickness = math.lcm(self.plan.cells.cell[0], self.plan.chunk[0])
        depth, height, width = (min(b, r) for b, r in zip(self.plan.block, self.plan.roi.shape, strict=True))
        slab = volume_of((min(thickness, depth) + 2, height + 2, width + 2))
        return 30 * slab + 40 * volume_of(self.plan.cells.cell) + self._voxels
