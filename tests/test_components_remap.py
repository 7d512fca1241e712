"""The look-up from local labels to final ids."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectomake.errors import RunError
from connectomake.geometry import Box
from connectomake.layers import LayerSpec
from connectomake.segmentation import halo_planes, remap, remap_slabs


def test_remap_looks_up_every_voxel():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 50, (4, 5, 6), dtype=np.uint32)
    ids = np.concatenate([[0], rng.integers(1, 2**60, 49)]).astype(np.uint64)
    np.testing.assert_array_equal(remap(labels, ids), ids[labels])
    out = np.empty(labels.shape, np.uint64)
    assert remap(labels, ids, out) is out
    np.testing.assert_array_equal(remap(labels[:, 1:3], ids), ids[labels[:, 1:3]])


@pytest.mark.parametrize("length", [0, 5])
def test_a_label_without_an_id_is_an_error(length):
    with pytest.raises(RunError, match="label 7 has no id"):
        remap(np.full((1, 1, 3), 7, np.uint32), np.zeros(length, np.uint64))


def test_halo_is_the_low_planes():
    block = np.arange(24, dtype=np.uint64).reshape(2, 3, 4)
    halo = halo_planes(block)
    np.testing.assert_array_equal(halo["halo/z"], block[0])
    np.testing.assert_array_equal(halo["halo/y"], block[:, 0])
    np.testing.assert_array_equal(halo["halo/x"], block[:, :, 0])


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 9), st.integers(1, 4))
def test_slabs_give_what_the_whole_block_gives(z, y, x, height):
    box = Box((5, -2, 0), (5 + z, y - 2, x))
    spec = LayerSpec("l", "uint64", 1, box, (height * 16, 32, 32), (height, 2, 2), (1, 1, 1))
    labels = np.random.default_rng(z).integers(0, 50, box.shape).astype(np.uint32)
    ids = np.arange(50, dtype=np.uint64) ** 5
    out = np.zeros(box.shape, np.uint64)

    def write(slab, array):
        out[slab.slices(box.start)] = array

    halo = remap_slabs(spec.slabs(0), ids, lambda slab: labels[slab.slices(box.start)][None], write)
    np.testing.assert_array_equal(out, remap(labels, ids))
    for name, plane in halo_planes(out).items():
        np.testing.assert_array_equal(halo[name], plane)
