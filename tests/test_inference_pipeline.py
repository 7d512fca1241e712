"""Reading, network and writing side by side, on the host or a device: the same bits, whatever ends first."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from connectomake.errors import ModelError
from connectomake.geometry.box import Box, as_vec
from connectomake.inference.cuda import DeviceBackend
from connectomake.inference.engine import infer_block
from connectomake.inference.host import HostBackend
from connectomake.inference.queues import ReadAhead, WriteBehind
from connectomake.inference.spec import InferenceSpec
from tests.test_inference_engine import blocks_of, infer, reader, specs, tiny_network

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"))]


def blended(
    backend: Any, network: Any, spec: InferenceSpec, image: np.ndarray, roi: Box, blocks: list[Box], slab: int, wait: Any
) -> np.ndarray:
    """Infer blocks, waiting before each read and each write."""
    out = np.zeros((spec.channels, *roi.shape), spec.dtype)
    read = reader(image, (0, 0, 0))

    def slow_read(box: Box) -> np.ndarray:
        time.sleep(wait())
        return read(box)

    def write(box: Box, slab: np.ndarray) -> None:
        time.sleep(wait())
        out[(slice(None), *box.slices(roi.start))] = slab

    bounds = Box.of_shape(image.shape[1:])
    for box in blocks:
        infer_block(slow_read, bounds, network, spec, spec.lattice(roi), box, write, slab, backend=backend())
    return out


@pytest.mark.parametrize("device", DEVICES)
@settings(max_examples=8, deadline=None)
@given(specs(), st.data())
def test_a_device_gives_the_bits_of_the_host(device: str, spec: InferenceSpec, data: st.DataObject) -> None:
    shape = as_vec([data.draw(st.integers(3, 14)) for _ in range(3)])
    block = as_vec([data.draw(st.integers(2, 14)) for _ in range(3)])
    dtype = data.draw(st.sampled_from([np.uint8, np.uint16, np.int32, np.float32, np.float64]))
    kind = data.draw(st.sampled_from(["uint8", "float32"]))
    spec = InferenceSpec(
        spec.patch, spec.output_patch, spec.overlap, channels=spec.channels, batch=spec.batch, dtype=kind, device=device
    )
    random = np.random.default_rng(data.draw(st.integers(0, 9)))
    image = (
        random.random((1, *shape)).astype(dtype)
        if np.dtype(dtype).kind == "f"
        else random.integers(0, 200, (1, *shape)).astype(dtype)
    )
    roi = Box.of_shape(shape)
    network = tiny_network(spec)
    network.module.to(spec.device)
    delay = lambda: random.choice([0.0, 0.0, 0.002])  # noqa: E731
    slab = data.draw(st.integers(1, 6))
    whole = infer(image, (0, 0, 0), roi, [roi], spec, network)
    backends = [lambda: HostBackend(network), lambda: DeviceBackend(network, torch.device(device))]
    for backend in backends:
        found = blended(backend, network, spec, image, roi, blocks_of(roi, block), slab, delay)
        np.testing.assert_array_equal(found, whole)


@pytest.mark.parametrize("device", DEVICES)
def test_a_bad_value_is_named_by_a_device_as_by_the_host(device: str) -> None:
    spec = InferenceSpec((6, 8, 8), (6, 8, 8), (2, 2, 2), channels=2, dtype="float32", device=device)
    image = np.random.default_rng(0).random((1, 14, 20, 20), np.float32)
    network = tiny_network(spec)
    network.module[4] = torch.nn.Hardtanh(-3.0, 0.4).eval()  # some values are below 0
    network.module.to(device)
    roi = Box.of_shape(image.shape[1:])
    said = []
    for backend in (HostBackend(network), DeviceBackend(network, torch.device(device))):
        written: list[Box] = []
        keep = lambda box, _, to=written: to.append(box)  # noqa: E731
        with pytest.raises(ModelError, match="a probability lies in 0 to 1") as error:
            infer_block(
                reader(image, (0, 0, 0)), roi, network, spec, spec.lattice(roi), roi, keep, 4,
                probabilities=[0, 1], backend=backend,
            )  # fmt: skip
        said.append(str(error.value))
        assert not written
    assert said[0] == said[1]


def test_what_fails_beside_the_network_is_raised() -> None:
    spec = InferenceSpec((4, 8, 8), (4, 8, 8), (0, 0, 0), device="cpu")
    roi = Box.of_shape((16, 8, 8))
    network = tiny_network(spec)

    def refuse(*_: Any) -> Any:
        raise OSError("no space left")

    read = lambda box: np.zeros((1, *box.shape), np.uint8)  # noqa: E731
    for reads, writes in ((refuse, lambda *_: None), (read, refuse)):
        before = threading.active_count()
        with pytest.raises(OSError, match="no space left"):
            infer_block(reads, roi, network, spec, spec.lattice(roi), roi, writes, 4)
        while threading.active_count() > before:
            time.sleep(0.001)


def test_an_item_is_made_while_another_is_used_and_never_a_third() -> None:
    made: list[int] = []
    released = threading.Event()

    def items() -> Iterator[int]:
        for number in range(5):
            made.append(number)
            if number == 1:
                released.set()
            yield number

    with ReadAhead(items()) as ahead:
        for number in ahead:
            assert released.wait()  # the second is made before the first is given back
            assert len(made) <= number + 2
    assert made == list(range(5))


def test_writes_keep_their_order_and_end_before_the_end() -> None:
    written: list[int] = []

    def write(number: int) -> None:
        time.sleep(0.001 * (number % 2))
        written.append(number)

    with WriteBehind(write) as behind:
        for number in range(20):
            behind.put(number)
            assert len(written) >= number - 1
    assert written == list(range(20))


def test_a_step_in_progress_has_ended_when_the_block_has_failed() -> None:
    begun, may_end, ended = threading.Event(), threading.Event(), threading.Event()

    def items() -> Iterator[int]:
        yield 0
        begun.set()
        assert may_end.wait()
        ended.set()
        yield 1

    with pytest.raises(ModelError), ReadAhead(items()) as ahead:
        for _ in ahead:
            assert begun.wait()
            may_end.set()
            raise ModelError("the network failed")
    assert ended.is_set()


def test_a_block_too_wide_for_the_device_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = InferenceSpec((4, 8, 8), (4, 8, 8), (0, 0, 0), device="cpu")
    roi = Box.of_shape((16, 8, 8))

    def full(*_: Any, **__: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    network = tiny_network(spec)
    monkeypatch.setattr(torch, "zeros", full)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _device: (2e9, 8e9))
    read = lambda box: np.zeros((1, *box.shape), np.uint8)  # noqa: E731
    with pytest.raises(ModelError, match=r"block of \[16, 8, 8\] .* 2.0 of 8.0 GB are free now: make block smaller in y and x"):
        infer_block(
            read, roi, network, spec, spec.lattice(roi), roi, lambda *_: None, 4,
            backend=DeviceBackend(network, torch.device("cpu")),
        )  # fmt: skip


def test_constant_blocks_do_not_ask_the_network() -> None:
    spec = InferenceSpec((4, 8, 8), (4, 8, 8), (0, 0, 0), batch=2, constant=0.0, device="cpu")
    roi = Box.of_shape((16, 8, 8))
    network = tiny_network(spec)
    network.forward = lambda batch: pytest.fail("it was asked")  # type: ignore[method-assign]
    read = lambda box: np.zeros((1, *box.shape), np.uint8)  # noqa: E731
    stats = infer_block(read, roi, network, spec, spec.lattice(roi), roi, lambda *_: None, 4)
    assert (stats.passes, stats.constant) == (0, 4)
