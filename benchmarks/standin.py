"""A finished run without content: of each file its record alone, which is all that a head reads of it."""

import os
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from connectomake.layers.columns import write_columns
from connectomake.layers.companions import companion_checksums
from connectomake.layers.records import encode_record, named
from connectomake.pipeline.expected import expected
from connectomake.pipeline.registry import Stages
from connectomake.planning.infos import info_text
from connectomake.planning.plan import Plan

MADE = 1_700_000_000


def stand_in(plan: Plan) -> int:
    """Write all files of a run into its folder, below the working directory, all of one time; their number."""
    files = [file for file in expected(plan) if file.needed]
    stages = Stages(plan)
    records = {stage: stages.record(stage) for stage in {file.stage for file in files} - {"info"}}
    others = defaultdict(list)
    for file in files:
        Path(file.path).parent.mkdir(parents=True, exist_ok=True)
        if file.stage == "info":
            _write(file.path, info_text(plan, str(Path(file.path).parent.relative_to(plan.outdir))).encode())
        elif file.beside:
            others[file.beside].append(file.path)
            _write(file.path, b"{}")
    for file in files:
        if file.recorded and file.stage != "info":
            record = records[file.stage] | (companion_checksums(file.path, *others[file.path]) if file.path in others else {})
            _write_record(file.path, record)
    return len(files)


def _write_record(path: str, record: dict[str, Any]) -> None:
    if path.endswith(".parquet"):
        write_columns(path, {"id": np.zeros(0, np.uint64)}, record)
        os.utime(path, (MADE, MADE))
    else:
        _write(path, encode_record(named(record, path)))


def _write(path: str, content: bytes) -> None:
    Path(path).write_bytes(content)
    os.utime(path, (MADE, MADE))
