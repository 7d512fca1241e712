"""Whether a source fits what the config wants of it: region and type of voxels."""

import numpy as np

from connectomake.config import check_channels
from connectomake.errors import ConfigError
from connectomake.planning.plan import Plan

MOST_VOXELS = 1 << 62
IMAGE_DTYPES = ("uint8", "uint16", "uint32", "int8", "int16", "float32")
PROBABILITY_DTYPES = ("uint8", "float32")
CHANGING = {"range", "activation", "filters"}
"""Keys of the source that make other values of those that are stored."""


def check_region(plan: Plan) -> None:
    """Raise a ConfigError unless the region of interest lies within the source and holds voxels."""
    bounds = plan.source.bounds
    if bounds.empty:
        raise ConfigError(f"source {plan.source.path!r} holds no voxel: its bounds are {bounds}")
    for key in ("start", "stop"):
        point = plan.config["source"][key]
        if point is not None and not all(a <= p <= b for a, p, b in zip(bounds.start, point, bounds.stop, strict=True)):
            raise ConfigError(f"source.{key} {point} is outside the source, which holds {bounds}; null takes all of it")
    if bounds.volume >= MOST_VOXELS:
        raise ConfigError(
            f"source {plan.source.path!r} claims to hold {bounds.volume:.2e} voxels, {bounds}, more than ids can count; "
            "correct its metadata"
        )
    if plan.roi.empty:
        raise ConfigError(f"the region of interest {plan.roi} holds no voxel; change source.start or source.stop")


def check_dtype(plan: Plan) -> None:
    """Raise a ConfigError unless the source's voxels can be what they are taken for: image, probability or labels."""
    source = plan.source
    if plan.method.labels:
        _check_labels(plan)
        return
    if plan.inference is not None and source.dtype not in IMAGE_DTYPES:
        raise ConfigError(
            f"source.path {source.path!r} has dtype {source.dtype}, which is not an image type; convert it to one of "
            f"{', '.join(IMAGE_DTYPES)}"
        )
    if plan.inference is None:
        if source.dtype not in PROBABILITY_DTYPES:
            raise ConfigError(
                f"inference is null, so the source is taken as the probability, but its dtype is {source.dtype}; it must be "
                f"{' or '.join(PROBABILITY_DTYPES)}; name the values of 0 and 1 (source.range: [low, high]), or give a network "
                "in `inference`"
            )
        check_channels(plan.config["segmentation"], source.channels, "the source has {} channel(s), the last is {}")


def _check_labels(plan: Plan) -> None:
    """Refuse a source that cannot be what a method that reads labels takes it for."""
    source, name = plan.source, plan.method.name
    if plan.inference is not None:
        raise ConfigError(f"segmentation.method {name} reads the labels of the source, without a network; leave inference out")
    changed = sorted(source.options.chosen().keys() & CHANGING)
    if changed:
        raise ConfigError(f"source.{changed[0]} would change the labels that segmentation.method {name} reads; leave it out")
    if np.dtype(source.dtype).kind not in "iu":
        raise ConfigError(
            f"segmentation.method {name} reads labels, but the source {source.path!r} holds {source.dtype}; "
            "name a volume of integers, or another method"
        )
    check_channels(plan.config["segmentation"], source.channels, "the source has {} channel(s), the last is {}")
