"""Streaming inference against whole-volume references: equal bits for any block, equal to the plain formula."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from connectomake.errors import ModelError, RunError
from connectomake.geometry.box import Box, Vec, as_vec
from connectomake.geometry.mirror import read_reflected, reflect
from connectomake.inference.engine import infer_block
from connectomake.inference.models import load_network
from connectomake.inference.networks import TorchNetwork, UniversalNetwork, configure_torch
from connectomake.inference.spec import InferenceSpec
from connectomake.networks.ensemble import save_mean
from connectomake.networks.rsunet import RSUNet
from tests.test_inference_lattice import plain_starts, plain_weights


def reader(image: np.ndarray, start: Vec) -> Callable[[Box], np.ndarray]:
    """Read boxes of an array whose first voxel lies at `start`; reaching outside is an error."""
    bounds = Box.of_shape(image.shape[1:], start)

    def read(box: Box) -> np.ndarray:
        assert bounds.contains(box)
        return image[(slice(None), *box.slices(start))]

    return read


def tiny_network(spec: InferenceSpec, channels_in: int = 1, seed: int = 0) -> TorchNetwork:
    torch.manual_seed(seed)
    layers = nn.Sequential(
        nn.Conv3d(channels_in, 4, 3, padding=1),
        nn.BatchNorm3d(4),
        nn.ReLU(),
        nn.Conv3d(4, spec.channels, 3, padding=1),
        nn.Sigmoid(),
    )
    device = configure_torch(spec)
    layers.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]  # torch's stub leaves this form out
    return TorchNetwork(layers, spec, device, "tiny.py")


def infer(
    image: np.ndarray,
    start: Vec,
    roi: Box,
    boxes: list[Box],
    spec: InferenceSpec,
    network: Any,
    slab: int = 4,
) -> np.ndarray:
    """Run blocks one by one and put their slabs together."""
    out = np.zeros((spec.channels, *roi.shape), spec.dtype)
    seen = np.zeros(roi.shape, int)
    bounds = Box.of_shape(image.shape[1:], start)

    def write(box: Box, slabs: np.ndarray) -> None:
        assert slabs.dtype == spec.dtype
        assert slabs.shape == (spec.channels, *box.shape)
        out[(slice(None), *box.slices(roi.start))] = slabs
        seen[box.slices(roi.start)] += 1

    for box in boxes:
        infer_block(reader(image, start), bounds, network, spec, spec.lattice(roi), box, write, slab)
    assert (seen == 1).all()
    return out


def plain_inference(image: np.ndarray, start: Vec, roi: Box, spec: InferenceSpec, network: Any) -> np.ndarray:
    """chunkflow's formula over the whole region at once, in float64 but for the network."""
    scale = np.iinfo(image.dtype).max if image.dtype.kind in "iu" else 1
    pad = [(s + m, p + m) for s, m, p in zip((40,) * 3, spec.margin, (40,) * 3, strict=True)]
    wide = np.pad((image / scale).astype(np.float32), [(0, 0), *pad], mode="reflect")
    origin = [s - p[0] for s, p in zip(start, pad, strict=True)]
    weights = plain_weights(spec.output_patch, spec.overlap)
    total = np.zeros((spec.channels, *(s + p for s, p in zip(roi.shape, spec.output_patch, strict=True))))
    norm = np.zeros(total.shape[1:])
    axes = [plain_starts(n, p, o) for n, p, o in zip(roi.shape, spec.output_patch, spec.overlap, strict=True)]
    for place in itertools.product(*axes):
        low = [r + p - m - o for r, p, m, o in zip(roi.start, place, spec.margin, origin, strict=True)]
        patch = wide[(slice(None), *(slice(a, a + n) for a, n in zip(low, spec.patch, strict=True)))]
        output = network.forward(np.ascontiguousarray(patch[np.newaxis]))[0]
        here = tuple(slice(p, p + n) for p, n in zip(place, spec.output_patch, strict=True))
        total[(slice(None), *here)] += output * weights
        norm[here] += weights
    inside = tuple(slice(0, n) for n in roi.shape)
    return total[(slice(None), *inside)] / norm[inside]


def blocks_of(roi: Box, block: Vec) -> list[Box]:
    edges = [range(a, b, n) for a, b, n in zip(roi.start, roi.stop, block, strict=True)]
    return [Box.of_shape(block, as_vec(p)).intersect(roi) for p in itertools.product(*edges)]


def specs() -> st.SearchStrategy[InferenceSpec]:
    @st.composite
    def build(draw: st.DrawFn) -> InferenceSpec:
        output = as_vec([draw(st.integers(2, 9)) for _ in range(3)])
        overlap = as_vec([draw(st.integers(0, o - 1)) for o in output])
        patch = as_vec([o + 2 * draw(st.integers(0, 2)) for o in output])
        channels, batch = draw(st.integers(1, 3)), draw(st.integers(1, 3))
        return InferenceSpec(patch, output, overlap, channels=channels, batch=batch, dtype="float32")

    return build()


