"""On a GPU: training steps per second, and inference of a block over the sum of its forward passes.

The training is that of ``configs/training/fib25-refine.yaml``, the inference that of the benchmark of CPUs, with float32 and
bfloat16. What the host does between forward passes (copies, blending, writing) is not hidden behind them.
"""

from typing import Any

import torch

from benchmarks.inference import rows_on
from benchmarks.rows import Skipped
from benchmarks.training import rows_of

STEPS = 200


def run() -> dict[str, Any]:
    """Measure on the first CUDA device."""
    if not torch.cuda.is_available():
        raise Skipped("torch finds no CUDA device here")
    what = f"four samples of 80³, widths 24, 40, 64, 64, {torch.cuda.get_device_name(0)}"
    rows = rows_of("fib25-refine", what, STEPS, {"device": "cuda", "initial_weights": None})
    return {"title": "Training and inference on a GPU", "rows": rows + rows_on("cuda") + rows_on("cuda", "bfloat16")}
