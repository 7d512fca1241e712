"""Conversion of the samples of a picture to grey values: without loss, or refused.

A picture may be grey though its format says colour: equal red, green and blue, a palette of greys, opacity that is full
everywhere. Then nothing is lost by taking the grey. Anything else is refused: how colours become grey is the user's to say.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from connectomake.errors import SourceError
from connectomake.keys import key

WAY_OUT = "convert it to grey (8 or 16 bit) without opacity"
_NO_GREY = -1


@dataclass(frozen=True, slots=True)
class Photometry:
    """The conversion of stored samples.

    Parameters
    ----------
    dtype
        NumPy name of the grey values.
    bits
        Of a stored sample, which may be fewer than its dtype has.
    colours
        Samples of colour of a voxel: 1, or 3 that must be equal.
    opacities
        Samples of opacity after them, which must be full.
    inverted
        Whether 0 is white.
    palette
        Grey value of each index, -1 where it has colours; None: samples are the values.
    """

    dtype: str
    bits: int
    colours: int = 1
    opacities: int = 0
    inverted: bool = False
    palette: tuple[int, ...] | None = None

    @property
    def plain(self) -> bool:
        """Whether the samples are the grey values as they are."""
        return self.samples == 1 and not self.inverted and self.palette is None and self.factor == 1

    @property
    def samples(self) -> int:
        """Samples of a voxel."""
        return self.colours + self.opacities

    @property
    def factor(self) -> int:
        """By what values of 2 and 4 bits are multiplied to fill 8, as the PNG specification has it; others stay as they are."""
        return {2: 85, 4: 17}.get(self.bits, 1) if self.palette is None else 1

    @property
    def changes(self) -> tuple[str, ...]:
        """What makes the values differ from the stored samples, in words."""
        found = (("white is 0", self.inverted), (f"{self.bits} bits", self.factor > 1), ("palette", self.palette is not None))
        return tuple(text for text, holds in found if holds)

    def grey(self, samples: np.ndarray, where: str) -> np.ndarray:
        """Return the grey values of samples (…) or, with several a voxel, (…, s); `where` they lie is named in errors.

        Raises
        ------
        SourceError
            If a voxel has a colour or is not opaque.
        """
        if self.samples > 1:
            samples = equal_samples(samples, self.colours, where)
        if self.palette is not None:
            return self._looked_up(samples, where)
        if self.inverted:
            samples = self._inverted(samples)
        return samples if self.factor == 1 else samples * np.uint8(self.factor)

    def _inverted(self, samples: np.ndarray) -> np.ndarray:
        if samples.dtype.kind == "u":
            return np.subtract(samples.dtype.type((1 << self.bits) - 1), samples)  # type: ignore[no-any-return]
        return ~samples

    def _looked_up(self, samples: np.ndarray, where: str) -> np.ndarray:
        table = np.array(self.palette, np.int64)
        bad = (table == _NO_GREY)[samples]
        if bad.any():
            place = _place(bad)
            raise SourceError(f"{where} has a colour of its palette at {place} (index {samples[place]}); {WAY_OUT}")
        return table.astype(self.dtype)[samples]  # type: ignore[no-any-return]


def equal_samples(samples: np.ndarray, colours: int, where: str) -> np.ndarray:
    """Return the one value of each voxel of samples (…, s): `colours` samples that are equal, then full opacity.

    Raises
    ------
    SourceError
        If a voxel is not so.
    """
    first = samples[..., 0]
    for i in range(1, samples.shape[-1]):
        full = 1 if samples.dtype.kind == "f" else np.iinfo(samples.dtype).max
        bad = samples[..., i] != (first if i < colours else full)
        if bad.any():
            place = _place(bad)
            what = "a colour" if i < colours else "an opacity that is not full"
            raise SourceError(f"{where} has {what} at {place} (samples {samples[place].tolist()}); {WAY_OUT}")
    return np.ascontiguousarray(first)


def grey_palette(colours: np.ndarray) -> tuple[int, ...]:
    """Return the 8-bit grey of each entry of a palette (n, 3), -1 for those that are none.

    Entries of 16 bits are 8-bit values repeated in both bytes (``v * 257``), in the high byte (``v * 256``), or as they are.
    """
    values = np.asarray(colours, np.int64)
    unit = next((u for u in (1, 257, 256) if not (values % u).any() and (values // u).max(initial=0) < 256), None)
    equal = (values == values[:, :1]).all(axis=1)
    if unit is None:
        equal &= values[:, 0] % 257 == 0
        unit = 257
    return tuple(int(v) for v in np.where(equal, values[:, 0] // unit, _NO_GREY))


def _place(bad: np.ndarray) -> tuple[int, ...]:
    """Return the first voxel (…, y, x) at which an array is true."""
    return tuple(int(i) for i in np.unravel_index(int(bad.argmax()), bad.shape))


def describe_bits(bits: Sequence[int], dtype: str) -> str | None:
    """Say that values take fewer bits than their dtype has and are not stretched; None if that is not so."""
    used = max(bits)
    if np.dtype(dtype).kind != "u" or used in (1, 2, 4) or used == 8 * np.dtype(dtype).itemsize:
        return None
    most = (1 << used) - 1
    return f"values of {used} bits are stored in {dtype}, 0 to {most}; {key('range', [0, most])} takes them for 0 to 1"
