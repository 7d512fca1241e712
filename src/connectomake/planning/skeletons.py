"""The skeletons of a run: which blocks are traced in one job, names of all files, and which are made from which."""

import functools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from connectomake.errors import ConfigError
from connectomake.geometry import as_vec
from connectomake.geometry.grid import number_of
from connectomake.geometry.morton import bit_order
from connectomake.planning.asked import grid_around
from connectomake.planning.fan_out import fan_out_bits
from connectomake.planning.group_tree import GroupTree
from connectomake.planning.plan import Plan

if TYPE_CHECKING:
    from connectomake.skeletons import SkeletonSpec

LAYER = "segmentation/skeletons"


@dataclass(frozen=True)
class Skeletons:
    """Files of skeletons and of the traces that they are made from.

    Parameters
    ----------
    plan
        The plan.
    """

    plan: Plan

    @property
    def config(self) -> dict[str, Any]:
        """The config's section."""
        section: dict[str, Any] = self.plan.config["skeletons"]
        return section

    @property
    def enabled(self) -> bool:
        """Whether skeletons are made."""
        return bool(self.config["enabled"])

    @functools.cached_property
    def spec(self) -> "SkeletonSpec":
        """How skeletons are cut, traced and stored."""
        from connectomake.skeletons import SkeletonSpec

        c = self.config
        return SkeletonSpec(
            self.plan.roi, as_vec(c["cell"]), self.plan.source.voxel_size, scale=float(c["scale"]), const=float(c["const"]),
            halo=float(c["halo"]), min_voxels=int(c["min_voxels"]),
        )  # fmt: skip

    @functools.cached_property
    def tree(self) -> GroupTree:
        """Groups of blocks that are traced in one job, and how their traces are gathered.

        A group is as large as its voxels allow and the shards that its cells meet, which are no more than the fan-out; a group
        has at least one block. A cell is traced where it begins, if it has a voxel inside the mask.
        """
        bits = fan_out_bits(self.plan)
        tree = GroupTree.of(self.plan.grid, int(self.config["voxels_per_job"]), bits)
        group_bits = tree.group_bits
        reach = as_vec([-(-cell // block) for cell, block in zip(self.spec.cell, self.plan.block, strict=True)])
        while group_bits and self.shards_met(group_bits) > 1 << bits:
            group_bits -= 1
        return GroupTree(self.plan.grid, group_bits, bits, grid_around(self.plan, (0, 0, 0), reach))

    def shards_met(self, group_bits: int) -> int:
        """Return the most shards that the cells of one group meet: its blocks, and those around that their halos reach."""
        grid, low = self.plan.grid, [axis for axis, _ in bit_order(self.plan.grid.bits)[:group_bits]]
        counts = []
        for axis, (block, cell, halo) in enumerate(zip(grid.block, self.spec.cell, self.spec.halo_voxels, strict=True)):
            own = 1 << low.count(axis)
            beyond = (cell - 1 if block * own % cell else 0) + 1 + halo
            counts.append(min(own - (-halo // block) - (-beyond // block), grid.shape[axis]))
        return math.prod(counts)

    def traces(self, level: int, node: int) -> str:
        """Return the traces of a group of blocks, or of several groups."""
        return f"{self.plan.outdir}/traces/{level}/{self.tree.name(level, node)}.h5"

    def blocks(self, group: int) -> list[int]:
        """Return the blocks whose shards a group is traced from."""
        return self.plan.grid.ids_meeting(self.spec.needed(self.tree.box(0, group)))

    @property
    def numbers(self) -> range:
        """Numbers of the shards."""
        return range(self.spec.sharding.count)

    def shard(self, number: int) -> str:
        """Return a file of skeletons."""
        return f"{self.plan.outdir}/{LAYER}/{self.spec.sharding.name(number)}"

    def lengths(self, number: int) -> str:
        """Return the lengths of a file's skeletons."""
        return f"{self.plan.outdir}/objects/skeletons/{self.spec.sharding.hex(number)}.h5"

    def parse(self, name: str) -> int:
        """Return the number of a file of skeletons.

        Raises
        ------
        ConfigError
            If there is no such file.
        """
        number = number_of(name)
        if number not in self.numbers or self.spec.sharding.hex(number) != name:
            raise ConfigError(f"skeleton file {name!r} does not exist: there are {len(self.numbers)}")
        return number

    @property
    def info(self) -> str:
        """The info of the skeletons."""
        return f"{self.plan.outdir}/{LAYER}/info"
