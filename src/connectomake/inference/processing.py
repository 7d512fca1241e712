"""The functions around a network: a model file's `pre_process`, which wants an array or a tensor, and what they give back."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

Transform = Callable[[Any], Any]


def as_tensor(value: Any, device: torch.device) -> Any:
    """Return an array as a tensor of float32 on the device; anything else as it is."""
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
        return torch.from_numpy(np.ascontiguousarray(value, np.float32)).to(device)
    return value


class PreProcess:
    """Turns a batch into what the network gets: by a function of tensors or of NumPy arrays, or without one.

    chunkflow has handed NumPy arrays (n, c, z, y, x) of float32 to `pre_process` since its first releases; up to 0.5.7 it made
    a tensor of what came back, since then it takes the tensor that the function made. A function of tensors fails with
    arrays and the other way round, so the first batch is tried with both and tells. What works with both gets tensors.

    Parameters
    ----------
    function
        Of the model file, or None.
    device
        Of the network.
    layout
        Memory format of the tensor.
    """

    def __init__(self, function: Transform | None, device: torch.device, layout: Any) -> None:
        self._function = function
        self._device = device
        self._layout = layout
        self._arrays: bool | None = None

    def __call__(self, batch: torch.Tensor) -> Any:
        """Return the tensor for the network, whatever it writes to it leaves the batch (n, c, z, y, x) alone.

        Raises whatever the function raises; of two failures on the first batch the one that is about its content.
        """
        if self._function is None:
            return self._tensor(batch)
        if self._arrays is not None:
            return self._processed(batch, self._arrays)
        try:
            result, self._arrays = self._processed(batch, arrays=False), False
        except Exception as failure:  # the function is the user's: what it does with the wrong kind is its own
            try:
                result, self._arrays = self._processed(batch, arrays=True), True
            except Exception:
                if "ndarray" in str(failure) or "'Tensor'" in str(failure):
                    raise
                raise failure from None
        return result

    def _processed(self, batch: torch.Tensor, arrays: bool) -> Any:
        function: Any = self._function
        result = function(batch.cpu().numpy().copy() if arrays else self._tensor(batch))
        if isinstance(result, np.ndarray):
            result = as_tensor(result, self._device)
            return result.contiguous(memory_format=self._layout) if result.ndim == 5 else result
        return result.to(self._device) if isinstance(result, torch.Tensor) else result

    def _tensor(self, batch: torch.Tensor) -> torch.Tensor:
        own = batch.clone() if batch.device == self._device else batch.to(self._device)
        return own.contiguous(memory_format=self._layout)
