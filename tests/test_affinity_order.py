"""Affinities in a wrong order of channels are noticed."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from connectomake.cli import main
from connectomake.components import order_warning
from tests.test_workflow_watershed import WATERSHED


def cells(seed: int) -> np.ndarray:
    """Affinities of a partition into cells: 1 within a cell, 0 between cells."""
    from scipy.spatial import cKDTree

    points = np.random.default_rng(seed).random((40, 3)) * 48
    labels = cKDTree(points).query(np.indices((48, 48, 48)).reshape(3, -1).T)[1].reshape(48, 48, 48)
    return np.stack([labels == np.roll(labels, 1, axis) for axis in range(3)]).astype(np.float32)[:, 1:, 1:, 1:]


def blurred(affinity: np.ndarray) -> np.ndarray:
    from scipy.ndimage import gaussian_filter

    return np.stack([gaussian_filter(channel, 1) for channel in affinity])


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("change", [lambda a: a, blurred, lambda a: (255 * blurred(a)).astype(np.uint8), lambda a: a[:, ::3]])
def test_every_wrong_order_is_noticed_and_named(seed: int, change: Callable[..., Any]) -> None:
    affinity = change(cells(seed))
    assert order_warning(affinity) is None
    for order in itertools.permutations(range(3)):
        wrong = affinity[list(order)]
        if order != (0, 1, 2):
            back = [order.index(axis) for axis in range(3)]
            assert f"reorder some.key: take the entries {back}" in (order_warning(wrong, "some.key") or "")
            assert order_warning(wrong[back]) is None


def test_affinities_to_upper_neighbours_are_noticed() -> None:
    affinity = cells(0)
    upper = np.stack([np.roll(affinity[axis], -1, axis) for axis in range(3)])[:, 1:-1, 1:-1, 1:-1]
    assert "upper neighbours" in (order_warning(upper) or "")


def test_nothing_is_said_of_what_shows_no_order() -> None:
    rng = np.random.default_rng(0)
    assert order_warning(rng.random((3, 30, 30, 30)).astype(np.float32)) is None
    assert order_warning(np.ones((3, 30, 30, 30), np.uint8)) is None
    assert order_warning(cells(0)[[2, 1, 0], :, :, :5]) is None, "too thin to tell"


@pytest.mark.parametrize(("order", "warned"), [([0, 1, 2], False), ([2, 1, 0], True)])
def test_check_warns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], order: list[int], warned: bool
) -> None:
    import yaml

    monkeypatch.chdir(tmp_path)
    with h5py.File("affinity.h5", "w") as file:
        file["affinity"] = cells(1)[order]
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(WATERSHED))
    with pytest.raises(SystemExit) as ended:
        main(["check"])
    assert not ended.value.code
    assert ("! the affinity channels look like" in capsys.readouterr().out) is warned
