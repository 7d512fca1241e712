"""Training: targets, samples, resuming bit for bit, the product in inference, and what is said about wrong input."""

import csv
import itertools
import math
import re
import threading
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image
from scipy.ndimage import grey_closing, map_coordinates

from connectomake.errors import ConfigError, ConnectomakeError, RunError, SourceError
from connectomake.geometry import Box
from connectomake.inference.models import load_network
from connectomake.inference.networks import TorchNetwork
from connectomake.inference.spec import InferenceSpec
from connectomake.networks.rsunet import RSUNet, load_rsunet, save_rsunet
from connectomake.train_from_config import load_training, open_volumes, reporter, train_from_config
from connectomake.training.batch import Batch
from connectomake.training.intensity_augmentation import augment_intensity, blur
from connectomake.training.object_intensity import MEMBRANE, _closed, shift_object_intensity
from connectomake.training.resample import BOUNDARY, IGNORE, _as_cut, _resample, resample
from connectomake.training.run import train
from connectomake.training.samples import Prefetch, Sampler, validation_samples
from connectomake.training.spatial_transform import draw_spatial_transform
from connectomake.training.spec import AugmentSpec, TrainingSpec, offsets_of
from connectomake.training.targets import CUT, JOINED, LEAST_SHARE, UNKNOWN, affinities, erode
from connectomake.training.trainer import Trainer
from connectomake.training.volumes import TrainingVolume, as_labels

MODELS = Path(__file__).parent.parent / "models"
STILL = AugmentSpec(
    flip=False, transpose="none", brightness=0, contrast=0, gamma=0, noise=0, blur=0, cut_out=0, missing=0, misaligned=0
)
LABELS = arrays.arrays(np.uint32, st.tuples(*[st.integers(2, 6)] * 3), elements=st.sampled_from([0, 1, 2, 3, 0xFFFFFFFF]))


