"""The phantom of nuclei: the same from the same seed, whole nuclei that keep clear, told from what is around them."""

import hashlib
from pathlib import Path

import cc3d
import h5py
import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from connectomake.errors import ConfigError
from connectomake.phantom import make_phantom, write_phantom
from connectomake.phantom.nuclei import place_cells

pytestmark = pytest.mark.slow  # what makes it takes some seconds to compile
SIZE = (400, 640, 640)


@pytest.fixture(scope="module")
def phantom() -> tuple[np.ndarray, np.ndarray]:
    return make_phantom((24, 48, 40), 5, SIZE, "nuclei")


def test_golden(phantom: tuple[np.ndarray, np.ndarray]) -> None:
    """Raise nuclei.VERSION when this changes."""
    raw, labels = phantom
    assert raw.dtype == np.uint8
    assert labels.dtype == np.uint32
    assert hashlib.sha256(labels.tobytes()).hexdigest()[:16] == "395d3ec693084682"
    assert raw.mean() == pytest.approx(120.241, abs=0.01)


def test_nuclei_are_whole_numbered_and_apart(phantom: tuple[np.ndarray, np.ndarray]) -> None:
    labels = phantom[1]
    assert cc3d.connected_components(labels > 0, connectivity=26).max() == labels.max() >= 5
    values, first = np.unique(labels[labels > 0], return_index=True)
    assert values.tolist() == list(range(1, labels.max() + 1))
    assert (np.diff(first) > 0).all()
    for label in values:
        gap = distance_transform_edt(labels != label, sampling=SIZE)[(labels > 0) & (labels != label)].min()
        assert gap > 1000


def test_diameters_of_nuclei() -> None:
    """4 to 8 µm before roughness, along axes at right angles."""
    cells = place_cells(np.full(3, 4e4), np.random.Generator(np.random.PCG64(1)))
    assert len(cells.centres) >= 10
    semi = 1 / np.sqrt((cells.frames**2).sum(axis=2))
    assert semi.min() >= 2000 - 1e-6
    assert semi.max() <= 4000 + 1e-6
    unit = cells.frames * semi[..., None]
    np.testing.assert_allclose(unit @ unit.transpose(0, 2, 1), np.broadcast_to(np.eye(3), unit.shape), atol=1e-12)


def test_file_says_what_it_is(tmp_path: Path, phantom: tuple[np.ndarray, np.ndarray]) -> None:
    write_phantom(tmp_path / "n.h5", (24, 48, 40), 5, SIZE, "nuclei")
    with h5py.File(tmp_path / "n.h5") as file:
        assert file.attrs["phantom"] == "nuclei version 1, seed 5"
        np.testing.assert_array_equal(file["raw"][()], phantom[0])
        np.testing.assert_array_equal(file["labels"][()], phantom[1])
        assert file["labels"].attrs["resolution"].tolist() == list(SIZE)


def test_unknown_kind() -> None:
    with pytest.raises(ConfigError, match=r"kind must be one of neurites, nuclei, got 'nucleus'"):
        make_phantom((8, 8, 8), kind="nucleus")