@pytest.mark.slow
@settings(max_examples=25)
@given(specs(), st.data())
def test_any_block_gives_the_bits_of_the_whole(spec: InferenceSpec, data: st.DataObject) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    start = as_vec([data.draw(st.integers(-9, 9)) for _ in range(3)])
    shape = as_vec([data.draw(st.integers(1, 22)) for _ in range(3)])
    image = rng.integers(0, 256, (1, *shape), np.uint8)
    low = [data.draw(st.integers(0, n - 1)) for n in shape]
    size = [data.draw(st.integers(1, n - a)) for n, a in zip(shape, low, strict=True)]
    roi = Box.of_shape(as_vec(size), as_vec([s + a for s, a in zip(start, low, strict=True)]))
    block = as_vec([data.draw(st.integers(max(1, n // 3), n + 3)) for n in size])
    network = tiny_network(spec)
    whole = infer(image, start, roi, [roi], spec, network)
    parts = infer(image, start, roi, blocks_of(roi, block), spec, network, slab=data.draw(st.integers(1, 8)))
    np.testing.assert_array_equal(parts, whole)
    np.testing.assert_allclose(whole, plain_inference(image, start, roi, spec, network=tiny_network(spec)), atol=1e-6)


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_real_patch_sizes_keep_their_batch(batch: int) -> None:
    spec = InferenceSpec((8, 16, 16), (8, 16, 16), (2, 4, 4), batch=batch, dtype="float32")
    image = np.random.default_rng(0).integers(0, 256, (1, 20, 40, 44), np.uint8)
    roi = Box.of_shape((20, 40, 44))
    network = tiny_network(spec)
    whole = infer(image, (0, 0, 0), roi, [roi], spec, network)
    assert network.batch == batch
    parts = infer(image, (0, 0, 0), roi, blocks_of(roi, (16, 16, 16)), spec, network)
    np.testing.assert_array_equal(parts, whole)


@pytest.mark.slow
@pytest.mark.parametrize("augment", ["none", "8"])
@pytest.mark.parametrize("block", [(8, 12, 16), (20, 24, 7)])
def test_the_mean_of_networks_gives_the_bits_of_the_whole(tmp_path: Path, block: Vec, augment: str) -> None:
    torch.manual_seed(0)
    save_mean(tmp_path / "mean.pt", [RSUNet(1, 3, w, pooling=(1, 2, 2), sigmoid=True) for w in ((4, 6), (3, 4, 5))], half=True)
    spec = InferenceSpec((8, 16, 16), (6, 12, 12), (2, 4, 4), channels=3, augment=augment, affinities=(0, 1, 2), device="cpu")
    network = load_network(Path(__file__).parent.parent / "models/rsunet.py", tmp_path / "mean.pt", spec)
    image = np.random.default_rng(1).integers(0, 256, (1, 20, 24, 26), np.uint8)
    roi = Box((-3, 5, 0), (15, 26, 23))
    whole = infer(image, (-4, 3, -1), roi, [roi], spec, network)
    np.testing.assert_array_equal(infer(image, (-4, 3, -1), roi, blocks_of(roi, block), spec, network), whole)
    assert np.ptp(whole) > 0


def test_uint8_is_rounded_float() -> None:
    image = np.random.default_rng(1).integers(0, 256, (1, 12, 20, 20), np.uint8)
    roi = Box.of_shape((12, 20, 20))
    shapes = ((6, 8, 8), (6, 8, 8), (2, 3, 3))
    exact, rounded = (InferenceSpec(*shapes, dtype=dtype) for dtype in ("float32", "uint8"))
    floats = infer(image, (0, 0, 0), roi, [roi], exact, tiny_network(exact))
    bytes_ = infer(image, (0, 0, 0), roi, [roi], rounded, tiny_network(rounded))
    np.testing.assert_array_equal(bytes_, np.floor(np.float32(255) * floats + np.float32(0.5)).astype(np.uint8))


def test_already_weighted_output_is_not_weighted_again() -> None:
    spec = InferenceSpec((8, 8, 8), (4, 6, 4), (1, 2, 1), dtype="float32", kind="universal")
    image = np.random.default_rng(2).random((1, 10, 14, 9), np.float32)
    roi = Box.of_shape((10, 14, 9))
    weights = plain_weights(spec.output_patch, spec.overlap).astype(np.float32)
    crop = (slice(None), slice(None), slice(2, 6), slice(1, 7), slice(2, 6))
    network = UniversalNetwork(lambda patch: patch[crop] * weights, spec, torch.device("cpu"), "copy.py")
    out = infer(image, (0, 0, 0), roi, blocks_of(roi, (5, 8, 8)), spec, network)
    np.testing.assert_allclose(out, image, atol=1e-6)


@given(st.integers(1, 9), st.integers(-30, 30), st.integers(1, 40))
def test_reflection_is_numpys(size: int, low: int, length: int) -> None:
    padded = np.pad(np.arange(size), (80, 80), mode="reflect")
    np.testing.assert_array_equal(reflect(np.arange(low, low + length), 0, size), padded[80 + low : 80 + low + length])


@given(st.data())
def test_reflected_reading_is_padding_of_the_whole(data: st.DataObject) -> None:
    shape = as_vec([data.draw(st.integers(1, 6)) for _ in range(3)])
    start = as_vec([data.draw(st.integers(-5, 5)) for _ in range(3)])
    image = np.random.default_rng(0).integers(0, 99, (2, *shape), np.int16)
    low = [data.draw(st.integers(-12, 12)) for _ in range(3)]
    box = Box.of_shape(as_vec([data.draw(st.integers(1, 12)) for _ in range(3)]), as_vec(low))
    wide = np.pad(image, [(0, 0), (40, 40), (40, 40), (40, 40)], mode="reflect")
    expected = wide[(slice(None), *box.slices(as_vec([s - 40 for s in start])))]
    np.testing.assert_array_equal(read_reflected(reader(image, start), box, Box.of_shape(shape, start)), expected)


def run_once(image: np.ndarray, spec: InferenceSpec, network: Any = None) -> np.ndarray:
    roi = Box.of_shape(image.shape[1:], (5, 0, 0))
    return infer(image, (5, 0, 0), roi, [roi], spec, network or tiny_network(spec, image.shape[0]))


SMALL = InferenceSpec((4, 4, 4), (4, 4, 4), (1, 1, 1), dtype="float32")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_named(value: float) -> None:
    image = np.zeros((1, 8, 8, 8), np.float32)
    image[0, 2, 3, 4] = value
    with pytest.raises(RunError, match=r"the image has the value .* at z, y, x = 7, 3, 4"):
        run_once(image, SMALL)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_network_output_that_is_not_finite_is_named(dtype: str) -> None:
    spec = InferenceSpec((4, 4, 4), (4, 4, 4), (1, 1, 1), dtype=dtype)
    network = tiny_network(spec)
    network.module[0].bias.data[:] = float("nan")
    with pytest.raises(ModelError, match=r"^\S+: the network's .* not a finite number in channel 0 at z, y, x = 5, 0, 0"):
        run_once(np.zeros((1, 8, 8, 8), np.uint8), spec, network)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float64, np.float16, bool])
def test_dtypes_are_scaled(dtype: Any) -> None:
    image = (np.random.default_rng(0).random((1, 8, 8, 8)) * 50).astype(dtype)
    scale = np.iinfo(dtype).max if np.dtype(dtype).kind in "iu" else 1
    network = UniversalNetwork(
        lambda patch: patch * plain_weights((4, 4, 4), (1, 1, 1)).astype(np.float32),
        SMALL,
        torch.device("cpu"),
        "copy.py",
    )
    np.testing.assert_allclose(run_once(image, SMALL, network), image.astype(np.float64) / scale, rtol=1e-5)


def test_complex_images_are_refused() -> None:
    with pytest.raises(RunError, match="complex64"):
        run_once(np.zeros((1, 8, 8, 8), np.complex64), SMALL)


def test_image_channels_must_fit_the_network() -> None:
    with pytest.raises(ModelError, match=r"the network failed on a batch of shape \(1, 2, 4, 4, 4\).*channels"):
        run_once(np.zeros((2, 8, 8, 8), np.uint8), SMALL, tiny_network(SMALL))


def test_a_block_outside_the_region_is_refused() -> None:
    roi = Box.of_shape((8, 8, 8))
    with pytest.raises(RunError, match="not inside the region"):
        infer(np.zeros((1, 9, 9, 9), np.uint8), (0, 0, 0), roi, [Box.of_shape((9, 8, 8))], SMALL, tiny_network(SMALL))


def test_progress_and_stats() -> None:
    spec = InferenceSpec((4, 4, 4), (4, 4, 4), (0, 0, 0), batch=3, dtype="float32")
    image, roi, told = np.zeros((8, 8, 8), np.uint8), Box.of_shape((8, 8, 8)), []
    stats = infer_block(
        lambda box: image[box.slices()],
        roi,
        tiny_network(spec),
        spec,
        spec.lattice(roi),
        roi,
        lambda box, slab: None,
        4,
        lambda done, total: told.append((done, total)),
    )
    assert told == [(n, 8) for n in range(1, 9)]
    assert (stats.patches, stats.passes, stats.batch) == (8, 3, 3)
    assert 0 < stats.forward_seconds <= stats.seconds
