"""What the imports of each rule's jobs load, and the CPU time that takes; a job that needs no torch must not load it."""

import json
import subprocess
import sys
from typing import Any

from benchmarks.rows import Row, median
from connectomake.pipeline.registry import RULES

REPEATS = 5
PACKAGES = ("torch", "cloudvolume", "tensorstore", "numba", "h5py")
IMPORTS_OF_RULE = """
import importlib, json, sys, time
began = time.process_time()
from connectomake.jobs import run
from connectomake.pipeline.modules import modules_of
for name in modules_of(sys.argv[1]):
    importlib.import_module(name)
taken = time.process_time() - began
print(json.dumps([taken, [name for name in json.loads(sys.argv[2]) if name in sys.modules]]))
"""


def run() -> dict[str, Any]:
    """Import what each rule's jobs import, in a process of its own, several times."""
    rows = [_row(rule) for rule in RULES if not rule.startswith("report")]
    return {"title": "CPU time of a rule's imports; 0 rules but affinity may load torch", "rows": [_torch(rows), *rows]}


def _row(rule: str) -> Row:
    command = [sys.executable, "-c", IMPORTS_OF_RULE, rule, json.dumps(PACKAGES)]
    taken = [json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout) for _ in range(REPEATS)]
    samples = [seconds for seconds, _ in taken]
    return Row(rule, median(samples), "s", samples=samples, details={"loaded": taken[0][1]})


def _torch(rows: list[Row]) -> Row:
    loading = [row.what for row in rows if "torch" in row.details["loaded"]]
    return Row("rules that load torch, of those that need none", float(len(set(loading) - {"affinity"})), "", limit=0.0)
