"""The precision in which a network runs: the reduced one that was asked for, where the processor has it."""

import torch

_LOW = {"bfloat16": torch.bfloat16, "float16": torch.float16}


def precision_on(device: str, autocast: str) -> str:
    """Return 'none', 'bfloat16' or 'float16': what a network runs in if `autocast` is asked for.

    A CPU without these types (no AVX-512, or older ARM) would run a convolution of them in a plain loop, a hundred times as
    long as in float32; there a network runs in float32. Floats are promised equal per kind of device and instruction set
    only, so which of the two it is belongs to neither config nor fingerprint, but to the record of what was made.

    Parameters
    ----------
    device
        Type of torch's device: 'cpu' or 'cuda'.
    autocast
        'none', 'bfloat16' or 'float16'.
    """
    return autocast if device != "cpu" or _cpu_has(autocast) else "none"


def _cpu_has(autocast: str) -> bool:
    """Whether oneDNN, which torch's convolutions on CPUs go through, has kernels of this type for the processor."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    if autocast == "bfloat16":
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return autocast == "float16" and bool(torch.ops.mkldnn._is_mkldnn_fp16_supported())


def lowered(device: str, autocast: str) -> torch.autocast:
    """Return the context in which a network runs in `precision_on` this type of device."""
    low = _LOW.get(precision_on(device, autocast))
    return torch.autocast(device, dtype=low, enabled=low is not None)
