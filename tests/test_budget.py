"""``connectomake plan`` with a budget: what is chosen, why, what is written, and what is refused."""

import copy
import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import yaml

from connectomake.budget.calibration import calibrate
from connectomake.budget.choice import Choice, choose, peak
from connectomake.budget.fitting import fit
from connectomake.budget.forecast import forecast
from connectomake.budget.limits import Budget, bytes_of
from connectomake.budget.network_fit import device_bytes
from connectomake.budget.rates import Line, Rates, rates_path, read_rates, write_rates
from connectomake.budget.work import job_counts, seams
from connectomake.budget.writing import with_value, with_values, write_changes
from connectomake.cli import main
from connectomake.config import check_config, load_config
from connectomake.errors import ConfigError
from connectomake.geometry import BlockGrid, Box
from connectomake.inference.spec import InferenceSpec
from connectomake.planning.plan import Plan
from connectomake.planning.resolve import resolve
from tests.pins.cases import cases
from tests.tiny_run import CONFIG, write_inputs

HAND_WRITTEN = """# mine
outdir: out          # here
source: {path: raw.h5, dataset: raw, voxel_size: [20, 10, 10]}
block:   # of a job
- 16     # z
- 16
- 16
chunk: [8, 8, 8]
inference:
  # the network
  model: model.py
  patch: [8, 12, 12]
  overlap: [2, 4, 4]   # of patches
  device: cpu
meshes: {cell: [8, 8, 8]}
"""


