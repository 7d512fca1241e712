"""The image of the pods holds all loops that jobs call, compiled: `tests.tiny_run` calls them, see `envs/Dockerfile`."""

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
LIBRARY = ROOT / "src/connectomake"
NO_JOBS = {"phantom", "proofreading", "synapses", "training"}  # what commands do: no job of the workflow
FIND = """
import inspect, json, sys
from numba.core.dispatcher import Dispatcher
from tests.tiny_run import warm_up

warm_up()
held = {name: module for name, module in sys.modules.items() if name.startswith("connectomake.")}
loops, lazy = {}, set()
for name, module in held.items():
    for value in vars(module).values():
        if isinstance(value, Dispatcher) and value.py_func.__module__ == name:
            loops[name, value.py_func.__name__] = value
        elif inspect.isfunction(value) and value.__module__ == name and "compiled" in value.__code__.co_freevars:
            if inspect.getclosurevars(value).nonlocals["compiled"].cache_info().currsize:
                lazy.add((name, value.__name__))
found, ahead = set(lazy), [key for key, value in loops.items() if value.signatures]
while ahead:  # a loop that one of these names is compiled with it
    key = ahead.pop()
    if key not in found:
        found.add(key)
        names = loops[key].py_func.__code__.co_names
        other = [loops[key].py_func.__globals__.get(n) for n in names]
        ahead += [(o.py_func.__module__, o.py_func.__name__) for o in other if isinstance(o, Dispatcher)]
print(json.dumps(sorted(found)))
"""


def loops() -> Iterator[Any]:
    """Yield (module, name) of each function that numba compiles for jobs."""
    for path in sorted(LIBRARY.rglob("*.py")):
        parts = path.relative_to(LIBRARY).with_suffix("").parts
        if parts[0] in NO_JOBS:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and any("njit" in ast.unparse(d) for d in node.decorator_list):
                yield ".".join(("connectomake", *parts)), node.name


@pytest.mark.slow
def test_the_warm_up_compiles_every_loop_that_jobs_call(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", FIND], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    compiled = {tuple(found) for found in json.loads(done.stdout.splitlines()[-1])}
    wanted = set(loops())
    assert len(wanted) > 100
    assert wanted - compiled == set()
