"""What the imports of each script load, and the CPU time that takes; a job that needs no torch must not load it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.machine import ROOT
from benchmarks.rows import Row, median

REPEATS = 5
PACKAGES = ("torch", "cloudvolume", "tensorstore", "numba", "h5py")
IMPORTS_OF_SCRIPT = """
import ast, json, sys, time
nodes = [n for n in ast.parse(open(sys.argv[1]).read()).body if isinstance(n, (ast.Import, ast.ImportFrom))]
code = compile(ast.Module(nodes, []), sys.argv[1], "exec")
began = time.process_time()
exec(code)
taken = time.process_time() - began
print(json.dumps([taken, [name for name in json.loads(sys.argv[2]) if name in sys.modules]]))
"""


def run() -> dict[str, Any]:
    """Import what each script imports, in a process of its own, several times."""
    rows = [_row(path) for path in sorted((ROOT / "scripts").glob("*.py"))]
    return {"title": "CPU time of a script's imports; 0 scripts but affinity may load torch", "rows": [_torch(rows), *rows]}


def _row(script: Path) -> Row:
    command = [sys.executable, "-c", IMPORTS_OF_SCRIPT, str(script), json.dumps(PACKAGES)]
    taken = [json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout) for _ in range(REPEATS)]
    samples = [seconds for seconds, _ in taken]
    return Row(script.stem, median(samples), "s", samples=samples, details={"loaded": taken[0][1]})


def _torch(rows: list[Row]) -> Row:
    loading = [row.what for row in rows if "torch" in row.details["loaded"]]
    return Row("scripts that load torch, of those that need none", float(len(set(loading) - {"affinity"})), "", limit=0.0)
