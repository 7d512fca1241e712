"""Our writer of compressed_segmentation against the package of that name, byte for byte, and the relabelling against it."""

import compressed_segmentation
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectomake.geometry import as_vec
from connectomake.layers import segmentation_codec

SHAPES = st.tuples(*[st.integers(1, 26)] * 3)


def by_the_package(volume: np.ndarray) -> bytes:
    transposed = np.ascontiguousarray(volume).T
    return bytes(compressed_segmentation.compress(transposed, block_size=(8, 8, 8), order="F"))


def volume_of(seed: int, shape: tuple[int, int, int], labels: int, grain: int, dtype: type[np.generic]) -> np.ndarray:
    """Cubes of `grain` voxels with labels at random, far apart if the dtype is wide."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, labels, (1, *[-(-n // grain) for n in shape])).astype(dtype)
    for axis in (1, 2, 3):
        coarse = coarse.repeat(grain, axis)
    volume = coarse[:, : shape[0], : shape[1], : shape[2]]
    return volume * dtype(2**40 + 12345) if dtype == np.uint64 else volume


@settings(deadline=None)
@given(
    st.integers(0, 1000), SHAPES, st.sampled_from([1, 2, 3, 5, 16, 17, 300, 70000]), st.sampled_from([1, 3, 9]),
    st.sampled_from([np.uint32, np.uint64]),
)  # fmt: skip
def test_the_bytes_are_those_of_the_package(
    seed: int, shape: tuple[int, int, int], labels: int, grain: int, dtype: type[np.generic]
) -> None:
    volume = volume_of(seed, shape, labels, grain, dtype)
    assert segmentation_codec.encode(volume) == by_the_package(volume)
    assert segmentation_codec.encode(volume[:, ::-1]) == by_the_package(volume[:, ::-1])


def test_channels_follow_one_another() -> None:
    """The package itself crashes on two channels."""
    volume = np.concatenate([volume_of(seed, (9, 10, 17), 5, 3, np.uint32) for seed in (0, 1)])
    first, second = (by_the_package(channel[None])[4:] for channel in volume)
    offsets = np.array([2, 2 + len(first) // 4], "<u4").tobytes()
    assert segmentation_codec.encode(volume) == offsets + first + second


@settings(deadline=None)
@given(
    st.integers(0, 1000), SHAPES, st.sampled_from([1, 2, 3, 5, 16, 17, 300, 70000]), st.sampled_from([1, 3, 9]),
    st.sampled_from([1, 2, 5, 2**60]), st.data(),
)  # fmt: skip
def test_relabelled_is_encoded_anew(
    seed: int, shape: tuple[int, int, int], labels: int, grain: int, objects: int, data: st.DataObject
) -> None:
    volume = volume_of(seed, shape, labels, grain, np.uint32)
    ids = np.random.default_rng(seed).integers(0, objects, labels, np.uint64)
    made, highest = segmentation_codec.relabel(segmentation_codec.encode(volume), shape, ids)
    assert highest == volume.max()
    assert made == by_the_package(ids[volume])
    stop = as_vec([data.draw(st.integers(1, n)) for n in shape])
    part = segmentation_codec.decode_part(made, shape, stop)
    np.testing.assert_array_equal(part, ids[volume[0]][: stop[0], : stop[1], : stop[2]])


@settings(deadline=None)
@given(st.integers(0, 1000), st.integers(0, 4000), st.binary(min_size=1, max_size=8))
def test_damaged_bytes_are_refused_or_read_inside_them(seed: int, place: int, noise: bytes) -> None:
    shape = (9, 8, 10)
    data = bytearray(segmentation_codec.encode(volume_of(seed, shape, 40, 1, np.uint32)))
    data[place % len(data) : place % len(data) + len(noise)] = noise
    try:
        made, _ = segmentation_codec.relabel(bytes(data), shape, np.arange(40, dtype=np.uint64))
    except ValueError:
        return
    assert segmentation_codec.decode_part(made, shape, shape).shape == shape


TRUNCATED = segmentation_codec.encode(np.ones((1, 8, 8, 8), np.uint32))[:8]


@pytest.mark.parametrize("data", [b"", b"abc", bytes(4), bytes([2, 0, 0, 0] * 9), TRUNCATED])
def test_what_is_no_chunk_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a compressed segmentation"):
        segmentation_codec.relabel(data, (8, 8, 8), np.zeros(2, np.uint64))


def test_tables_beyond_what_the_format_addresses_are_refused() -> None:
    volume = np.arange(208**3, dtype=np.uint64).reshape(1, 208, 208, 208)
    with pytest.raises(OverflowError, match="take a smaller chunk"):
        segmentation_codec.encode(volume)