@pytest.fixture
def demo() -> Plan:
    plan: Plan = cases()["demo"].plan()
    return plan


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the inputs of a run that has not begun."""
    monkeypatch.chdir(tmp_path)
    write_inputs(tmp_path)
    (tmp_path / "config.yaml").write_text(HAND_WRITTEN)
    return tmp_path


def call(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as end:
        main(["plan", *args])
    out, err = capsys.readouterr()
    return int(end.value.code or 0), out, err


def chosen(plan: Plan, **budget: Any) -> Choice:
    return choose(plan, Budget(**budget), Rates(), accepts=lambda other: True)


# The choice


@pytest.mark.parametrize("megabytes", [1400, 1500, 2000, 8000])
def test_the_choice_fits_and_is_legal(demo: Plan, megabytes: int) -> None:
    found = chosen(demo, memory=megabytes * 1e6, machines=2)
    assert peak(found.best.plan)[0] <= megabytes * 1e6
    check_config(found.best.plan.config)
    assert found.best.forecast.hours <= 1.05 * found.before.forecast.hours or found.before.memory > megabytes * 1e6
    assert not found.alters
    assert {key.partition(".")[0] for key in found.changed} <= {"block", "chunk", "merge"}


def test_the_least_that_would_do_does(demo: Plan) -> None:
    with pytest.raises(ConfigError, match="the minimum is") as refused:
        chosen(demo, memory=1e6)
    least = int(str(refused.value).partition("the minimum is ")[2].partition("MB")[0].replace(",", ""))
    assert chosen(demo, memory=least * 1e6).best.memory <= least * 1e6
    with pytest.raises(ConfigError, match="too small for any block"):
        chosen(demo, memory=(least - 1) * 1e6)


@pytest.mark.parametrize("name", cases())
def test_every_kind_of_config_gets_a_choice(name: str) -> None:
    found = chosen(cases()[name].plan(), memory=8e9, machines=3)
    check_config(found.best.plan.config)
    assert found.best.memory <= 8e9


@pytest.mark.slow
@pytest.mark.parametrize("change", ["labels", "mask"])
def test_ready_labels_and_masks_have_a_choice_and_rates(fresh: Path, change: str) -> None:
    config = load_config("config.yaml")
    if change == "labels":
        with h5py.File("truth.h5") as file, h5py.File("labels.h5", "w") as other:
            other["labels"] = file["labels"][:].astype("uint32")
        config["source"] = {"path": "labels.h5", "dataset": "labels", "voxel_size": [20, 10, 10]}
        config |= {"inference": None, "segmentation": {"method": "labels"}}
    else:
        with h5py.File("mask.h5", "w") as file:
            inside = np.zeros((20, 24, 40), np.uint8)
            inside[:, :, :8] = 1
            file["mask"] = inside
        config["mask"] = {"path": "mask.h5", "dataset": "mask", "voxel_size": [20, 10, 10]}
    plan = resolve(config)
    rates = calibrate(plan, 512, 4096, say=lambda text: None)
    assert forecast(plan, rates).bytes
    found = choose(plan, Budget(memory=4e9), rates, accepts=lambda other: True)
    assert found.best.plan.config["block"] == list(found.best.plan.block)
    if change == "mask":
        whole = forecast(replace(plan, mask=None), rates)
        assert plan.mask is not None
        share = {
            a.rule: a.seconds / b.seconds for a, b in zip(forecast(plan, rates).rules, whole.rules, strict=True) if b.seconds
        }
        assert share["affinity"] < 1
        assert found.best.plan.mask is not None
        assert found.best.plan.mask.count < found.best.plan.grid.count


@pytest.mark.slow
def test_more_memory_and_more_machines_never_take_longer(demo: Plan) -> None:
    hours = [chosen(demo, memory=m * 1e6, machines=1).best.forecast.hours for m in (1400, 1600, 2500, 9000)]
    assert all(a >= b / 1.05 for a, b in itertools.pairwise(hours))
    hours = [chosen(demo, memory=9e9, machines=n).best.forecast.hours for n in (1, 2, 4, 8)]
    assert all(a >= b / 1.05 for a, b in itertools.pairwise(hours))


def test_machines_follow_from_hours(demo: Plan) -> None:
    alone = chosen(demo, machines=1, hours=1e3).best.forecast.hours
    found = chosen(demo, hours=alone / 3).best.forecast
    assert found.hours <= alone / 3
    assert replace(found, machines=found.machines - 1).hours > alone / 3
    with pytest.raises(ConfigError, match=r"cannot be met with --machines 1: .* would suffice"):
        chosen(demo, hours=alone / 3, machines=1)
    with pytest.raises(ConfigError, match="by any number of machines"):
        chosen(demo, hours=1e-6)


def test_octree_nodes_become_narrower_where_they_do_not_fit(demo: Plan) -> None:
    wide = {**demo.config, "merge": {"fan_out": 4096, "memory_mb": 1_000_000}, "block": [192, 192, 192]}
    found = chosen(replace(demo, config=wide), memory=1.6e9)
    assert found.best.memory <= 1.6e9


def test_the_patch_stays_where_it_fits(demo: Plan) -> None:
    assert demo.inference is not None
    needed = device_bytes(demo.inference)
    found = chosen(demo, gpu_memory=needed)
    assert found.best.plan.inference == demo.inference
    assert not found.alters


def test_a_smaller_patch_is_one_that_the_network_takes(demo: Plan) -> None:
    assert demo.inference is not None
    asked: list[InferenceSpec] = []

    def accepts(other: Plan) -> bool:
        assert other.inference is not None
        asked.append(other.inference)
        return other.inference.patch[0] <= 48

    limit = device_bytes(demo.inference) - 1
    found = choose(demo, Budget(gpu_memory=limit), Rates(), accepts=accepts)
    spec = found.best.plan.inference
    assert spec is not None
    assert len(asked) > 1
    assert spec == asked[-1]
    assert spec.patch[0] == 48
    assert spec.margin == demo.inference.margin
    assert "inference.patch" in found.alters
    with pytest.raises(ConfigError, match="too small for the network"):
        choose(demo, Budget(gpu_memory=limit), Rates(), accepts=lambda other: False)


def test_a_batch_is_made_smaller_before_a_patch(demo: Plan) -> None:
    batched = replace(demo, config={**demo.config, "inference": {**demo.config["inference"], "batch": 8}})
    spec = InferenceSpec.from_config({**demo.config["inference"], "batch": 2})
    found = chosen(batched, gpu_memory=device_bytes(spec))
    assert found.changed["inference.batch"] == 2
    assert found.alters == ["inference.batch"]


# The forecast


def test_jobs_are_those_of_the_rules(demo: Plan) -> None:
    assert {r.rule: r.jobs for r in forecast(demo, Rates()).rules} == job_counts(demo)
    shown = replace(demo, config={**demo.config, "report": {**demo.config["report"], "enabled": True}})
    assert forecast(shown, Rates()).jobs == forecast(demo, Rates()).jobs + 4


def test_a_given_rate_is_the_time_of_the_network(demo: Plan) -> None:
    assert demo.inference is not None
    found = forecast(demo, Rates().with_network(0.5), start=0)
    passes = demo.inference.lattice(demo.roi).forward_passes(demo.block)
    seconds = next(r.seconds for r in found.rules if r.rule == "affinity")
    assert seconds == pytest.approx(passes * 72**3 / 0.5e6)


def test_seams_are_those_between_blocks() -> None:
    grid = BlockGrid(Box.of_shape((4, 6, 10), (0, 0, 0)), (4, 4, 4))
    assert seams(grid) == 0 + 4 * 10 + 2 * 4 * 6


def test_a_line_is_found_again() -> None:
    true = Line(10, 0.2, 3)
    points = [(1, 100, 0), (1, 300, 0), (8, 300, 50)]
    found = fit([(true.at(*point), *point) for point in points])
    assert (found.each, found.unit, found.seam) == pytest.approx((10, 0.2, 3))
    assert fit([]) == Line()


# Rates in a file


@pytest.mark.slow
def test_rates_are_written_and_read(fresh: Path) -> None:
    plan = resolve(load_config("config.yaml"))
    assert read_rates(plan) is None
    rates = calibrate(plan, say=lambda text: None)
    path = Path(write_rates(plan, rates))
    assert read_rates(plan) == rates
    assert "measured on" in rates.basis
    other = resolve({**load_config("config.yaml"), "block": [32, 32, 32], "outdir": "other"})
    assert rates_path(other) == str(path), "they hold for any block"
    path.write_text("{")
    assert read_rates(plan) is None
    assert not Path("out").exists()


# The command


def test_without_write_nothing_is_written(fresh: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "--max-memory", "4GB", "--machines", "2", "--price", "0.5")
    assert code == 0
    for text in ("block shapes tried", "would be written with --write", "block:", "(now [16, 16, 16])", "cost"):
        assert text in out
    assert Path("config.yaml").read_text() == HAND_WRITTEN


def test_what_is_written_is_what_was_said(fresh: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "--max-memory", "4GB", "--json")
    changed = json.loads(out)["choice"]["changed"]
    before = load_config("config.yaml")
    code, out, _ = call(capsys, "--max-memory", "4GB", "--write")
    assert code == 0
    assert "written into config.yaml" in out
    assert load_config("config.yaml") == with_values(before, changed)
    text = Path("config.yaml").read_text()
    for comment in ("# mine", "# here", "# of a job", "# z", "# the network", "# of patches"):
        assert comment in text
    assert call(capsys, "--max-memory", "4GB", "--write")[0] == 0
    assert Path("config.yaml").read_text() == text, "the second time there is nothing to change"
    assert sorted(p.name for p in fresh.glob("*.part")) + sorted(p.name for p in fresh.glob(".*.part")) == []


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["--max-memory", "8"], "--max-memory '8' is not a size"),
        (["--max-memory", "8 parsecs"], "is not a size"),
        (["--max-memory", "-1GB"], "is not a size"),
        (["--max-memory", "0GB"], "is not a plausible size"),
        (["--max-memory", "1MB"], "the minimum is"),
        (["--gpu-memory", "16GB"], "no meaning with inference.device: cpu"),
        (["--hours", "0"], "--hours 0 must be a number of hours above 0"),
        (["--hours", "nan"], "--hours nan must be"),
        (["--hours", "1e-9"], "cannot be met"),
        (["--machines", "0"], "--machines 0 must be 1 or more"),
        (["--rate", "0"], "--rate 0 must be"),
        (["--rate", "1", "--calibrate"], "give one of them"),
        (["--price", "-1"], "--price -1 must be"),
        (["--start", "inf"], "--start inf must be"),
        ([], "--write has nothing to write"),
    ],
)
def test_bad_options_are_named_and_nothing_is_written(
    fresh: Path, capsys: pytest.CaptureFixture[str], args: list[str], sentence: str
) -> None:
    code, out, err = call(capsys, "--write", *args)
    assert (code, out) == (1, "")
    assert sentence in err
    assert err.count("\n") == 1
    assert Path("config.yaml").read_text() == HAND_WRITTEN
    assert sorted(p.name for p in fresh.iterdir() if p.name.endswith(".part")) == []


@pytest.mark.parametrize("option", [["--gpu-memory", "16GB"], ["--rate", "3"]])
def test_options_of_a_network_need_one(fresh: Path, capsys: pytest.CaptureFixture[str], option: list[str]) -> None:
    config = {**copy.deepcopy(CONFIG), "inference": None}
    Path("config.yaml").write_text(yaml.safe_dump(config))
    code, _, err = call(capsys, *option)
    assert code == 1
    assert "inference is null" in err


# Writing


@pytest.mark.parametrize(
    "text",
    [
        "a: 1\nblock: [1, 2, 3] # c\n", "block: null\n", "block:\n  - 1 # one\n  - 2\n  - 3\n# end\n", "a: 1",
        "a: 1\r\nblock: [1, 2, 3]\r\n", "{a: 1, block: [1, 2, 3]}\n", "{}\n", "# c\n\ns:\n    b: 1 # d\n", "s: {b: 1}\n",
        "s: {}\n", "block: [1,\n  2, 3] # c\n",
    ],
)  # fmt: skip
@pytest.mark.parametrize(("key", "value"), [("block", [7, 8, 9]), ("s.k", 5), ("s.b", [1, 2])])
def test_one_value_changes_and_nothing_else(text: str, key: str, value: Any) -> None:
    found = with_value(text, key.split("."), value)
    assert yaml.safe_load(found) == with_values(yaml.safe_load(text), {key: value})
    comments = [part for line in text.splitlines() for part in line.split("#")[1:]]
    assert all(f"#{part}" in found for part in comments)


def test_what_cannot_be_changed_in_place_stays(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    text = "other: &shape [1, 2, 3]\nblock: *shape\n"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"cannot be changed in place .* write yourself: block: \[4, 5, 6\]"):
        write_changes(str(path), {"block": [4, 5, 6]})
    assert path.read_text() == text
    assert [p.name for p in tmp_path.iterdir()] == ["c.yaml"]


def test_a_link_and_the_mode_stay(tmp_path: Path) -> None:
    path, link = tmp_path / "c.yaml", tmp_path / "link.yaml"
    path.write_text("block: [1, 2, 3]\n")
    path.chmod(0o640)
    link.symlink_to(path)
    write_changes(str(link), {"block": [4, 5, 6]})
    assert link.is_symlink()
    assert path.read_text() == "block: [4, 5, 6]\n"
    assert path.stat().st_mode & 0o777 == 0o640


def test_sizes_have_units() -> None:
    assert bytes_of("8GB", "x") == 8e9
    assert bytes_of(" 1.5 gib ", "x") == 1.5 * 2**30
