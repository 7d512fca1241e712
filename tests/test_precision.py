"""Reduced precision where the processor has it, float32 elsewhere, and what the record says."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from connectomake.inference.models import load_network
from connectomake.inference.spec import InferenceSpec
from connectomake.networks import precision
from connectomake.networks.precision import precision_on
from connectomake.networks.rsunet import RSUNet, save_rsunet

RSUNET = Path(__file__).parent.parent / "models/rsunet.py"
PATCH = (16, 32, 32)


def network_of(folder: Path, autocast: str) -> Any:
    torch.manual_seed(0)
    save_rsunet(folder / "weights.pt", RSUNet(1, 3, (4, 8), sigmoid=True).eval())
    return load_network(RSUNET, folder / "weights.pt", InferenceSpec(PATCH, PATCH, (1, 2, 2), channels=3, autocast=autocast))


@pytest.mark.parametrize(("autocast", "there"), list(itertools.product(("none", "bfloat16", "float16"), (False, True))))
def test_only_what_the_processor_has(monkeypatch: pytest.MonkeyPatch, autocast: str, there: bool) -> None:
    monkeypatch.setattr(precision, "_cpu_has", lambda wanted: there and wanted != "none")
    assert precision_on("cpu", autocast) == (autocast if there else "none")
    assert precision_on("cuda", autocast) == autocast


@pytest.mark.parametrize("autocast", ["bfloat16", "float16"])
def test_without_the_type_a_network_runs_in_float32_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autocast: str
) -> None:
    monkeypatch.setattr(precision, "_cpu_has", lambda wanted: False)
    batch = np.random.default_rng(0).random((1, 1, *PATCH), np.float32)
    plain, low = network_of(tmp_path, "none"), network_of(tmp_path, autocast)
    np.testing.assert_array_equal(low.forward(batch), plain.forward(batch))
    assert low.record()["autocast"] == "none"


@pytest.mark.parametrize("autocast", ["bfloat16", "float16"])
def test_the_type_that_is_there_is_used(tmp_path: Path, autocast: str) -> None:
    batch = np.random.default_rng(0).random((1, 1, *PATCH), np.float32)
    plain, low = network_of(tmp_path, "none").forward(batch), network_of(tmp_path, autocast)
    same = np.array_equal(low.forward(batch), plain)
    assert low.record()["autocast"] == ("none" if same else autocast)
    np.testing.assert_allclose(low.forward(batch), plain, atol=0.05)
