"""Test-time augmentation: turned back, swapped and shifted exactly; the same under any blocks."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from connectomake.config import check_config, normalise
from connectomake.errors import ConfigError, ModelError
from connectomake.geometry.box import Box
from connectomake.inference.augment import AugmentedNetwork, views
from connectomake.inference.models import load_network
from connectomake.inference.networks import TorchNetwork, configure_torch
from connectomake.inference.spec import InferenceSpec
from tests.test_inference_engine import infer, plain_inference, tiny_network

AUGMENTS = ("8", "16", "48")


class Edges(nn.Module):
    """Affinities by a formula that knows no side: of voxel v and its lower neighbour, 1 - |difference|, then a square."""

    def __init__(self, order: tuple[int, int, int] = (0, 1, 2)) -> None:
        super().__init__()
        self.order = order

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        channels = []
        for axis in self.order:
            lower = torch.roll(image, 1, axis + 2)
            channels.append((1 - (image - lower).abs()) ** 2)
        return torch.cat(channels, 1)


class Crop(nn.Module):
    """Another network's output without its faces."""

    def __init__(self, inner: Edges, by: int) -> None:
        super().__init__()
        self.inner, self.by = inner, by

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        inner: torch.Tensor = self.inner(image)
        return inner[..., self.by : -self.by, self.by : -self.by, self.by : -self.by]


def spec_of(
    augment: str,
    margin: int = 1,
    channels: int = 3,
    affinities: Any | None = (0, 1, 2),
    **kwargs: Any,
) -> InferenceSpec:
    return InferenceSpec(
        (8, 8, 8), (8 - 2 * margin,) * 3, (2, 2, 2), channels=channels, dtype="float32", augment=augment,
        affinities=affinities, **kwargs,
    )  # fmt: skip


def network_of(module: Any, spec: InferenceSpec) -> TorchNetwork:
    return TorchNetwork(module, spec, configure_torch(spec), "net.py")


def batch(seed: int = 0, count: int = 2) -> np.ndarray:
    """Sixteenths, so that the formula is exact and the mean's order cannot matter."""
    return (np.random.default_rng(seed).integers(0, 17, (count, 1, 8, 8, 8)) / 16).astype(np.float32)


@pytest.mark.parametrize("augment", AUGMENTS)
@pytest.mark.parametrize("margin", [1, 2])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_a_symmetric_network_says_the_same_with_and_without(augment: str, margin: int, order: tuple[int, int, int]) -> None:
    affinities = tuple(order.index(axis) for axis in range(3))
    spec = spec_of(augment, margin, affinities=affinities)
    network = network_of(Edges(order), spec)
    plain, augmented = network.forward(batch()), AugmentedNetwork(network, spec).forward(batch())
    if augment == "8":
        np.testing.assert_array_equal(augmented, plain)
    np.testing.assert_allclose(augmented, plain, rtol=3e-7)


@pytest.mark.parametrize("augment", AUGMENTS)
def test_without_a_margin_the_first_voxel_takes_the_views_that_know_its_edge(augment: str) -> None:
    spec = InferenceSpec((8, 8, 8), (6, 6, 6), (2, 2, 2), channels=3, dtype="float32", augment=augment, affinities=(0, 1, 2))
    network = network_of(Crop(Edges(), 1), spec)  # returns the output patch and nothing around it
    np.testing.assert_allclose(AugmentedNetwork(network, spec).forward(batch()), network.forward(batch()), rtol=3e-7)


@pytest.mark.parametrize("augment", AUGMENTS)
def test_every_view_of_an_edge_is_where_that_edge_is(augment: str) -> None:
    """Each view alone, not only their mean, must give the formula's affinities."""
    spec = spec_of(augment)
    network = network_of(Edges(), spec)
    expected = network.forward(batch())
    for view in views(augment):
        alone = AugmentedNetwork(network, spec)
        alone._views = [view]
        np.testing.assert_array_equal(alone.forward(batch()), expected)


@pytest.mark.parametrize("wrong", ["unswapped", "unshifted"])
def test_the_formula_sees_a_missing_swap_or_shift(wrong: str) -> None:
    spec = spec_of("48", affinities=None if wrong == "unshifted" else (1, 0, 2))
    network = network_of(Edges(), spec)
    assert np.abs(AugmentedNetwork(network, spec).forward(batch()) - network.forward(batch())).max() > 0.1


