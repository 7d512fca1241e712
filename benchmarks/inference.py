"""Inference of a block over the sum of its forward passes: what reading, blending and writing cost beside the network.

The reference is the time within the torch module alone, measured in the same run by a module wrapped around it. One
thread, RSUNet of widths 8, 16, 32, 64, random weights, the patch of published affinity networks.
"""

import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.rows import Row, median
from connectomake.geometry import Box
from connectomake.inference.batches import InferenceStats
from connectomake.inference.engine import infer_block
from connectomake.inference.networks import TorchNetwork, configure_torch
from connectomake.inference.spec import InferenceSpec
from connectomake.layers import LayerSpec, ShardWriter
from connectomake.networks.rsunet import RSUNet

WIDTHS = (8, 16, 32, 64)
REPEATS = int(os.environ.get("CONNECTOMAKE_REPEATS", "3"))
BLOCK = (36, 448, 448)
CHUNK = (18, 224, 224)
LIMIT = 1.03


class Timed(nn.Module):
    """A module that adds up the seconds within another."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.seconds = 0.0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Call the inner module."""
        _finish(x.device)
        began = time.perf_counter()
        y: torch.Tensor = self.inner(x)
        _finish(x.device)
        self.seconds += time.perf_counter() - began
        return y


def _finish(device: torch.device) -> None:
    """Wait for what a GPU still has to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def run() -> dict[str, Any]:
    """Measure a block of 3 channels: engine alone, and with the block's shard written."""
    count = sum(p.numel() for p in _module().parameters())
    return {
        "title": "Inference of a block over the sum of its forward passes",
        "network": f"RSUNet {'/'.join(map(str, WIDTHS))}, {count:,} parameters",
        "rows": rows_on("cpu"),
    }


def _module() -> RSUNet:
    torch.manual_seed(0)
    return RSUNet(1, 3, WIDTHS, variant="rsunet", sigmoid=True)


def rows_on(kind: str, autocast: str = "none") -> list[Row]:
    """Measure on a CPU or a CUDA device."""
    spec = InferenceSpec(
        (20, 256, 256), (20, 256, 256), (4, 64, 64), channels=3, dtype="uint8", threads=1, device=kind, autocast=autocast
    )
    device = configure_torch(spec)
    module = Timed(_module().to(device).to(memory_format=torch.channels_last_3d))  # type: ignore[call-overload]
    network = TorchNetwork(module, spec, device, "rsunet")
    _warm(module, device)
    image = np.random.default_rng(0).integers(0, 256, BLOCK, np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        samples: dict[str, list[tuple[float, float, InferenceStats]]] = {"engine alone": [], "with the shard written": []}
        network.forward(np.zeros((1, 1, *spec.patch), np.float32))
        for _ in range(REPEATS):
            for name, taken in samples.items():
                taken.append(_block(network, module, spec, image, Path(folder) / "0.shard" if "shard" in name else None))
    where = (
        "1 thread"
        if kind == "cpu"
        else f"{torch.cuda.get_device_name(device)}, {'float32' if autocast == 'none' else autocast}"
    )
    return [_row(name, where, taken) for name, taken in samples.items()]


def _warm(module: Timed, device: torch.device) -> None:
    """Compile what is compiled on first use, on a block of two small patches."""
    spec = InferenceSpec((4, 16, 16), (4, 16, 16), (0, 0, 0), channels=3, device=device.type)
    network = TorchNetwork(module, spec, device, "rsunet")
    roi = Box.of_shape((8, 16, 16))
    read = lambda box: np.zeros((1, *box.shape), np.uint8)  # noqa: E731
    infer_block(read, roi, network, spec, spec.lattice(roi), roi, lambda _box, _slab: None, 8)


def _block(
    network: TorchNetwork, module: Timed, spec: InferenceSpec, image: np.ndarray, path: Path | None
) -> tuple[float, float, InferenceStats]:
    """Run one block; return wall seconds, seconds within the module, and the engine's own account."""
    module.seconds = 0.0
    roi = Box.of_shape(image.shape)
    layer = LayerSpec("affinity", "uint8", spec.channels, roi, BLOCK, CHUNK, (40.0, 4.0, 4.0), "image", "raw", 1)
    arguments: dict[str, Any] = {
        "read": lambda box: image[None][(slice(None), *box.slices())],
        "bounds": roi, "network": network, "spec": spec, "lattice": spec.lattice(roi), "box": roi, "slab": CHUNK[0],
    }  # fmt: skip
    began = time.perf_counter()
    if path is None:
        stats = infer_block(write=lambda _box, _slab: None, **arguments)
    else:
        with ShardWriter(path, layer, 0, {}) as writer:
            stats = infer_block(write=writer.write, **arguments)
    return time.perf_counter() - began, module.seconds, stats


def _row(name: str, where: str, taken: list[tuple[float, float, InferenceStats]]) -> Row:
    ratios = [wall / inside for wall, inside, _ in taken]
    middle = sorted(taken, key=lambda t: t[0] / t[1])[len(taken) // 2]
    stats = middle[2]
    return Row(
        f"{name}: patch 20×256×256, overlap 4×64×64, block {'×'.join(map(str, BLOCK))}, {where}",
        middle[0],
        "s",
        middle[1],
        "its forward passes",
        limit=LIMIT if where == "1 thread" else None,
        samples=ratios,
        details={
            "samples_are": "ratios",
            "median_ratio": median(ratios),
            "passes": stats.passes,
            "read_s": stats.read_seconds,
            "network_s": stats.forward_seconds,
            "write_s": stats.write_seconds,
        },
    )
