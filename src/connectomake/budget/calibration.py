"""A calibration: all stages over small parts of the region, in this process.

Runs over two sizes, and one of them in smaller blocks, separate the cost per job from that per voxel and per seam.
"""

import datetime as dt
import os
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from connectomake.budget.fitting import rates_from
from connectomake.budget.rates import Rates
from connectomake.budget.small_run import Tally, part_of, small_run
from connectomake.geometry import Box, Vec, as_vec
from connectomake.pipeline.affinity import AffinityRule
from connectomake.reporting.texts import shape_text
from connectomake.sources import is_url

if TYPE_CHECKING:
    from connectomake.planning.plan import Plan

SECONDS = 30.0
"""Seconds that the larger of the runs may take, about."""
SMALL, LARGE = 1 << 18, 1 << 21
"""Voxels of the two runs without a network."""
PATCHES = ((2, 2, 2), (1, 2, 2), (1, 1, 2), (1, 1, 1))
"""Patches along each axis of the larger run, as many as there is time for."""


def calibrate(plan: "Plan", small: int = SMALL, large: int = LARGE, say: Callable[[str], None] = print) -> Rates:
    """Measure a plan's rules here.

    Parameters
    ----------
    plan
        The plan; its source and its model must be within reach.
    small, large
        Voxels of the two runs, where no network says how large they are.
    say
        Gets a line on each run before it begins.

    Raises
    ------
    ConnectomakeError
        For what would stop the run itself, such as a network that cannot be run.
    """
    clock = _clock(plan)
    with tempfile.TemporaryDirectory(prefix="connectomake-") as folder:
        box = _box(plan, (1, 1, 1), small)
        say(f"calibration: all stages over {box}, with loading and compiling")
        runs = [small_run(part_of(plan, box, f"{folder}/0"), clock)]
        second = _box(plan, _patches(plan, runs[0].tallies), large)
        if second != box:
            box = second
            say(f"calibration: all stages over {box}")
            runs.append(small_run(part_of(plan, box, f"{folder}/1"), clock))
        block = _half(plan, box)
        if block is not None:
            say(f"calibration: all stages but the network over the same, in blocks of {shape_text(block)}")
            runs.append(small_run(part_of(plan, box, f"{folder}/2", block), clock, runs[-1]))
    tallies = [run.tallies for run in runs]
    day = dt.datetime.now(dt.UTC).date().isoformat()
    return rates_from(tallies, f"measured on {machine(plan)} on {day}, over {box}")


def _half(plan: "Plan", box: Box) -> Vec | None:
    """Return the largest block that is a legal one for the plan's storage chunk and cuts a box; None if there is none."""
    cell = as_vec(plan.config["meshes"]["cell"]) if plan.meshes_enabled else (1, 1, 1)
    doubled = [as_vec([c << k for c in plan.chunk]) for k in range(12)]
    legal = [b for b in doubled if not any(n % c for n, c in zip(b, cell, strict=True))]
    cutting = [b for b in legal if any(n < s for n, s in zip(b, box.shape, strict=True))]
    return cutting[-1] if cutting else None


def _patches(plan: "Plan", warm: dict[str, Tally]) -> Vec:
    if plan.inference is None:
        return (1, 1, 1)
    network = warm[AffinityRule.name].seconds
    return next((p for p in PATCHES if network * p[0] * p[1] * p[2] <= SECONDS), PATCHES[-1])


def _box(plan: "Plan", patches: Vec, voxels: int) -> Box:
    """Return a box in the middle of the region: of so many patches along each axis, or of about so many voxels."""
    if plan.inference is None:
        side = round(voxels ** (1 / 3))
        wanted = (side, side, side)
    else:
        lattice = plan.inference.lattice(plan.roi)
        output = plan.inference.output_patch
        wanted = as_vec([o + (n - 1) * s for o, n, s in zip(output, patches, lattice.stride, strict=True)])
    shape = as_vec([min(n, w) for n, w in zip(plan.roi.shape, wanted, strict=True)])
    start = as_vec([a + (n - w) // 2 for a, n, w in zip(plan.roi.start, plan.roi.shape, shape, strict=True)])
    return Box.of_shape(shape, start)


def _clock(plan: "Plan") -> Callable[[str], float]:
    """Return the clock of a rule: seconds on the wall where a GPU or another machine works, else of this process' cores."""
    remote, gpu = is_url(plan.source.path), _gpu(plan) is not None

    def clock(rule: str) -> float:
        return time.perf_counter() if remote or (gpu and rule == AffinityRule.name) else time.process_time()

    return clock


def _gpu(plan: "Plan") -> str | None:
    """Return the name of the GPU that runs the network; None if none does."""
    if plan.inference is None or plan.inference.device == "cpu":
        return None
    from connectomake.networks.device import gpu_name

    return gpu_name(plan.inference.device)


def machine(plan: "Plan") -> str:
    """Return what this machine is: its processor, its cores, and the GPU if it runs the network."""
    gpu = _gpu(plan)
    return f"{_processor()}, {os.cpu_count() or 1} cores{f', {gpu}' if gpu else ''}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names and names[0] else platform.processor() or platform.machine()
