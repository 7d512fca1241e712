"""The part of ``connectomake check`` about the network: that it loads, and gives a valid, repeatable output for two patches."""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from connectomake.errors import ModelError
from connectomake.reporting.texts import seconds_text

if TYPE_CHECKING:
    from connectomake.geometry import Box
    from connectomake.inference.batches import Network
    from connectomake.inference.spec import InferenceSpec
    from connectomake.planning.plan import Plan
    from connectomake.sources import Source


@dataclass(frozen=True)
class Patch:
    """A patch of the lattice: where its output lies, and the image (c, z, y, x) in float32 that the network sees."""

    where: str
    start: "tuple[int, int, int]"
    image: np.ndarray


def check_network(plan: "Plan", source: "Source", fast: bool) -> np.ndarray | None:
    """Load the network, run it over a patch of the region's corner and one of its middle, twice and loaded twice.

    Returns
    -------
    (c, z, y, x) float32
        Its output in the middle; None if it was not run.

    Raises
    ------
    ConnectomakeError
        For what would stop a run: a network that cannot be loaded or run, values that are not finite or no probabilities,
        answers that change.
    """
    from connectomake.inference.models import load_network

    spec, section = plan.inference, plan.config["inference"]
    if spec is None:
        return None
    network = load_network(section["model"], section["weights"], spec)
    record = network.record()
    _done(f"{section['model']} loads: torch {record['torch']} on {record['device_name']}, {record['threads']} thread(s)")
    if spec.void:
        _warn(spec.void_note)
    return None if fast else _run(plan, spec, source, network)


def _done(text: str) -> None:
    print(f"✓ {text}", flush=True)


def _warn(text: str) -> None:
    print(f"! {text}", flush=True)


def _run(plan: "Plan", spec: "InferenceSpec", source: "Source", network: Any) -> np.ndarray:
    from connectomake.cli.estimates import passes

    corner, middle = (_patch(plan, spec, source, where) for where in ("corner", "middle"))
    count = network.steady_batch(corner.image.shape[0])
    batch = np.repeat(corner.image[np.newaxis], count, axis=0)
    outputs = [_probabilities(plan, spec, source, network, corner, network.forward(batch)[0])]
    batch[0] = middle.image
    started = time.perf_counter()
    answer = network.forward(batch)
    seconds = time.perf_counter() - started
    outputs.append(_probabilities(plan, spec, source, network, middle, answer[0]))
    alike = _repeatable(plan, spec, network, batch, answer)
    values = f"values {min(o.min() for o in outputs):.3g} to {max(o.max() for o in outputs):.3g} in a corner and the middle"
    _done(f"the network turns {middle.image.shape} into {outputs[1].shape}, {values}{alike}")
    for text in output_warnings(plan, np.stack(outputs, axis=1)):
        _warn(text)
    counted = passes(plan)
    if counted is not None:
        total = seconds_text(seconds * counted.forward_passes / count)
        _done(f"{seconds:.3g} s for a batch of {count} here: {total} for all {counted.forward_passes:,} patches")
    return outputs[1]


def _patch(plan: "Plan", spec: "InferenceSpec", source: "Source", where: str) -> Patch:
    """Read the first patch of the lattice, or that in the region's middle, as a job would."""
    from connectomake.geometry import Box
    from connectomake.inference.context import check_finite, scale_into

    starts = spec.lattice(plan.roi).starts(plan.roi)
    z, y, x = (int(axis[0 if where == "corner" else len(axis) // 2]) for axis in starts)
    box = Box.of_shape(spec.output_patch, (z, y, x)).grow(spec.margin)
    image = _reader(plan, source)(box)
    check_finite(image, box, "the image")
    scaled = np.empty(image.shape, np.float32)
    scale_into(scaled, image)
    return Patch(where, (z, y, x), scaled)


def _reader(plan: "Plan", source: "Source") -> Any:
    from connectomake.geometry.mirror import read_reflected

    def read(box: "Box") -> np.ndarray:
        return read_reflected(source.read, box, plan.source.bounds)

    return read


def _probabilities(
    plan: "Plan", spec: "InferenceSpec", source: "Source", network: "Network", patch: Patch, output: np.ndarray
) -> np.ndarray:
    """Return an output that is finite and where it must be within 0 to 1; what a run puts in place of it, if it does.

    Raises
    ------
    ModelError
        For the first value that would stop a run.
    """
    from connectomake.inference.bump import blend_weights
    from connectomake.inference.constant import is_constant
    from connectomake.inference.values import complaint, first_bad, limits_of

    if spec.constant is not None and is_constant(patch.image):
        _done(f"the patch in the {patch.where} is constant: it becomes inference.constant, {spec.constant:g}")
        return np.full(output.shape, spec.constant, np.float32)
    if network.weighted:
        output = output / blend_weights(spec.output_patch, spec.overlap)
    bad = first_bad(output, limits_of(spec.channels, plan.probability_channels), patch.start)
    if bad is not None:
        raise ModelError(complaint(bad, network, spec, spec.lattice(plan.roi), _reader(plan, source)))
    return output


def _repeatable(plan: "Plan", spec: "InferenceSpec", network: "Network", batch: np.ndarray, answer: np.ndarray) -> str:
    """Compare an answer with that of the network loaded again; return what to say of it."""
    from connectomake.inference.chance import check_repeatable
    from connectomake.inference.models import reloading

    section = plan.config["inference"]
    again = reloading(section["model"], section["weights"], spec)
    if again is None:
        return ""
    check_repeatable(network, again, batch, 0, answer)
    return ", the same bits when loaded again"


def output_warnings(plan: "Plan", outputs: np.ndarray) -> list[str]:
    """Return what seems odd about outputs (c, patches, z, y, x) which a run would accept, a sentence each."""
    used = outputs[list(plan.segmented_channels)]
    low, high = float(used.min()), float(used.max())
    if low == high:
        return [f"the network's output is {low:.3g} everywhere in both patches: are the weights and the image the right ones?"]
    if np.isin(used, (0, 1)).all():
        return ["the network's output holds only 0 and 1, as masks do, not probabilities: no threshold will change the result"]
    return _threshold_warnings(plan, used)


def _threshold_warnings(plan: "Plan", used: np.ndarray) -> list[str]:
    section, low, high = plan.config["segmentation"], float(used.min()), float(used.max())
    method = plan.method
    if method.lowest is None or method.highest is None:
        return []
    least, most = section[method.lowest], section[method.highest]
    none, every = (high < least, low >= most) if method.reached else (high <= least, low > most)
    what, verb = "affinity" if method.affinities else "voxel", "reaches" if method.reached else "is above"
    section_of = "segmentation." if method.highest == method.lowest else ""
    below, above = f"{verb} segmentation.{method.lowest} {least}", f"{verb} {section_of}{method.highest} {most}"
    if none:
        return [f"no {what} of the two patches {below}, the highest is {high:.3g}: all of them is background"]
    if every:
        return [f"every {what} of the two patches {above}, the lowest is {low:.3g}: all of them is one object"]
    return []