def tissue(shape: tuple[int, int, int] = (24, 20, 22), seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Cubes of 7 voxels with dark walls: image (z, y, x) uint8 and labels from 1, walls 0."""
    rng = np.random.default_rng(seed)
    z, y, x = (np.arange(n) for n in shape)
    number = (z[:, None, None] // 7) * 100 + (y[:, None] // 7) * 10 + x // 7 + 1
    wall = (z[:, None, None] % 7 == 0) | (y[:, None] % 7 == 0) | (x % 7 == 0)
    image = np.where(wall, 60, 180) + rng.normal(0, 8, shape)
    return image.astype(np.uint8), np.where(wall, 0, number).astype(np.uint32)


def volume(**kwargs: Any) -> TrainingVolume:
    return TrainingVolume("volume", *tissue(), **kwargs)


def spec_of(**kwargs: Any) -> TrainingSpec:
    network = {"widths": [4, 6], "pooling": [2, 2, 2], "variant": "rsunet3"}
    values: dict[str, Any] = {
        "patch": (8, 8, 8),
        "offsets": offsets_of([1, 3]),
        "network": network,
        "augment": STILL,
        "steps": 4,
    }
    return TrainingSpec(**values | kwargs)


def config_of(folder: Path, **changes: Any) -> str:
    image, labels = tissue()
    with h5py.File(folder / "volume.h5", "w") as file:
        file["raw"], file["labels"] = image, labels
    array = {"path": str(folder / "volume.h5")}
    config = {
        "outdir": str(folder / "out"),
        "volumes": [{
            "image": array | {"dataset": "raw"}, "labels": array | {"dataset": "labels"}, "unlabelled": "boundary",
            "validation": [{"start": [16, 0, 0], "stop": [24, 8, 8]}],
        }],
        "patch": [8, 8, 8], "steps": 7, "threads": 1, "device": "cpu", "network": {"widths": [4, 6]},
        "targets": {"offsets": [1, 3]}, "augment": {"tint": 0.5},
        "every": {"log": 2, "validate": 3, "checkpoint": 3, "picture": 4},
    } | changes  # fmt: skip
    path = folder / "train.yaml"
    import yaml

    path.write_text(yaml.safe_dump(config))
    return str(path)


def in_patch(position: tuple[int, int, int], shape: tuple[int, int, int]) -> bool:
    return all(0 <= p < n for p, n in zip(position, shape, strict=True))


@settings(max_examples=50, deadline=None)
@given(LABELS, st.sampled_from([(1, 0, 0), (0, 1, 0), (0, 0, 1), (2, 0, 0), (0, 1, 1)]))
def test_affinities_are_those_of_the_definition(labels: np.ndarray, offset: tuple[int, int, int]) -> None:
    classes, weights = affinities(labels, (offset,), 0)
    for v in np.ndindex(labels.shape):
        lower = tuple(p - o for p, o in zip(v, offset, strict=True))
        known = in_patch(lower, labels.shape) and IGNORE not in (labels[v], labels[lower])
        joined = JOINED if labels[v] == labels[lower] != BOUNDARY else CUT
        assert classes[0][v] == (joined if known else UNKNOWN)
    assert weights[0, UNKNOWN] == 0


@settings(max_examples=50, deadline=None)
@given(LABELS)
def test_classes_weigh_the_same(labels: np.ndarray) -> None:
    classes, weights = affinities(labels, ((0, 0, 1),), 0)
    known = classes != UNKNOWN
    share = (classes[known] == JOINED).mean() if known.any() else 0
    if LEAST_SHARE <= share <= 1 - LEAST_SHARE:
        for kind in (CUT, JOINED):
            assert weights[0, kind] * np.count_nonzero(classes == kind) == pytest.approx(0.5, rel=1e-4)


@settings(max_examples=50, deadline=None)
@given(LABELS, st.integers(0, 2))
def test_erosion_takes_voxels_beside_another_label(labels: np.ndarray, steps: int) -> None:
    expected = labels
    for _ in range(steps):
        before, expected = expected, expected.copy()
        for v in np.ndindex(labels.shape):
            near = [tuple(p + d * (a == axis) for a, p in enumerate(v)) for axis in range(3) for d in (-1, 1)]
            others = [before[n] for n in near if in_patch(n, labels.shape)]
            if before[v] != IGNORE and any(o not in (before[v], IGNORE) for o in others):
                expected[v] = BOUNDARY
    np.testing.assert_array_equal(erode(labels, steps), expected)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("signs", list(itertools.product((1, -1), repeat=3)))
def test_flips_and_transposes_copy_voxels_and_change_the_affinities(
    order: tuple[int, int, int], signs: tuple[int, int, int]
) -> None:
    image, labels = tissue((8, 8, 8))
    out, out_labels = np.empty((8, 8, 8), np.float32), np.empty((8, 8, 8), np.uint32)
    still, none = np.zeros((8, 2)), np.zeros((3, 1, 1, 1))
    matrix = np.eye(3)[:, order] * np.array(signs, float)
    resample(image, labels, np.full(3, 3.5), matrix, none, still, still, out, out_labels)
    turn = np.transpose(image, order)[tuple(slice(None, None, s) for s in signs)]
    np.testing.assert_array_equal(out, turn)
    turned = np.transpose(labels, order)[tuple(slice(None, None, s) for s in signs)]
    np.testing.assert_array_equal(out_labels, turned)
    before, after = affinities(labels, offsets_of([1]), 0)[0], affinities(out_labels, offsets_of([1]), 0)[0]
    for axis, (source, sign) in enumerate(zip(order, signs, strict=True)):
        expected = np.transpose(before[source], order)[tuple(slice(None, None, s) for s in signs)]
        if sign < 0:  # the edge belongs to the other voxel
            expected = np.roll(expected, 1, axis)
            np.moveaxis(expected, axis, 0)[0] = UNKNOWN
        np.testing.assert_array_equal(after[axis], expected)


@pytest.mark.slow
def test_beyond_the_volume_the_image_is_mirrored_and_nothing_is_learned() -> None:
    image, labels = tissue((8, 8, 8))
    out, out_labels = np.empty((12, 12, 12), np.float32), np.empty((12, 12, 12), np.uint32)
    still, none = np.zeros((12, 2)), np.zeros((3, 1, 1, 1))
    resample(image, labels, np.full(3, 3.5), np.eye(3), none, still, still, out, out_labels)
    np.testing.assert_array_equal(out, np.pad(image, 2, mode="reflect"))
    np.testing.assert_array_equal(out_labels, np.pad(labels, 2, constant_values=IGNORE))


def test_a_shifted_section_moves_in_the_image_alone_or_with_all_after_it() -> None:
    image, labels = tissue((8, 8, 8))
    out, out_labels = np.empty((8, 8, 8), np.float32), np.empty((8, 8, 8), np.uint32)
    shifts, none, still = np.zeros((8, 2)), np.zeros((3, 1, 1, 1)), np.zeros((8, 2))
    shifts[3] = (0, 2)
    resample(image, labels, np.full(3, 3.5), np.eye(3), none, shifts, still, out, out_labels)
    np.testing.assert_array_equal(out_labels, labels)
    np.testing.assert_array_equal(out[3, :, :6], image[3, :, 2:])
    np.testing.assert_array_equal(out[4], image[4])
    shifts[3:] = (0, 2)
    resample(image, labels, np.full(3, 3.5), np.eye(3), none, shifts, shifts, out, out_labels)
    np.testing.assert_array_equal(out_labels[3:, :, :6], labels[3:, :, 2:])
    np.testing.assert_array_equal(out[3:, :, :6], image[3:, :, 2:])


def test_zoom_and_turns_keep_image_and_labels_together() -> None:
    image, labels = tissue((40, 40, 40))
    image = np.where(labels == 0, 0, 200).astype(np.uint8)
    rng = np.random.default_rng(0)
    augment = AugmentSpec(rotate=1, zoom=0.2, bend=1, misaligned=0)
    agreed = []
    for _ in range(5):
        shape = draw_spatial_transform(augment, (16, 16, 16), rng)
        out, out_labels = np.empty((16, 16, 16), np.float32), np.empty((16, 16, 16), np.uint32)
        resample(image, labels, np.full(3, 19.5), shape.matrix, shape.warp, shape.shifts, shape.label_shifts, out, out_labels)
        agreed.append(((out > 100) == (out_labels > 0)).mean())
    assert min(agreed) > 0.85


@pytest.mark.parametrize("name", ["brightness", "contrast", "gamma", "noise", "blur", "cut_out", "missing", "section_jitter"])
def test_each_variation_of_grey_changes_the_image_when_on_and_only_then(name: str) -> None:
    image = (tissue((12, 12, 12))[0] / 255).astype(np.float32)
    np.testing.assert_allclose(augment_intensity(image.copy(), STILL, np.random.default_rng(1)), image, atol=1e-6)
    change: dict[str, Any] = {name: 1.0}
    varied = augment_intensity(image.copy(), replace(STILL, **change), np.random.default_rng(1))
    assert varied.shape == image.shape
    assert varied.dtype == np.float32
    assert np.isfinite(varied).all()
    assert np.abs(varied - image).max() > 0.01


def halves() -> tuple[np.ndarray, np.ndarray]:
    """Two objects of the same grey with a dark wall of two voxels between: image (z, y, x) and labels 5 and 9, wall 0."""
    labels = np.full((30, 30, 30), 5, np.uint32)
    labels[:, :, 16:] = 9
    labels[:, :, 14:16] = BOUNDARY
    return np.where(labels == BOUNDARY, 0.2, 0.6).astype(np.float32), labels


def test_tinted_objects_are_darker_or_brighter_as_a_whole() -> None:
    image, labels = halves()
    steps = []
    for seed in range(20):
        tinted = shift_object_intensity(image, labels, replace(STILL, tint=1.0), np.random.default_rng(seed))
        assert (tinted.shape, tinted.dtype) == (image.shape, np.dtype(np.float32))
        left, right = tinted[..., :5], tinted[..., -5:]
        np.testing.assert_allclose(left, left[0, 0, 0], atol=1e-5)
        np.testing.assert_allclose(right, right[0, 0, 0], atol=1e-5)
        steps.append(float(right.mean() - left.mean()))
    assert np.abs(steps).max() > 0.1
    assert min(steps) < 0 < max(steps)


def test_membranes_fade_in_places_of_some_tinted_samples() -> None:
    image, labels = halves()
    faded = []
    for seed in range(20):
        tinted = shift_object_intensity(image, labels, replace(STILL, tint=1.0), np.random.default_rng(seed))
        beside = (tinted[:, :, 8] + tinted[:, :, 21]) / 2
        faded.append(float((tinted[:, :, 14:16].mean(axis=2) > beside - 0.15).mean()))
    assert sum(f == 0 for f in faded) >= 4
    assert sum(f > 0.02 for f in faded) >= 4
    assert max(faded) < 0.9


@pytest.mark.slow
@pytest.mark.parametrize("start", [(0, 0, 0), (1, 2, 3), (-1, 0, 0), (0, 0, 5)])
@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_a_patch_that_is_only_turned_is_copied_as_it_would_be_resampled(
    order: tuple[int, int, int], start: tuple[int, int, int]
) -> None:
    image, labels = tissue((10, 11, 12))
    patch = tuple(np.array((4, 6, 8))[list(order)])
    matrix = np.eye(3)[:, order] * (1, -1, -1)
    centre = np.array(start) + (np.array((4, 6, 8)) - 1) / 2
    still, none = np.zeros((patch[0], 2)), np.zeros((3, 1, 1, 1))
    outs = [(np.empty(patch, np.float32), np.empty(patch, np.uint32)) for _ in range(2)]
    for fill, out in zip((resample, _resample), outs, strict=True):
        fill(image, labels, centre, matrix, none, still, still, *out)
    for copied, resampled in zip(*outs, strict=True):
        np.testing.assert_array_equal(copied, resampled)
    inside = all(a >= 0 and a + n <= size for a, n, size in zip(start, (4, 6, 8), image.shape, strict=True))
    assert inside == (_as_cut(image.shape, centre, matrix, patch) is not None)
    assert _as_cut(image.shape, centre, matrix @ np.diag((1.1, 1, 1)), patch) is None
    assert _as_cut(image.shape, centre + 0.25, matrix, patch) is None


def test_bends_are_interpolated_between_control_points() -> None:
    image, labels = tissue((20, 22, 24))
    patch, rng = (9, 10, 12), np.random.default_rng(4)
    bend, centre, matrix = rng.normal(0, 2, (3, 3, 2, 4)), np.array((9.5, 10.2, 12.1)), np.eye(3) + rng.normal(0, 0.1, (3, 3))
    still, out, out_labels = np.zeros((9, 2)), np.empty(patch, np.float32), np.empty(patch, np.uint32)
    resample(image, labels, centre, matrix, bend, still, still, out, out_labels)
    grid = np.stack(np.meshgrid(*(np.arange(n, dtype=float) for n in patch), indexing="ij"))
    scale = (np.array(bend.shape[1:]) - 1) / (np.array(patch) - 1)
    moved = [map_coordinates(b, grid * scale[:, None, None, None], order=1) for b in bend]
    middle = (np.array(patch) - 1) / 2
    places = np.einsum("ij,jzyx->izyx", matrix, grid - middle[:, None, None, None]) + centre[:, None, None, None] + moved
    expected = map_coordinates(image.astype(np.float64), places, order=1, mode="mirror")
    np.testing.assert_allclose(out, expected, atol=1e-3)


def test_what_takes_membranes_away_is_the_grey_closing() -> None:
    image = np.random.default_rng(2).random((9, 12, 7)).astype(np.float32)
    np.testing.assert_array_equal(_closed(image), grey_closing(image, MEMBRANE))


def test_without_tint_nothing_is_drawn_so_earlier_trainings_come_out_the_same() -> None:
    image, labels = halves()
    rng = np.random.default_rng(3)
    assert shift_object_intensity(image, labels, STILL, rng) is image
    assert rng.random() == np.random.default_rng(3).random()


def test_voxels_to_be_ignored_keep_their_grey() -> None:
    image, labels = halves()
    labels[:, :, 16:] = IGNORE
    for seed in range(5):
        tinted = shift_object_intensity(image, labels, replace(STILL, tint=1.0), np.random.default_rng(seed))
        np.testing.assert_allclose(tinted[..., -4:], image[..., -4:], atol=1e-6)


def test_blur_keeps_the_sum_inside() -> None:
    image = np.zeros((15, 15, 15), np.float32)
    image[7, 7, 7] = 1
    soft = blur(image, 1.0)
    assert soft.sum() == pytest.approx(1, abs=1e-5)
    assert soft[7, 7, 7] == pytest.approx((1 / 2.5066) ** 3, rel=0.02)


def test_a_sample_depends_on_seed_and_number_alone() -> None:
    spec = spec_of(augment=AugmentSpec(rotate=0.5, zoom=0.2, bend=1, tint=0.5))
    samples = [Sampler([volume()], spec).sample(n) for n in range(4)]
    again = Sampler([volume()], spec)
    for n in (3, 1, 0, 2):
        sample = again.sample(n)
        np.testing.assert_array_equal(sample.image, samples[n].image)
        np.testing.assert_array_equal(sample.classes, samples[n].classes)
        np.testing.assert_array_equal(sample.weights, samples[n].weights)
    assert not np.array_equal(samples[0].image, samples[1].image)
    other = Sampler([volume()], spec_of(augment=spec.augment, seed=1)).sample(0)
    assert not np.array_equal(other.image, samples[0].image)


def test_held_out_boxes_are_validated_on_and_never_learned() -> None:
    held = Box((8, 0, 0), (24, 20, 22))
    known = volume(held_out=(held,))
    sampler = Sampler([known], spec_of())
    assert not any((sampler._labels[0][held.slices()] != IGNORE).ravel())
    samples = validation_samples([known], spec_of())
    assert len(samples) == 2 * 3 * 3
    assert all((s.classes != UNKNOWN).any() for s in samples)


def test_all_volumes_are_drawn_from() -> None:
    bright, dark = (TrainingVolume(n, np.full((16, 16, 16), v, np.uint8), np.ones((16, 16, 16), np.uint32))
                    for n, v in (("a", 255), ("b", 0)))  # fmt: skip
    sampler = Sampler([bright, dark], spec_of())
    assert {float(sampler.sample(n).image.mean()) for n in range(20)} == {0.0, 1.0}


def test_prefetch_keeps_the_order_and_raises_what_was_raised() -> None:
    def make(number: int) -> int:
        if number == 3:
            raise RunError("no more")
        return number

    for workers in (1, 3):
        prefetch = Prefetch(make, 0, 9, workers)
        assert [prefetch.next() for _ in range(3)] == [0, 1, 2]
        with pytest.raises(RunError, match="no more"):
            prefetch.next()
        prefetch.close()


def test_prefetch_hands_out_in_order_what_is_made_in_any() -> None:
    ready = [threading.Event() for _ in range(3)]

    def make(number: int) -> int:
        if number < 2:
            assert ready[number + 1].wait(10)  # the later ones are ready first
        ready[number].set()
        return number

    prefetch = Prefetch(make, 0, 3, workers=3)
    assert [prefetch.next() for _ in range(3)] == [0, 1, 2]
    prefetch.close()


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parent.parent / "configs/training").glob("*.yaml")), ids=lambda p: p.stem
)
def test_shipped_trainings_are_valid(path: Path) -> None:
    spec = TrainingSpec.from_config(load_training(str(path)))
    assert spec.steps > 0


def trained(folder: Path, **changes: Any) -> dict[str, Any]:
    folder.mkdir(exist_ok=True)
    path = train_from_config(config_of(folder, **changes), lambda line: None)
    return dict(torch.load(path, weights_only=True)["state_dict"])


def rows_of(folder: Path) -> list[Any]:
    with (folder / "out/log.csv").open() as file:
        return [{k: v for k, v in row.items() if k not in ("seconds", "waited")} for row in csv.DictReader(file)]


@pytest.mark.slow
def test_the_number_of_workers_changes_no_bit_and_may_change_on_the_way(tmp_path: Path) -> None:
    one, three = (trained(tmp_path / str(n), workers=n, batch=2) for n in (1, 3))
    assert all(torch.equal(one[key], three[key]) for key in one)
    assert trained(tmp_path / "1", workers=2, batch=2, steps=8).keys() == one.keys()


class Killed(Exception):
    """Stands for a kill."""


@pytest.mark.slow
@pytest.mark.parametrize("autocast", ["none", "bfloat16"])
@pytest.mark.parametrize("batch", [1, 2])
def test_a_killed_training_goes_on_to_the_same_bits(tmp_path: Path, autocast: str, batch: int) -> None:
    whole = trained(tmp_path / "whole", autocast=autocast, batch=batch)
    (tmp_path / "cut").mkdir()
    config = load_training(config_of(tmp_path / "cut", autocast=autocast, batch=batch))

    for stop in (2, 5, 6):  # before the first checkpoint, between two, at one

        def kill(step: Any, *_: Any, stop: int = stop) -> None:
            if step == stop:
                raise Killed

        with pytest.raises(Killed):
            train(config, open_volumes(config), kill)
    train(config, open_volumes(config))
    cut = torch.load(tmp_path / "cut/out/weights.pt", weights_only=True)["state_dict"]
    assert whole.keys() == cut.keys()
    assert all(torch.equal(whole[name], cut[name]) for name in whole)
    assert rows_of(tmp_path / "whole") == rows_of(tmp_path / "cut")


def test_the_seed_decides(tmp_path: Path) -> None:
    first, again, other = (trained(tmp_path / n, seed=s, steps=2) for n, s in (("a", 0), ("b", 0), ("c", 1)))
    assert all(torch.equal(first[n], again[n]) for n in first)
    assert not all(torch.equal(first[n], other[n]) for n in first)


@pytest.mark.slow
def test_it_learns_and_leaves_weights_log_and_pictures(tmp_path: Path) -> None:
    said: list[Any] = []
    still = asdict(STILL)
    config = config_of(tmp_path, steps=60, augment=still, optimizer={"learning_rate": 0.02, "warm_up": 5, "average": 0.9})
    path = train_from_config(config, said.append)
    rows = rows_of(tmp_path)
    losses = [float(row["loss"]) for row in rows]
    assert np.mean(losses[-5:]) < 0.75 * losses[0]
    validations = [float(row["validation"]) for row in rows if row["validation"]]
    assert validations[-1] < validations[0]
    assert "min to go" in said[1]
    assert (tmp_path / "out/loss.png").read_bytes().startswith(b"\x89PNG")
    assert len(list((tmp_path / "out/samples").glob("*.png"))) == 15

    spec = InferenceSpec((8, 8, 8), (8, 8, 8), (0, 0, 0), channels=3)
    network = load_network(MODELS / "rsunet.py", path, spec)
    image = (tissue()[0][None, None, :8, :8, :8] / 255).astype(np.float32)
    output = network.forward(image)
    assert output.shape == (1, 3, 8, 8, 8)
    assert 0 < output.min() < output.max() < 1
    assert isinstance(network, TorchNetwork)
    assert {v.dtype for v in network.module.parameters()} == {torch.float32}


def test_it_begins_with_the_weights_of_an_earlier_training(tmp_path: Path) -> None:
    trained(tmp_path / "earlier", steps=3)
    still = {"optimizer": {"learning_rate": 1e-12, "warm_up": 0, "weight_decay": 0}, "steps": 1}
    trained(tmp_path / "later", seed=9, initial_weights=str(tmp_path / "earlier/out/all_channels.pt"), **still)
    before, after = (load_rsunet(tmp_path / f"{name}/out/all_channels.pt") for name in ("earlier", "later"))
    assert before.settings["out_channels"] > 3
    for (name, value), later in zip(before.state_dict().items(), after.state_dict().values(), strict=True):
        if "running" not in name and "tracked" not in name:
            torch.testing.assert_close(later, value, rtol=0, atol=1e-9)


def test_channels_that_a_file_lacks_begin_at_zero(tmp_path: Path) -> None:
    earlier = trained(tmp_path / "earlier", steps=3)
    still = {"optimizer": {"learning_rate": 1e-12, "warm_up": 0, "weight_decay": 0}, "steps": 1}
    later = trained(tmp_path / "later", seed=9, initial_weights=str(tmp_path / "earlier/out/weights.pt"), **still)
    for name, value in earlier.items():
        if "running" not in name and "tracked" not in name:
            torch.testing.assert_close(later[name], value, rtol=0, atol=1e-9)
    last = load_rsunet(tmp_path / "later/out/all_channels.pt").exit[-1]
    assert isinstance(last, torch.nn.Conv3d)
    assert last.bias is not None
    assert last.weight[:3].abs().max() > 1e-3
    assert max(last.weight[3:].abs().max(), last.bias[3:].abs().max()) < 1e-9


def test_steps_may_be_changed_and_the_checkpoint_says_so(tmp_path: Path) -> None:
    trained(tmp_path, steps=3)
    trained(tmp_path, steps=5)
    checkpoint = torch.load(tmp_path / "out/checkpoint.pt", weights_only=True)
    assert checkpoint["history"] == [[0, 3], [3, 5]]
    assert checkpoint["learner"]["step"] == 5


def test_a_damaged_or_foreign_checkpoint_is_refused(tmp_path: Path) -> None:
    trained(tmp_path, steps=3)
    with pytest.raises(RunError, match=r"made with other settings; delete .*out to start over"):
        trained(tmp_path, steps=3, seed=5)
    (tmp_path / "out/checkpoint.pt").write_bytes(b"nothing")
    with pytest.raises(RunError, match="cannot be read"):
        trained(tmp_path, steps=3)


def changed(folder: Path, key: str, value: Any) -> str:
    import yaml

    config = yaml.safe_load(Path(config_of(folder)).read_text())
    *path, last = key.split(".")
    part = config
    for name in path:
        part = part[int(name) if name.isdigit() else name]
    part[last] = value
    (folder / "train.yaml").write_text(yaml.safe_dump(config))
    return str(folder / "train.yaml")


WRONG: dict[str, tuple[str, Any, type[Exception], str]] = {
    "unknown key": ("stepps", 3, ConfigError, "unknown key 'stepps' in config; did you mean 'steps'"),
    "unknown key of a volume": ("volumes.0.image.data", "x", ConfigError, r"unknown key 'data' in volumes\[0\].image"),
    "no steps": ("steps", 0, ConfigError, "steps: 0 is not allowed; wanted: >= 1"),
    "patch too large": ("patch", [32, 32, 32], RunError, "larger than .*volume.h5.* along z"),
    "patch off the pooling": ("patch", [7, 7, 7], ConfigError, "not a multiple of the network's pooling, 2 along z"),
    "patch not cubic": ("patch", [8, 8, 4], ConfigError, "augment.transpose zyx needs equal sides"),
    "offset beyond the patch": ("targets.offsets", [1, 8], ConfigError, r"offset \[8, 0, 0\].* is not within the patch"),
    "no nearest neighbours": ("targets.offsets", [3], ConfigError, "must begin with the nearest neighbours"),
    "no file": ("volumes.0.image.path", "gone.h5", ConnectomakeError, "gone.h5"),
    "labels are an image": ("volumes.0.labels.dataset", "grey", ConfigError, "the labels are float32, not whole numbers"),
    "no labels": ("volumes.0.labels.dataset", "zero", RunError, "no labelled voxel to learn from"),
    "other shape": ("volumes.0.labels.dataset", "half", ConfigError, "the image has .*0:24.*the labels .*0:12"),
    "region outside": ("volumes.0.stop", [99, 20, 22], ConfigError, "not within"),
    "validation outside": ("volumes.0.validation", [{"start": [0, 0, 0], "stop": [99, 9, 9]}], ConfigError, "not within"),
    "all held out": ("volumes.0.validation", [{"start": [0, 0, 0], "stop": [24, 20, 22]}], RunError, "no labelled voxel"),
    "no initial weights": ("initial_weights", "gone.pt", ConnectomakeError, "gone.pt"),
    "initial weights that do not fit": ("initial_weights", "other.pt", ConnectomakeError, r"widths is \[2, 3\], the network"),
    "NaN in the image": ("volumes.0.image.dataset", "nan", RunError, r"the value nan at z, y, x = 3, 4, 5 .* must be finite"),
    "infinity": ("volumes.0.image.dataset", "inf", RunError, r"the value inf at z, y, x = 3, 4, 5 .* must be finite"),
    "beyond 0 to 1": ("volumes.0.image.dataset", "far", RunError, r"goes from 0 to 255: give image.range, the values that"),
    "below 0": ("volumes.0.image.dataset", "signed", RunError, "the value -1 at .*: give image.range"),
    "constant image": ("volumes.0.image.dataset", "zero", RunError, "has the value 0 everywhere"),
    "negative labels": ("volumes.0.labels.dataset", "below", ConfigError, "the label -7 at z, y, x = 1, 2, 3 is negative"),
    "initial weights that are not finite": ("initial_weights", "nan.pt", ConnectomakeError, "values that are not finite"),
    "cuda": ("device", "cuda", ConnectomakeError, "torch finds no CUDA device"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_input_is_told_in_one_sentence(tmp_path: Path, name: str) -> None:
    key, value, error, text = WRONG[name]
    if name == "cuda" and torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    if key == "initial_weights":
        value = str(tmp_path / value)
        save_rsunet(tmp_path / "other.pt", RSUNet(1, 3, (2, 3), (2, 2, 2)))
        spoilt = Trainer(TrainingSpec.from_config(load_training(config_of(tmp_path))), torch.device("cpu")).network
        next(iter(spoilt.parameters())).data[0] = math.nan
        save_rsunet(tmp_path / "nan.pt", spoilt)
    path = changed(tmp_path, key, value)
    with h5py.File(tmp_path / "volume.h5", "a") as file:
        file["grey"] = np.zeros((24, 20, 22), np.float32)
        file["zero"] = np.zeros((24, 20, 22), np.uint32)
        file["half"] = np.ones((12, 20, 22), np.uint32)
        ramp = np.linspace(0, 1, 24 * 20 * 22, dtype=np.float32).reshape(24, 20, 22)
        file["far"], file["signed"] = 255 * ramp, (254 * ramp - 127).astype(np.int8)
        for name, odd in (("nan", np.nan), ("inf", np.inf)):
            ramp[3, 4, 5] = odd
            file[name] = ramp
        below = np.ones((24, 20, 22), np.int32)
        below[1, 2, 3] = -7
        file["below"] = below
    with pytest.raises(error, match=text) as caught:
        train_from_config(path, lambda line: None)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out/weights.pt").exists()


@pytest.mark.parametrize("part", ["image", "labels"])
def test_gaps_of_a_stack_are_named_with_the_key_of_the_volume(tmp_path: Path, part: str) -> None:
    stack = tmp_path / part
    stack.mkdir()
    for z, section in enumerate(tissue()[part == "labels"].astype(np.uint8)):
        if z != 5:
            Image.fromarray(section).save(stack / f"s{z:04d}.png")
    path = changed(tmp_path, f"volumes.0.{part}", {"path": str(stack)})
    with pytest.raises(SourceError, match=rf"gaps: 5 missing .* or set volumes\[0\].{part}.missing_sections: blank to read"):
        train_from_config(path, lambda line: None)
    changed(tmp_path, f"volumes.0.{part}", {"path": str(stack), "missing_sections": "blank"})
    told: list[Any] = []
    (volume,) = open_volumes(load_training(path), told.append)
    assert not getattr(volume, part)[5].any()
    assert f"1 of 24 sections of {stack} missing, read as zeros (volumes[0].{part}.missing_sections: blank)" in told[0]


@pytest.mark.parametrize("span", [None, [10, 200]])
@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "uint32", "float32"])
def test_training_and_inference_see_the_same_image(tmp_path: Path, dtype: str, span: list[int] | None) -> None:
    """Bit for bit, without augmentation: patches to validate on."""
    from connectomake.inference.context import scale_into
    from connectomake.sources import SourceOptions, open_source

    rng = np.random.default_rng(0)
    most = 1.0 if dtype == "float32" else np.iinfo(dtype).max
    grey = (rng.random((24, 20, 22)) * most).astype(dtype)
    options = {"range": None if span is None else [v * most / 255 for v in span]}
    path = changed(tmp_path, "volumes.0.image", {"path": str(tmp_path / "grey.h5"), "dataset": "grey", **options})
    with h5py.File(tmp_path / "grey.h5", "w") as file:
        file["grey"] = grey
    config = load_training(path)
    (volume,) = open_volumes(config)
    image = open_source(str(tmp_path / "grey.h5"), "grey", (1, 1, 1), None, SourceOptions.of(options))
    whole = image.read(image.bounds)
    seen = np.empty(whole.shape, np.float32)
    scale_into(seen, whole)
    (first, *_) = validation_samples([volume], TrainingSpec.from_config(config))
    assert first.image.shape == TrainingSpec.from_config(config).patch
    windows = np.lib.stride_tricks.sliding_window_view(seen[0], first.image.shape)
    assert (windows == first.image).all(axis=(3, 4, 5)).any()


@pytest.mark.slow
def test_a_loss_that_is_not_finite_ends_the_training_and_the_checkpoint_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = config_of(tmp_path)
    train_from_config(path, lambda line: None)
    kept = (tmp_path / "out/checkpoint.pt").read_bytes(), (tmp_path / "out/weights.pt").read_bytes()
    changed(tmp_path, "steps", load_training(path)["steps"] + 5)
    monkeypatch.setattr(Batch, "loss", lambda batch, outputs: outputs.sum() * math.nan)
    with pytest.raises(RunError, match=r"the loss of step \d+ is nan, so the training ends here; the last checkpoint stays"):
        train_from_config(path, lambda line: None)
    assert kept == ((tmp_path / "out/checkpoint.pt").read_bytes(), (tmp_path / "out/weights.pt").read_bytes())


def test_what_the_network_will_see_is_said_before_the_first_step(tmp_path: Path) -> None:
    lines: list[Any] = []
    train_from_config(config_of(tmp_path), lines.append)
    assert re.search(
        r"volumes\[0\] .*which the network sees as 0[.\d]* to [.\d]+; \d+ objects in \d+ % of the voxels", lines[0]
    )


def test_label_0_is_ignored_or_boundary() -> None:
    raw = np.array([[[0, 7, 1 << 40]]], np.uint64)
    assert as_labels(raw, "ignore").tolist() == [[[int(IGNORE), 2, 3]]]
    assert as_labels(raw, "boundary").tolist() == [[[0, 2, 3]]]


def test_image_and_labels_of_different_shape_are_refused() -> None:
    with pytest.raises(RunError, match=r"shape \[2, 2, 2\], its labels \[2, 2, 3\]"):
        TrainingVolume("v", np.zeros((2, 2, 2), np.uint8), np.zeros((2, 2, 3), np.uint32))


def test_the_report_tells_the_time_to_go() -> None:
    said: list[Any] = []
    reporter(said.append)(50, 100, 0.5, 6.0, 0.012)
    assert said == ["step 50 of 100, loss 0.5000, 6.00 s a step (1.2 % waiting for samples), 5 min to go"]


def test_a_checkpoint_of_other_voxels_is_refused(tmp_path: Path) -> None:
    """Settings are the same, the volume was edited in place: the weights would be a mixture of both."""
    trained(tmp_path, steps=3)
    path = tmp_path / "train.yaml"
    with h5py.File(tmp_path / "volume.h5", "r+") as file:
        file["raw"][12, 10, 11] ^= 1
    with pytest.raises(RunError, match=r"made from other voxels than volumes\[0\] holds now; delete .*out to start over"):
        train_from_config(str(path), lambda line: None)
    with h5py.File(tmp_path / "volume.h5", "r+") as file:
        file["raw"][12, 10, 11] ^= 1
    train_from_config(str(path), lambda line: None)


def test_an_edited_volume_is_another_lesson(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from connectomake.planning.training_inputs import changed_inputs
    from connectomake.train_from_config import load_training

    monkeypatch.chdir(tmp_path)
    config = load_training(config_of(tmp_path))
    assert changed_inputs(config) == {}
    (tmp_path / "volume.h5").touch()
    assert changed_inputs(config) == {}
    with h5py.File(tmp_path / "volume.h5", "r+") as file:
        file["labels"][12, 10, 11] += 1
    first = changed_inputs(config)
    assert set(first) == {"volumes[0].image", "volumes[0].labels"}, "both lie in one file"
    assert changed_inputs(config) == first
    assert changed_inputs({**config, "initial_weights": "gone.pt"}) == first
    (tmp_path / "first.pt").write_bytes(b"1")
    assert changed_inputs({**config, "initial_weights": "first.pt"}) == first
    (tmp_path / "first.pt").write_bytes(b"2")
    assert set(changed_inputs({**config, "initial_weights": "first.pt"})) == {*first, "initial_weights"}