def test_probabilities_are_neither_swapped_nor_shifted() -> None:
    class Square(nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return torch.cat([image**2, image], 1)

    spec = spec_of("48", margin=0, channels=2, affinities=None)
    network = network_of(Square(), spec)
    np.testing.assert_allclose(AugmentedNetwork(network, spec).forward(batch()), network.forward(batch()), rtol=3e-7)


@pytest.mark.parametrize("augment", AUGMENTS)
def test_the_mean_of_an_uneven_network_is_even(augment: str) -> None:
    """Whatever the network, the augmented one gives a turned image the turned affinities."""
    spec = spec_of(augment)
    network = AugmentedNetwork(tiny_network(spec), spec)
    output = network.forward(batch())
    flipped = network.forward(np.ascontiguousarray(batch()[:, :, ::-1]))
    np.testing.assert_allclose(flipped[:, 0, 1:], output[:, 0, ::-1][:, :-1], atol=1e-6)
    np.testing.assert_allclose(flipped[:, 1], output[:, 1, ::-1], atol=1e-6)
    if augment != "8":
        swapped = network.forward(np.ascontiguousarray(batch().swapaxes(3, 4)))
        np.testing.assert_allclose(swapped, output[:, [0, 2, 1]].swapaxes(3, 4), atol=1e-6)


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(st.data())
def test_any_block_gives_the_bits_of_the_whole(data: Any) -> None:
    spec = spec_of(data.draw(st.sampled_from(("8", "16"))), data.draw(st.integers(0, 2)), batch=data.draw(st.integers(1, 2)))
    start = data.draw(st.tuples(*[st.integers(-20, 20)] * 3))
    shape = data.draw(st.tuples(*[st.integers(1, 14)] * 3))
    block = data.draw(st.tuples(*[st.integers(2, 14)] * 3))
    roi = Box.of_shape(shape, start)
    image = np.random.default_rng(data.draw(st.integers(0, 9))).random((1, *shape), np.float32)
    network = AugmentedNetwork(tiny_network(spec), spec)
    boxes = [
        Box((z, y, x), tuple(min(a + b, c) for a, b, c in zip((z, y, x), block, roi.stop, strict=True)))
        for z in range(start[0], roi.stop[0], block[0])
        for y in range(start[1], roi.stop[1], block[1])
        for x in range(start[2], roi.stop[2], block[2])
    ]
    whole = infer(image, start, roi, [roi], spec, network)
    np.testing.assert_array_equal(infer(image, start, roi, boxes, spec, network), whole)
    np.testing.assert_allclose(whole, plain_inference(image, start, roi, spec, network), atol=1e-5)


def test_load_network_augments_and_the_record_says_so(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text("from torch import nn\nInstantiatedModel = nn.Conv3d(1, 3, 3, padding=1)\n")
    network = load_network(tmp_path / "net.py", None, spec_of("8"))
    assert isinstance(network, AugmentedNetwork)
    assert network.record()["augment"] == "8"
    assert isinstance(load_network(tmp_path / "net.py", None, spec_of("none")), TorchNetwork)
    (tmp_path / "own.py").write_text(
        "class PatchInferencer:\n    def __init__(self, w, m): pass\n    def __call__(self, p): pass\n"
    )
    with pytest.raises(ModelError, match=r"own\.py: inference\.augment 8 cannot be used with a PatchInferencer"):
        load_network(tmp_path / "own.py", None, spec_of("8"))


def config_of(**inference: Any) -> dict[str, Any]:
    section = {"model": "net.py", "patch": [8, 8, 8], "overlap": [2, 2, 2], "channels": 3} | inference
    return normalise({"outdir": "out", "source": {"path": "x.h5"}, "block": [16, 16, 16], "meshes": {"enabled": False},
                      "segmentation": {"method": "watershed"}, "inference": section})  # fmt: skip


def test_config_of_augmentation() -> None:
    config = config_of(augment=16, affinities=[2, 1, 0])
    check_config(config)
    spec = InferenceSpec.from_config(config["inference"])
    assert (spec.augment, spec.affinities) == ("16", (2, 1, 0))
    with pytest.raises(ConfigError, match=r"augment 8 must know which channels.*set inference.affinities to \[0, 1, 2\]"):
        check_config(config_of(augment=8))
    with pytest.raises(ConfigError, match=r"inference.augment: 4 is not allowed; wanted: one of none, 8, 16, 48"):
        config_of(augment=4)
    with pytest.raises(ConfigError, match=r"three of the 3 channels .* got \[0, 1, 3\]"):
        InferenceSpec.from_config(config_of(augment=8, affinities=[0, 1, 3])["inference"])
    with pytest.raises(ConfigError, match=r"inference\.augment 48 swaps axes, but the patch \[8, 16, 16\] has other lengths"):
        InferenceSpec.from_config(config_of(augment=48, patch=[8, 16, 16])["inference"])
