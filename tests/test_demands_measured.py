"""Demands against what jobs took: on a real Slurm, as control groups had it, and of functions on large tables.

Figures are of 2026-11-27, `python -m tests.cluster.show` on two nodes of one core: resident MB of all processes of the job of a
rule with the least to spare, Snakemake around the script included. A demand below them is killed; one above three times wastes.
"""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from connectomake.layers import write_tables
from connectomake.pipeline.demands import REMOTE_MB, Demands
from connectomake.pipeline.registry import RULES
from connectomake.planning.resolve import resolve
from connectomake.planning.skeletons import Skeletons
from tests.pins.cases import cases

CHANGES: dict[str, Any] = {
    "skeletons": {"enabled": True, "voxels_per_job": 4_000_000},
    "report": {"enabled": True},
    "merge": {"fan_out": 8},
}
DEMO = {
    "image": 139, "affinity": 740, "components": 347, "merge": 275, "lookup": 128, "agglomerate": 313, "history": 312,
    "segmentation": 255, "measures": 291, "objects": 172, "fragments": 362, "gather": 247, "meshes": 117, "gather_traces": 134,
    "skeletons": 408, "ground_truth": 318, "contingency": 330, "evaluation": 131, "curve": 361, "pyramid": 275,
    "report_run": 163, "report_blocks": 142, "report_slices": 316, "report_objects": 865,
}  # fmt: skip
"""MB of a job of each stage of the whole demo, everything switched on: the most of two runs of 357 jobs, none repeated."""
TRACES = {"00": 1150, "08": 380, "10": 352, "28": 270, "38": 366, "01": 128}
"""Of groups of blocks; in the last one no cell begins."""
LARGE = {
    "evaluation": (52, 209), "curve": (120, 549), "gather": (175, 51), "meshes": (87, 43), "gather_traces": (33, 216),
    "skeletons": (33, 630),
}  # fmt: skip
"""MB of tables, of one shard where a job holds one, and the most that a process held that worked on them."""


@pytest.fixture(scope="module")
def demands() -> Demands:
    case = cases()["demo"]
    config: dict[str, Any] = {**case.config, **{name: {**case.config[name], **values} for name, values in CHANGES.items()}}
    return Demands(dataclasses.replace(case, config=config).plan())


TABLE = {3_000: 106, 1_000_000: 231, 5_000_000: 596}
"""MB that the process of the job held that sorts a table over labels, by its rows; Snakemake around it holds some 100 more."""
BESIDE_MB = 100


def test_every_stage_with_a_size_of_its_process_was_measured() -> None:
    elsewhere = {"traces", "segment_table", "assign", "thumbnail", "info"}
    assert {*DEMO, *elsewhere} == RULES.keys(), "assign is as lookup, thumbnail as pyramid"


@pytest.mark.parametrize("rows", TABLE)
def test_a_table_over_labels_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("labels.npy", np.ones((8, 16, 16), np.uint32))
    Path("table.csv").write_text("supervoxel,segment\n1,1\n")
    config: dict[str, Any] = {
        "outdir": "out", "source": {"path": "labels.npy", "voxel_size": [9, 9, 9]}, "block": [8, 16, 16],
        "segmentation": {"method": "labels", "table": {"path": "table.csv"}}, "meshes": {"enabled": False},
    }  # fmt: skip
    plan = resolve(config)
    assert plan.table is not None
    table = dataclasses.replace(plan.table, rows=rows, size=14 * rows)
    asked = Demands(dataclasses.replace(plan, table=table)).memory("segment_table") + REMOTE_MB
    assert asked / 3 <= TABLE[rows] + BESIDE_MB <= asked


@pytest.mark.parametrize("stage", DEMO)
def test_a_job_of_the_demo_fits(demands: Demands, tmp_path: Path, stage: str) -> None:
    least = estimate = demands.memory(stage)
    if RULES[stage][1].held_per_byte is not None:
        write_tables(tmp_path / "0.h5", {})
        least = demands.memory(stage, 1, [str(tmp_path / "0.h5")])
    assert DEMO[stage] <= least + REMOTE_MB, "it is killed"
    assert 3 * DEMO[stage] >= estimate + REMOTE_MB, "it keeps others waiting"


@pytest.mark.parametrize("group", TRACES)
def test_a_job_that_traces_a_group_of_the_demo_fits(demands: Demands, group: str) -> None:
    asked = demands.memory("traces", item=Skeletons(demands.plan).tree.parse(0, group)) + REMOTE_MB
    assert asked / 3 <= TRACES[group] <= asked


@pytest.mark.parametrize("stage", LARGE)
def test_what_holds_large_tables_fits(demands: Demands, tmp_path: Path, stage: str) -> None:
    megabytes, took = LARGE[stage]
    path = Path(tmp_path / ("0.pack" if stage in {"gather", "meshes"} else "0.h5"))
    if path.suffix == ".pack":
        path.touch()
        with path.open("r+b") as stream:
            stream.truncate(megabytes << 20)
    else:
        write_tables(path, {"a": np.zeros(megabytes << 20, np.uint8)})
    asked = demands.memory(stage, 1, [str(path)])
    assert took <= asked, "it is killed"
    if (RULES[stage][1].held_per_byte or 0) > 1:
        assert 3 * took >= asked
