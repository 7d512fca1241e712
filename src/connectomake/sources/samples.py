"""Samples of a source, a few boxes spread over the region, and what their values suggest about their meaning."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from connectomake.geometry import Box, Vec
from connectomake.sources.formats import BY_NAME
from connectomake.sources.source import Source

_Y = (3, 6, 1, 4, 7, 2, 5, 0)
_X = (5, 2, 7, 0, 3, 6, 1, 4)
_LARGEST: Vec = (64, 64, 64)
_OF_SECTIONS: Vec = (1, 256, 256)  # whole sections are decoded for any part of one
_LABEL_LIKE = 0.9
_UNSATURATED = (8, 247)
_DARK = 1 / 3


@dataclass(frozen=True)
class Samples:
    """Voxels of several boxes.

    Parameters
    ----------
    boxes
        Where they lie.
    values
        (c, z, y, x) of each, as the source gives them.
    """

    boxes: tuple[Box, ...]
    values: tuple[np.ndarray, ...]

    @property
    def span(self) -> tuple[float, float]:
        """The lowest and the highest value."""
        return float(min(v.min() for v in self.values)), float(max(v.max() for v in self.values))

    def only(self, channels: Sequence[int]) -> "Samples":
        """Return the samples of some channels."""
        return replace(self, values=tuple(v[list(channels)] for v in self.values))


def spread_boxes(roi: Box, size: Vec) -> list[Box]:
    """Return nine boxes within a region: one in its middle, and one in each eighth along every axis."""
    shape = [min(a, b) for a, b in zip(size, roi.shape, strict=True)]
    room = [n - s for n, s in zip(roi.shape, shape, strict=True)]
    places = [(3.5, 3.5, 3.5), *((i, y, x) for i, (y, x) in enumerate(zip(_Y, _X, strict=True)))]
    starts = [[a + int(r * p / 7) for a, r, p in zip(roi.start, room, place, strict=True)] for place in places]
    return list(dict.fromkeys(Box.of_shape((shape[0], shape[1], shape[2]), (z, y, x)) for z, y, x in starts))


def take_samples(source: Source, roi: Box, chunk: Vec) -> Samples:
    """Read nine boxes spread over a region, of at most 64 voxels a side, or of one section of a stack.

    Raises
    ------
    SourceError
        If one cannot be read.
    """
    size = _OF_SECTIONS if BY_NAME[source.kind].stack else tuple(min(a, b) for a, b in zip(chunk, _LARGEST, strict=True))
    boxes = spread_boxes(roi, size)  # type: ignore[arg-type]
    return Samples(tuple(boxes), tuple(source.read(box) for box in boxes))


def describe_image(samples: Samples, dtype: str) -> tuple[bool, str] | None:
    """Say how an image's values reach the network, and whether that is as usual; None where there is nothing to say."""
    low, high = samples.span
    if np.dtype(dtype).kind == "f":
        return None if low >= 0 and high <= 1 else (False, _describe_floats(low, high))
    most = np.iinfo(dtype).max
    text = f"{low:g} to {high:g}, where it was sampled, become {low / most:.3g} to {high / most:.3g} for the network"
    text = f"the image's {dtype} are divided by {most:,}: {text}"
    if low < 0:
        way = "name the values of 0 and 1 (source.range: [low, high])"
        return False, f"{text}; {way}, unless it was trained on negative ones"
    if 0 < high < most * _DARK:
        full = (1 << int(high).bit_length()) - 1
        return False, f"{text}; source.range: [0, {full}] takes {full} for 1, unless it was trained on equally dark images"
    return None if dtype == "uint8" else (True, text)


def _describe_floats(low: float, high: float) -> str:
    return (
        f"the image's floats go to the network as they are, {low:g} to {high:g} where it was sampled; most networks expect "
        "0 to 1: name the values of 0 and 1 (source.range: [low, high]), unless it was trained on such values"
    )


def odd_probabilities(samples: Samples, dtype: str, bound: float, key: str) -> str | None:
    """Say what is odd about probabilities; None if nothing is.

    Parameters
    ----------
    samples
        Of the channels that are segmented.
    dtype
        uint8 or float32.
    bound, key
        Below which nothing is segmented, 0 to 1, and where the config says so.
    """
    low, high = samples.span
    scale = 255 if dtype == "uint8" else 1
    if dtype == "uint8" and high == 1:
        return (
            "the source holds only 0 and 1, where it was sampled, but uint8 stands for 0 to 255, so that 1 is a probability "
            "of 0.004; set source.range: [0, 1]"
        )
    if low == high:
        return f"the source holds {low:g} everywhere, where it was sampled; is it the right volume?"
    if dtype == "uint8" and label_like(samples.values):
        return (
            "the source looks like labels, not like probabilities: most neighbouring voxels are equal; name the probability, "
            "or the image and a network in `inference`"
        )
    if high <= bound * scale:
        return (
            f"the source holds {low:g} to {high:g}, where it was sampled: a probability of {high / scale:.3g} at most, not "
            f"above {key}, {bound:g}, so no object is there; if its values are not 0 to {scale}, name them in source.range: "
            "[low, high]"
        )
    return None


def label_like(values: Sequence[np.ndarray]) -> bool:
    """Whether uint8 volumes (c, z, y, x) hold numbers of objects: plateaus of several values that are neither low nor high."""
    low, high = _UNSATURATED
    pairs, equal, voxels, seen = 0, 0, 0, set()
    for v in values:
        a, b = v[..., :-1], v[..., 1:]
        inside = (a >= low) & (a <= high) & (b >= low) & (b <= high)
        pairs += int(inside.sum())
        equal += int((a == b)[inside].sum())
        voxels += a.size
        seen |= set(np.unique(a[inside]).tolist())
    return len(seen) >= 3 and pairs * 20 > voxels and equal > _LABEL_LIKE * pairs


def clipped_share(source: Source, samples: Samples, low: float, high: float) -> float:
    """Return which share of sampled voxels lies beyond a range of stored values, where they become 0 or 1."""
    if (source.unfiltered or source).mapping is None:
        return 0.0
    stored, ends = source.stored(), sorted((low, high))
    values = [stored.read(box) for box in samples.boxes]
    beyond = sum(int(((v < ends[0]) | (v > ends[1])).sum()) for v in values)
    return beyond / max(sum(v.size for v in values), 1)
