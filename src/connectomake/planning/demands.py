"""Memory and time of a job, computed from the block. Figures are per voxel or per patch, with a base for the process."""

import math
from dataclasses import dataclass

import numpy as np

from connectomake.geometry import volume_of
from connectomake.planning.plan import Plan

MB = 1 << 20
BASE_MB = 250
TORCH_MB = 700
NETWORK_BYTES_PER_VOXEL = 2000
COMPONENTS_BYTES = 14
REMAP_BYTES = 16
SECONDS_PER_MEGAVOXEL = {"image": 0.1, "affinity": 20.0, "components": 0.2, "segmentation": 0.2, "fragments": 10.0}


@dataclass(frozen=True)
class Demands:
    """Memory in MB and time in minutes of one job of a stage; `attempt` doubles both at each retry.

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

    def memory(self, stage: str, attempt: int = 1) -> int:
        """Return the memory in MB that a job of a stage may take."""
        needed = {
            "image": self._image,
            "affinity": self._affinity,
            "components": lambda: self._voxels * (COMPONENTS_BYTES + np.dtype(self._probability_dtype).itemsize),
            "segmentation": lambda: self._voxels * REMAP_BYTES,
            "merge": self._merge,
            "objects": self._merge,
            "fragments": self._fragments,
        }.get(stage, lambda: 0)()
        base = BASE_MB + (TORCH_MB if stage == "affinity" else 0)
        return (base + math.ceil(needed / MB)) << (attempt - 1)

    def minutes(self, stage: str, attempt: int = 1) -> int:
        """Return the time in minutes that a job of a stage may take: generous, for clusters kill what exceeds it."""
        voxels = self._voxels << (self.plan.mesh_tree.group_bits if stage == "fragments" else 0)
        seconds = SECONDS_PER_MEGAVOXEL.get(stage, 0.0) * voxels / 1e6
        return (10 + math.ceil(3 * seconds / 60)) << (attempt - 1)

    @property
    def _probability_dtype(self) -> str:
        return self.plan.source.dtype if self.plan.probability is None else self.plan.layers[self.plan.probability].dtype

    def _image(self) -> int:
        height = self.plan.chunk[0]
        row = volume_of((height, self.plan.block[1], self.plan.block[2]))
        return 3 * row * self.plan.source.channels * np.dtype(self.plan.source.dtype).itemsize

    def _affinity(self) -> int:
        spec = self.plan.inference
        if spec is None:
            return 0
        rows = min(self.plan.block[1], self.plan.roi.shape[1]), min(self.plan.block[2], self.plan.roi.shape[2])
        height = spec.output_patch[0] + self.plan.chunk[0]
        slab = height * (rows[0] + spec.patch[1]) * (rows[1] + spec.patch[2])
        network = volume_of(spec.patch) * spec.batch * NETWORK_BYTES_PER_VOXEL
        return network + slab * (4 * (spec.channels + 1) + 5 * self.plan.source.channels)

    def _merge(self) -> int:
        shape = [min(b, r) for b, r in zip(self.plan.block, self.plan.roi.shape, strict=True)]
        faces = 2 * (shape[0] * shape[1] + shape[0] * shape[2] + shape[1] * shape[2])
        children = min(1 << self.plan.octree.bits, self.plan.grid.count)
        return children * (faces * 4 + self._voxels // 50)

    def _fragments(self) -> int:
        return 40 * volume_of(self.plan.cells.cell) + 12 * self._voxels
