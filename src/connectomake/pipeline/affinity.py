"""The network's output: affinities or a probability."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from connectomake.errors import ConfigError
from connectomake.geometry import Vec, volume_of
from connectomake.pipeline.base import Inputs, Stage, each
from connectomake.pipeline.image import Image, mask_values, source_values
from connectomake.pipeline.kinds import BlockRule

if TYPE_CHECKING:
    from connectomake.geometry import Box
    from connectomake.inference.engine import Sink
    from connectomake.inference.spec import InferenceSpec
    from connectomake.pipeline.job import Job
    from connectomake.planning.plan import Plan
    from connectomake.sources.mask import Mask

NETWORK_BYTES_PER_VOXEL = 1500
"""Of the input patch: measured 790 for residual U-Nets of 16 channels at full size, 1,050 with 24; wider ones need more."""


class AffinityRule(BlockRule):
    """Run the network over one block: all lattice patches that meet it, blended."""

    name = "affinity"
    keep = "affinity"
    process_mb = 600
    shown: ClassVar = {"shard": "affinity"}

    def inputs(self, item: int) -> Inputs:
        """Return the image shards around a block; none if the source is read in place, or the block lies outside the mask."""
        blocks = [] if self.plan.source.in_place or self.plan.is_outside(item) else image_blocks(self.plan, item)
        return {"image": each(blocks, lambda block: self.paths.shard("image", block))}

    @property
    def seconds_per_megavoxel(self) -> float:  # type: ignore[override]
        """Of all views of a patch, and of the filters of a source in place."""
        network = 20.0 * inference_of(self.plan).views
        return network + (self.plan.source.filter_seconds(self._row) if self.plan.source.in_place else 0.0)

    @property
    def _row(self) -> Vec:
        """Shape of the image that is read at a time: of one row of patches, with its context."""
        spec = inference_of(self.plan)
        _, height, width = (min(b, r) for b, r in zip(self.plan.block, self.plan.roi.shape, strict=True))
        return (spec.patch[0], height + 2 * spec.patch[1], width + 2 * spec.patch[2])

    def held(self, item: int | None = None) -> float:
        """Two rows of patches of the image, one of the output in float32, two slabs of storage chunks, one batch.

        The filters of a source in place come on top.
        """
        plan, spec = self.plan, inference_of(self.plan)
        depth, height, width = (min(b, r) for b, r in zip(plan.block, plan.roi.shape, strict=True))
        image = volume_of(self._row)
        row = min(spec.output_patch[0], depth) * height * width
        slab = min(plan.chunk[0], depth) * height * width
        return (
            volume_of(spec.patch) * spec.batch * NETWORK_BYTES_PER_VOXEL
            + 4 * image * plan.source.channels * np.dtype(plan.source.dtype).itemsize
            + spec.channels * (4 * row + 2 * np.dtype(spec.dtype).itemsize * slab)
            + (plan.source.filter_bytes(self._row) if plan.source.in_place else 0)
        )

    def work(self, job: "Job", item: int) -> None:
        if self.plan.is_outside(item):
            self._leave_blank(job, item)
            return
        from connectomake.inference.backend import compressing_threads
        from connectomake.inference.engine import infer_block
        from connectomake.inference.models import load_network, reloading
        from connectomake.layers import ShardWriter
        from connectomake.planning.resolve import check_models
        from connectomake.sources import filled_fact

        plan, spec, inference = self.plan, self.layer, inference_of(self.plan)
        check_models(plan)
        files = plan.config["inference"]["model"], plan.config["inference"]["weights"]
        network = load_network(*files, inference)
        if inference.void:
            print(inference.void_note)
        image = job.image(None if plan.source.in_place else job.files("image"))
        record = job.record(network=network.record(), **image.noted)
        mask, box = plan.mask and plan.mask.open(), spec.grid.box(item)
        with ShardWriter(job.output("shard"), spec, item, record, compressing_threads(network)) as writer:
            stats = infer_block(
                read=image.read,
                bounds=plan.source.bounds,
                network=network,
                spec=inference,
                lattice=inference.lattice(plan.roi),
                box=box,
                write=_masking(writer.write, mask) if mask else writer.write,
                wanted=mask.meeting(box) if mask else None,
                slab=spec.chunk[0],
                progress=job.progress("patches"),
                again=reloading(*files, inference),
                probabilities=plan.probability_channels,
            )
            if image.source is not None:
                writer.note(**filled_fact(image.source, box))
        print(stats)

    def _leave_blank(self, job: "Job", item: int) -> None:
        """Write a block of zeros: it lies wholly outside the mask."""
        from connectomake.layers import ShardWriter

        with ShardWriter(job.output("shard"), self.layer, item, job.record(read={"source": []})) as writer:
            writer.write_blank()
        print("this block lies outside the mask; the network is not asked")


def _masking(write: "Sink", mask: "Mask") -> "Sink":
    """Return a sink that makes voxels outside a mask 0."""

    def sink(box: "Box", planes: np.ndarray) -> None:
        write(box, np.where(mask.inside(box), planes, np.zeros((), planes.dtype)))

    return sink


class Affinity(Stage):
    """The network's output for every voxel; the stage is disabled if the source is the probability."""

    base, version, rules = "affinity", 2, (AffinityRule,)

    @property
    def enabled(self) -> bool:
        return self.plan.inference is not None

    def upstream(self) -> list[Stage]:
        return [] if self.plan.source.in_place else [Image(self.plan)]

    def reads(self) -> dict[str, Any]:
        plan = self.plan
        values = {
            "layer": asdict(plan.layers["affinity"]),
            "inference": plan.inference.values() if plan.inference else None,
            "model": plan.model,
            "weights": plan.weights,
            "bounds": asdict(plan.source.bounds),
            **({"modules": plan.modules} if plan.modules else {}),
            **mask_values(plan),
        }
        return values | ({"source": source_values(plan)} if plan.source.in_place else {})


def image_blocks(plan: "Plan", block: int) -> list[int]:
    """Return the blocks of the image layer that a block of the region of interest reads, in raster order."""
    return plan.layers["image"].grid.ids_meeting(plan.read_box(block))


def inference_of(plan: "Plan") -> "InferenceSpec":
    """Return how the network is run.

    Raises
    ------
    ConfigError
        If there is none.
    """
    if plan.inference is None:
        raise ConfigError("inference: there is no network in this config; name inference.model")
    return plan.inference
