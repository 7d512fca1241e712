"""Cost of a plan: jobs, bytes, forward passes; counted from the geometry, never by listing the blocks."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from connectomake.budget.forecast import Forecast, dag_cost, forecast
from connectomake.budget.rates import Rates
from connectomake.budget.warnings import cost_warnings
from connectomake.budget.work import job_counts
from connectomake.cli.proposals import RECOMPUTE_LIMIT, Proposal, proposals
from connectomake.geometry import Vec, as_vec, volume_of
from connectomake.pipeline.demands import Demands
from connectomake.planning.plan import Plan


@dataclass(frozen=True, slots=True)
class LayerCost:
    """A layer: its shards, its bytes before compression, and whether it stays after the run."""

    name: str
    dtype: str
    channels: int
    shards: int
    bytes: int
    kept: bool


@dataclass(frozen=True, slots=True)
class RuleCost:
    """A rule: its jobs; memory and time limit of one; seconds on one core for all of them, None where they are negligible."""

    rule: str
    jobs: int
    memory_mb: int
    minutes: int
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Passes:
    """Patches of the lattice, forward passes of all blocks, and their ratio."""

    lattice: Vec
    patches: int
    forward_passes: int
    recompute_factor: float


def layer_costs(plan: Plan) -> list[LayerCost]:
    """Return the layers of a run in the order in which they are made."""
    names = ("image", "affinity", "components", *(f"segmentation{suffix}" for suffix in plan.thresholds), "ground_truth")
    order = [name for name in names if name in plan.layers]
    return [_layer_cost(plan, name) for name in order]


def _layer_cost(plan: Plan, name: str) -> LayerCost:
    spec = plan.layers[name]
    raw = spec.roi.volume * spec.channels * np.dtype(spec.dtype).itemsize
    kept = name not in ("image", "affinity") or plan.keeps(name)
    return LayerCost(name, spec.dtype, spec.channels, spec.grid.count, raw, kept)


def rule_costs(plan: Plan, found: Forecast | None = None) -> list[RuleCost]:
    """Return the rules of a run, their jobs and what a job takes; seconds as a forecast has them, else built-in ones."""
    demands = Demands(plan)
    return [
        RuleCost(r.rule, r.jobs, demands.memory(r.rule), demands.minutes(r.rule), r.seconds or None)
        for r in (found or forecast(plan, Rates())).rules
    ]


def passes(plan: Plan) -> Passes | None:
    """Return the forward passes of a run; None without a network."""
    if plan.inference is None:
        return None
    lattice = plan.inference.lattice(plan.roi)
    return Passes(lattice.counts, lattice.total, lattice.forward_passes(plan.block), lattice.recompute_factor(plan.block))


def warnings(plan: Plan, found: Forecast | None = None) -> list[str]:
    """Return what is legal in a plan but likely not what its author wants, one sentence each."""
    own = [*plan.notes, *_recompute_warnings(plan), *_shape_warnings(plan), *_size_warnings(plan)]
    return own + list(cost_warnings(plan, found or forecast(plan, Rates())))


def _recompute_warnings(plan: Plan) -> Iterator[str]:
    counted = passes(plan)
    if counted is None or counted.recompute_factor <= RECOMPUTE_LIMIT:
        return
    text = f"every patch is computed {counted.recompute_factor:.2f} times on average, by each block that it meets"
    ways = [
        f"\n  block: {list(p.block)}{_chunk_hint(plan, p)} ({p.recompute_factor:.2f} times, {p.blocks:,} blocks, "
        f"{p.memory_mb / 1000:.1f} GB a job)"
        for p in proposals(plan)
    ]
    yield f"{text}; larger blocks recompute less:{''.join(ways)}" if ways else text


def _chunk_hint(plan: Plan, proposal: Proposal) -> str:
    """The chunk to go with a block, where the config names one."""
    return "" if plan.config["chunk"] is None else f", chunk: {list(proposal.chunk)}"


def _shape_warnings(plan: Plan) -> Iterator[str]:
    volume = volume_of(plan.chunk)
    if not 1 << 12 <= volume <= 1 << 23:
        yield (
            f"storage chunks of {list(plan.chunk)} are {'small' if volume < 1 << 12 else 'large'} for a viewer; "
            "about 64 voxels a side suit it: change block or chunk"
        )
    if plan.inference is not None:
        patch = plan.inference.output_patch
        thin = [f"{a} ({s} < {p})" for a, s, p in zip("zyx", plan.roi.shape, patch, strict=True) if s < p]
        if thin:
            yield f"the region is thinner than the output patch along {', '.join(thin)}; the image is mirrored up to the patch"
    if plan.meshes_enabled and volume_of(as_vec(plan.config["meshes"]["cell"])) < 1 << 12:
        yield f"mesh cells of {plan.config['meshes']['cell']} make many small fragments; cells of 64 to 512 voxels a side suit"


def _size_warnings(plan: Plan) -> Iterator[str]:
    jobs = sum(job_counts(plan).values())
    seconds, memory = dag_cost(jobs)
    if jobs > 100_000:
        yield (
            f"{jobs:,} jobs: Snakemake needs about {seconds / 60:.0f} min and {memory / 1e9:.0f} GB to plan them; larger "
            "blocks or a region in parts (source.start, source.stop) make it less"
        )


def summary_values(plan: Plan) -> dict[str, Any]:
    """Return the figures of the geometry as plain values, for JSON."""
    grid = plan.grid
    return {
        "roi": {"start": plan.roi.start, "stop": plan.roi.stop, "voxels": plan.roi.volume},
        "blocks": {"grid": grid.shape, "count": grid.count, "shape": plan.block, "id_bits": grid.id_bits},
        "chunk": plan.chunk,
        "octree": {"fan_out": 1 << plan.octree.bits, "nodes": plan.octree.counts()},
        "mesh_packs": plan.mesh_tree.counts() if plan.meshes_enabled else [],
    }
