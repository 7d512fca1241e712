"""On a GPU: training steps per second, and inference of a block over the sum of its forward passes.

The training is that of ``configs/training/fib25-refine.yaml``. The inference is a block of 256 × 1024 × 1024 whose image is
unpacked from compressed sections, written as a shard, in float32 and bfloat16. Beside it: the same on the
host, where each batch is copied to the device and back and blended between passes, as a plain serial loop does.
"""

import gzip
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.rows import Row, Skipped
from connectomake.geometry import Box
from connectomake.inference.backend import Backend
from connectomake.inference.batches import InferenceStats
from connectomake.inference.cuda import DeviceBackend
from connectomake.inference.engine import infer_block
from connectomake.inference.host import HostBackend
from connectomake.inference.networks import TorchNetwork, configure_torch
from connectomake.inference.spec import InferenceSpec
from connectomake.layers import LayerSpec, ShardWriter
from connectomake.networks.rsunet import RSUNet

STEPS = 200
BLOCK = (256, 1024, 1024)
CHUNK = (32, 128, 128)
LIMIT = 1.1
NETWORKS = {
    "RSUNet 8/16/32/64, patch 20×256×256": ((20, 256, 256), (4, 64, 64), (8, 16, 32, 64), "rsunet"),
    "RSUNet 28/36/48/64/80, patch 64×256×256": ((64, 256, 256), (16, 64, 64), (28, 36, 48, 64, 80), "rsunet"),
}


def run() -> dict[str, Any]:
    """Measure on the first CUDA device."""
    if not torch.cuda.is_available():
        raise Skipped("torch finds no CUDA device here")
    rows = inference_rows()
    if not os.environ.get("CONNECTOMAKE_GPU_INFERENCE"):
        from benchmarks.training import rows_of

        what = f"four samples of 80³, widths 24, 40, 64, 64, {torch.cuda.get_device_name(0)}"
        rows += rows_of("fib25-refine", what, STEPS, {"device": "cuda", "initial_weights": None})
    return {"title": "Training and inference on a GPU", "rows": rows}


def inference_rows() -> list[Row]:
    """Measure blocks of each network in each precision."""
    image = _image()
    sections = [gzip.compress(section.tobytes(), 1) for section in image]
    return [row for name in NETWORKS for autocast in ("none", "bfloat16") for row in _rows(name, autocast, sections)]


def _image() -> np.ndarray:
    """Return grey values that compress about as those of a microscope: noise over smooth structures."""
    rng = np.random.default_rng(0)
    coarse = torch.from_numpy(rng.random((1, 1, 32, 128, 128), np.float32))
    smooth = torch.nn.functional.interpolate(coarse, size=BLOCK, mode="trilinear")[0, 0].numpy()
    return (smooth * 200 + rng.integers(0, 32, BLOCK)).astype(np.uint8)


def _rows(name: str, autocast: str, sections: list[bytes]) -> list[Row]:
    patch, overlap, widths, variant = NETWORKS[name]
    spec = InferenceSpec(patch, patch, overlap, channels=3, threads=1, device="cuda", autocast=autocast)
    device = configure_torch(spec)
    torch.manual_seed(0)
    module = RSUNet(1, 3, widths, variant=variant, sigmoid=True).to(device).to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    network = TorchNetwork(module, spec, device, "rsunet")
    network.forward(np.zeros((1, 1, *patch), np.float32))
    alone = _forward_alone(network, spec)
    precision = "float32" if autocast == "none" else autocast
    where = f"{name}, block {'×'.join(map(str, BLOCK))}, {precision}, {torch.cuda.get_device_name(device)}"
    backends: dict[str, Backend] = {
        "on the device": DeviceBackend(network, device),
        "on the host": HostBackend(network),
    }
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        for what, backend in backends.items():
            torch.cuda.reset_peak_memory_stats()
            taken, stats = _block(network, backend, spec, sections, Path(folder) / f"{len(rows)}.shard")
            rows.append(_row(f"blended {what}: {where}", taken, alone * stats.passes, stats, what == "on the device"))
        one, other = (Path(folder, f"{at}.shard").read_bytes() for at in range(2))
        if one != other:
            raise RuntimeError(f"{where}: the shards differ")
    return rows


def _forward_alone(network: TorchNetwork, spec: InferenceSpec, passes: int = 20) -> float:
    """Return the seconds of a forward pass, of random patches that lie on the device, and nothing else."""
    batch = torch.rand((1, 1, *spec.patch), device=network.device)
    for count in (3, passes):
        torch.cuda.synchronize()
        began = time.perf_counter()
        for _ in range(count):
            network.answer(batch)
        torch.cuda.synchronize()
    return (time.perf_counter() - began) / passes


def _block(
    network: TorchNetwork, backend: Backend, spec: InferenceSpec, sections: list[bytes], path: Path
) -> tuple[float, InferenceStats]:
    roi = Box.of_shape(BLOCK)
    layer = LayerSpec("affinity", "uint8", spec.channels, roi, BLOCK, CHUNK, (40.0, 4.0, 4.0), "image", "raw", 1)

    def read(box: Box) -> np.ndarray:
        (z0, z1), (y, x) = (box.start[0], box.stop[0]), box.slices()[1:]
        planes = (np.frombuffer(gzip.decompress(sections[z]), np.uint8).reshape(BLOCK[1:])[y, x] for z in range(z0, z1))
        return np.stack(list(planes))[np.newaxis]

    threads = len(os.sched_getaffinity(0))
    began = time.perf_counter()
    with ShardWriter(path, layer, 0, {}, threads) as writer:
        stats = infer_block(read, roi, network, spec, spec.lattice(roi), roi, writer.write, CHUNK[0], backend=backend)
    return time.perf_counter() - began, stats


def _row(what: str, taken: float, alone: float, stats: InferenceStats, limited: bool) -> Row:
    details = {
        "passes": stats.passes,
        "read_s": stats.read_seconds,
        "read_wait_s": stats.read_wait_seconds,
        "network_s": stats.forward_seconds,
        "write_s": stats.write_seconds,
        "write_wait_s": stats.write_wait_seconds,
        "peak_device_gb": torch.cuda.max_memory_allocated() / 1e9,
    }
    return Row(what, taken, "s", alone, "its forward passes", limit=LIMIT if limited else None, details=details)
