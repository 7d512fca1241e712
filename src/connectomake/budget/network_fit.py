"""Batch and patch that a device's memory holds: the config's own, unless they do not fit."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from connectomake.errors import ConfigError
from connectomake.geometry import as_vec, volume_of
from connectomake.inference.spec import InferenceSpec
from connectomake.pipeline.affinity import NETWORK_BYTES_PER_VOXEL
from connectomake.planning.plan import Plan
from connectomake.reporting.texts import bytes_text

CONTEXT_BYTES = 600e6
"""Of a GPU before any network is on it: CUDA's own."""
STEP = 8
"""Patches shrink to multiples of it, or of the largest power of two below it that divides the configured one."""

Accepts = Callable[[Plan], bool]
"""Tells whether the network of a plan takes its patch and gives what the config says."""


@dataclass(frozen=True)
class Fit:
    """A plan whose network fits, the keys of `inference` that changed, and what to say of it."""

    plan: Plan
    changed: dict[str, Any]
    reasons: list[str]


def device_bytes(spec: InferenceSpec) -> float:
    """Return about how many bytes a device needs for a batch of patches."""
    return CONTEXT_BYTES + spec.batch * volume_of(spec.patch) * NETWORK_BYTES_PER_VOXEL


def fit_network(plan: Plan, limit: float, what: str, accepts: Accepts) -> Fit:
    """Return the plan with the largest batch and patch that fit.

    Parameters
    ----------
    plan
        The plan, with a network.
    limit
        Bytes of the device.
    what
        The option that says so, for messages.
    accepts
        Asked of each smaller patch.

    Raises
    ------
    ConfigError
        If no patch fits, with the least memory that would do.
    """
    spec = plan.inference
    if spec is None:
        raise ConfigError(f"{what} has no meaning here: inference is null, so no network is run; leave it out")
    needed = device_bytes(spec)
    if needed <= limit:
        return Fit(plan, {}, [_kept(spec, needed, limit, what)])
    least = needed
    for changed in _smaller(plan.config["inference"], spec):
        other = _with(plan, changed)
        size = device_bytes(_spec(other))
        if size > limit:
            least = min(least, size)
        elif set(changed) == {"batch"} or accepts(other):
            return Fit(other, changed, [f"the network needs {bytes_text(needed)} of {what} {bytes_text(limit)} as configured"])
    raise ConfigError(
        f"{what} {bytes_text(limit)} is too small for the network: patch {list(spec.patch)} needs about {bytes_text(needed)}, "
        f"and no smaller patch that fits is accepted by it; the least that was tried needs {bytes_text(least)}"
    )


def _kept(spec: InferenceSpec, needed: float, limit: float, what: str) -> str:
    room = int((limit - CONTEXT_BYTES) // (volume_of(spec.patch) * NETWORK_BYTES_PER_VOXEL))
    text = f"patch {list(spec.patch)} in batches of {spec.batch} fits: about {bytes_text(needed)} of {what} {bytes_text(limit)}"
    return text + (
        f"; batches of up to {room} would, but another batch rounds otherwise, so it stays" if room > spec.batch else ""
    )


def _smaller(section: dict[str, Any], spec: InferenceSpec) -> Iterator[dict[str, Any]]:
    """Yield smaller batches, then smaller patches of a batch of 1 with as wide a margin, the largest first."""
    batch = spec.batch
    while batch > 1:
        batch //= 2
        yield {"batch": batch}
    margin = [p - o for p, o in zip(spec.patch, spec.output_patch, strict=True)]
    found = set()
    for percent in range(95, 20, -5):
        patch = [_rounded(p, p * percent // 100) for p in spec.patch]
        output = [p - m for p, m in zip(patch, margin, strict=True)]
        if tuple(patch) in found or tuple(patch) == spec.patch or min(output) < 1:
            continue
        found.add(tuple(patch))
        overlap = [min(v, max(o // 2, 0)) for v, o in zip(spec.overlap, output, strict=True)]
        changed: dict[str, Any] = {"patch": patch}
        if section["output_patch"] is not None:
            changed["output_patch"] = output
        changed |= {"overlap": overlap} if overlap != list(spec.overlap) else {}
        yield changed | ({"batch": 1} if spec.batch > 1 else {})


def _rounded(configured: int, wanted: int) -> int:
    step = STEP
    while configured % step:
        step //= 2
    return max(wanted // step, 1) * step


def _with(plan: Plan, changed: dict[str, Any]) -> Plan:
    return replace(plan, config={**plan.config, "inference": {**plan.config["inference"], **changed}})


def _spec(plan: Plan) -> InferenceSpec:
    return InferenceSpec.from_config(plan.config["inference"])


def network_accepts(plan: Plan) -> bool:
    """Run the network of a plan once, on zeros; tell whether it gives an output of the shape that the config says."""
    import numpy as np

    from connectomake.errors import ModelError
    from connectomake.inference.models import load_network

    section, spec = plan.config["inference"], _spec(plan)
    try:
        network = load_network(section["model"], section["weights"], spec)
        network.forward(np.zeros((spec.batch, plan.source.channels, *as_vec(spec.patch)), np.float32))
    except ModelError:
        return False
    return True
