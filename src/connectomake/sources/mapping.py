"""Mapping the values of a source to 0 to 1: from a range given by the user, or by the sigmoid of logits."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from connectomake.errors import ConfigError
from connectomake.keys import key
from connectomake.sources.options import SourceOptions
from connectomake.sources.source import Mapping, Source


def mapped(source: Source, options: SourceOptions) -> Source:
    """Return a source whose values are mapped to 0 to 1, float32, as its options say; the source itself if they say nothing.

    Parameters
    ----------
    source
        The source as it is stored.
    options
        Of which `range` and `activation` count.

    Raises
    ------
    ConfigError
        If the options contradict each other or the source.
    """
    if options.range is None and options.activation == "none":
        return source
    return replace(source, dtype="float32", mapping=Mapping(source.dtype, _change(source, options)))


def _change(source: Source, options: SourceOptions) -> Callable[[np.ndarray], np.ndarray]:
    if options.range is None:
        if source.dtype != "float32":
            raise ConfigError(
                f"{key('activation')} is {options.activation}, but {source.path} holds {source.dtype}, which are not logits; "
                f"leave it out, or name {key('range')}"
            )
        return sigmoid
    low, high = options.range
    if options.activation != "none":
        raise ConfigError(
            f"{key('range')} {list(options.range)} and {key('activation')} {options.activation} exclude each other; name one"
        )
    if low == high:
        raise ConfigError(f"{key('range')} {list(options.range)} is empty; name the value of 0 and the value of 1")
    return lambda values: to_unit(values, low, high)


def to_unit(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Map values linearly, `low` to 0 and `high` to 1; what is outside becomes 0 or 1, but what is not finite stays as it is.

    Computed in float64 and rounded to float32 once, so that a value has one result, wherever it stands.

    Examples
    --------
    >>> to_unit(np.array([0, 1023, 4095, 9000], np.uint16), 0, 4095)
    array([0.        , 0.24981685, 1.        , 1.        ], dtype=float32)
    """
    unit = (values.astype(np.float64) - low) / (high - low)
    out = np.clip(unit, 0, 1).astype(np.float32)
    if values.dtype.kind == "f":
        odd = np.isinf(values)
        out[odd] = values[odd]
    return out


def sigmoid(values: np.ndarray) -> np.ndarray:
    """Return 1 / (1 + exp(-v)) of logits, computed in float64 and rounded to float32; what is not finite stays as it is.

    Examples
    --------
    >>> sigmoid(np.array([-100, 0, 2], np.float32))
    array([3.783506e-44, 5.000000e-01, 8.807971e-01], dtype=float32)
    """
    decay = np.exp(-np.abs(values.astype(np.float64)))
    unit = np.where(values >= 0, 1, decay) / (1 + decay)
    return np.where(np.isfinite(values), unit, values).astype(np.float32)
