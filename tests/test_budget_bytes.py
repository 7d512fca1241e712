"""The forecast against small runs of several kinds: jobs exact, bytes within a tenth."""

import copy
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.ndimage

from connectomake.budget.calibration import calibrate
from connectomake.budget.forecast import forecast
from connectomake.budget.small_run import bytes_made
from connectomake.planning.plan import Plan
from connectomake.reporting.stage_files import stage_files
from tests.tiny_run import AFFINITIES, CONFIG, make_run

SHAPE = (64, 64, 96)
SMALL, LARGE, LARGER = 16**3, 48**3, 56**3
"""Voxels of the calibrations. Of small parts meshes count too much, probably since objects are closed where the border cuts;
where there is no image beside them a larger part is needed."""
BASE = {**CONFIG, "inference": None, "block": [32, 32, 32], "chunk": [16, 16, 16], "meshes": {"cell": [16, 16, 16]}}
JOINED = {**AFFINITIES, "block": [32, 32, 32], "chunk": [16, 16, 16], "meshes": {"cell": [16, 16, 16]}}
KINDS: dict[str, dict[str, Any]] = {
    "threshold, pyramid, meshes, scores": BASE,
    "no meshes, no pyramid": {**BASE, "meshes": {"enabled": False}, "pyramid": {"enabled": False}, "evaluation": None},
    "watershed, agglomeration, two thresholds": {**JOINED, "skeletons": {"enabled": False}, "evaluation": None},
    "other blocks, nothing kept": {**BASE, "block": [16, 32, 32], "chunk": [8, 16, 16], "keep": []},
}


def write_volumes(folder: Path) -> None:
    """Write smooth noise as image, affinities and truth."""
    noise = scipy.ndimage.gaussian_filter(np.random.default_rng(1).random(SHAPE), 2, mode="wrap")
    noise = ((noise - noise.min()) / np.ptp(noise) * 255).astype(np.uint8)
    with h5py.File(folder / "raw.h5", "w") as file:
        file["raw"] = noise
    with h5py.File(folder / "affinities.h5", "w") as file:
        file["uint8"] = np.stack([np.minimum(noise, np.roll(noise, 1, axis)) for axis in range(3)])
    with h5py.File(folder / "truth.h5", "w") as file:
        file["labels"] = scipy.ndimage.label(noise > 128)[0].astype(np.uint32)


IN_PLACE = "a source in place"


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*KINDS, IN_PLACE])
def test_jobs_are_exact_and_bytes_within_a_tenth(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_volumes(tmp_path)
    config = copy.deepcopy(KINDS.get(kind, BASE))
    if kind == IN_PLACE:
        make_run({**config, "outdir": "first", "meshes": {"enabled": False}, "evaluation": None})
        config["source"] = {"path": "first/image"}
    plan: Plan = make_run(config)
    assert plan.source.in_place == (kind == IN_PLACE)
    rates = calibrate(plan, SMALL, LARGER if kind == IN_PLACE else LARGE, say=lambda text: None)
    found, made = forecast(plan, rates), bytes_made(plan)
    jobs = {rule: len(files) for rule, files in stage_files(plan).items()}
    assert {rule.rule: rule.jobs for rule in found.rules if rule.rule in jobs} == jobs
    total = sum(rule.bytes or 0 for rule in found.rules)
    assert total == pytest.approx(sum(size for rule, size in made.items() if rule != "info"), rel=0.1)
