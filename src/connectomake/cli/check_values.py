"""The part of ``connectomake check`` that looks at values: how they are scaled, whether they can be what they are taken for."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from connectomake.planning.plan import Plan
    from connectomake.sources import Source
    from connectomake.sources.samples import Samples

MOST_CLIPPED = 0.01


def describe_values(plan: "Plan", source: "Source") -> list[tuple[bool, str]]:
    """Look at boxes spread over the region.

    Returns
    -------
    list of (bool, str)
        Sentences, and whether what they say is as usual.

    Raises
    ------
    SourceError, RunError
        If a run would stop at such a value: a probability beyond 0 to 1, an image that is not finite.
    """
    from connectomake.components import check_labels
    from connectomake.inference.context import check_finite
    from connectomake.sources.probability import check_probability
    from connectomake.sources.samples import describe_image, odd_probabilities, take_samples

    samples = take_samples(source, plan.roi, plan.chunk)
    findings = _clipping(plan, source, samples)
    if plan.inference is not None:
        for box, values in zip(samples.boxes, samples.values, strict=True):
            check_finite(values, box, "the image")
        said = describe_image(samples, source.dtype)
        return [*findings, said] if said else findings
    channels = plan.segmented_channels
    if plan.method.labels:
        for box, values in zip(samples.boxes, samples.values, strict=True):
            check_labels(values[channels[0]], box)
        return findings
    for box, values in zip(samples.boxes, samples.values, strict=True):
        check_probability(values, box, plan.probability_channels, plan.source.path)
    key = plan.method.lowest
    if key is None:
        return findings
    bound = float(plan.config["segmentation"][key])
    odd = odd_probabilities(samples.only(channels), source.dtype, bound, f"segmentation.{key}")
    return [*findings, (False, odd)] if odd else findings


def _clipping(plan: "Plan", source: "Source", samples: "Samples") -> list[tuple[bool, str]]:
    from connectomake.sources.samples import clipped_share

    given = plan.source.options.range
    share = 0.0 if given is None else clipped_share(source, samples, *given)
    if share <= MOST_CLIPPED:
        return []
    return [
        (False, f"{100 * share:.0f} % of the voxels looked at lie beyond source.range {list(given or ())} and become 0 or 1")
    ]
