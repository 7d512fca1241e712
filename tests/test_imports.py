"""Who may import whom: packages lie on floors and import downwards; the library knows no Snakemake; light jobs load little."""

import ast
import functools
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from connectomake.pipeline.registry import RULES

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src"
LIBRARY = SOURCE / "connectomake"
MODULES = {path.relative_to(LIBRARY).as_posix(): path for path in sorted(LIBRARY.rglob("*.py"))}

# From the ground up. A package (or a module beside the packages) imports what lies on lower floors, nothing of its own floor,
# nothing above; so there is no cycle, and no stage imports another. `connectomake` is the file `__init__.py` of the library.
FLOORS = {
    "ground": "bounded_text columns credentials keys private_folder shell",
    "errors": "compiled errors forking",
    "basics": "geometry os_errors stale_files union_find",
    "files": "atomic networks tables",
    "stores": "storage table_files",
    "layers": "layers lock phantom source_archive",
    "filters of images": "filters",
    "sources": "sources",
    "volumes for other programs": "exporting",
    "stages": "agglomeration components evaluation inference measures meshes objects octree pyramid segment_table segmentation "
    "skeletons training",
    "config": "config",
    "planning": "planning train_from_config",
    "pipeline": "pipeline",
    "a run in Python": "run",
    "the library": "connectomake",
    "what looks at runs and makes them": "jobs preflight proofreading queueing verify viewing",
    "what is imported before a fork": "preload",
    "contacts and synapses": "synapses",
    "reports": "failures reporting",
    "forecasts": "budget",
    "commands": "cli",
    "heads": "connectomake_heads",
    "Snakemake": "connectomake_snakemake snakemake_executor_plugin_pods snakemake_executor_plugin_sbatch",
}
FLOOR_OF = {package: floor for floor, packages in enumerate(FLOORS.values()) for package in packages.split()}
NAMES = list(FLOORS)
STAGES = FLOORS["stages"].split()
TORCH_USERS = {"inference", "networks", "training", "cli"}
HEAVY = ("torch", "cloudvolume", "snakemake")
WITHOUT_NUMBA = ("image", "info", "lookup", "objects")
LIGHT_RULES = sorted(rule for rule in RULES if rule != "affinity")

# Imports what the jobs of rules and their scripts import, then tells which of the heavy packages are loaded.
IMPORTS_OF_RULES = """
import importlib, json, sys
from connectomake.jobs import run
from connectomake.pipeline.modules import modules_of
for rule in sys.argv[2:]:
    names = ["connectomake.reporting.report"] if rule.startswith("report") else modules_of(rule)
    assert names, rule
    for name in names:
        importlib.import_module(name)
print(json.dumps([name for name in json.loads(sys.argv[1]) if name in sys.modules]))
"""


def package_of(module: str) -> str:
    return module.split("/", maxsplit=1)[0].removesuffix(".py")


@functools.cache
def imports_of(path: Path) -> dict[str, int]:
    """Each module that a file imports anywhere, also within functions or by its name as text: {name: line}."""
    names = {}
    for node in ast.walk(ast.parse(path.read_text(), path.name)):
        if isinstance(node, ast.Import):
            names.update({alias.name: node.lineno for alias in node.names})
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            names.update({f"{node.module}.{alias.name}": node.lineno for alias in node.names})
        elif (
            isinstance(node, ast.Constant) and isinstance(node.value, str) and re.fullmatch(r"connectomake(\.\w+)+", node.value)
        ):
            names[node.value] = node.lineno
    return names


def room_of(name: str) -> str | None:
    """The package of the tree that a dotted name lies in, or None; attributes of the library itself lie in `connectomake`."""
    top, *rest = name.split(".")
    if top != "connectomake":
        return top if (SOURCE / top).is_dir() or (SOURCE / f"{top}.py").is_file() else None
    inner = bool(rest) and ((LIBRARY / rest[0]).is_dir() or (LIBRARY / f"{rest[0]}.py").is_file())
    return rest[0] if inner else "connectomake"


@functools.cache
def rooms() -> dict[str, list[Path]]:
    """The files of each package: {package: [file]}, as the folders are."""
    found: dict[Any, Any] = {}
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        found.setdefault(room_of(".".join(p for p in parts if p != "__init__")), []).append(path)
    return found


def arrows(package: str) -> dict[str, list[str]]:
    """The packages that a package imports, with the places: {package: [place]}; the version counts for none, a constant."""
    found: dict[Any, Any] = {}
    for path in rooms()[package]:
        for name, line in imports_of(path).items():
            other = room_of(name)
            if other not in {None, package} and name != "connectomake.__version__":
                found.setdefault(other, []).append(f"{path.relative_to(ROOT)}:{line}")
    return found


def uses(module: str) -> set[str]:
    """The top packages that a module imports; of connectomake its own parts, as `connectomake.part`."""
    parts = (name.split(".") for name in imports_of(MODULES[module]))
    return {".".join(p[:2]) if p[0] == "connectomake" else p[0] for p in parts}


def loaded_by(*rules: str, packages: tuple[str, ...] = HEAVY) -> list[str]:
    command = [sys.executable, "-c", IMPORTS_OF_RULES, json.dumps(packages), *rules]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return list(json.loads(done.stdout))


def test_every_package_lies_on_one_floor() -> None:
    missing, gone = rooms().keys() - FLOOR_OF.keys(), FLOOR_OF.keys() - rooms().keys()
    assert not missing, f"{sorted(missing)}: on no floor; add to FLOORS, above all that it imports and below all that import it"
    assert not gone, f"{sorted(gone)}: no longer there; take out of FLOORS"
    assert len(FLOOR_OF) == sum(len(packages.split()) for packages in FLOORS.values()), "a package lies on two floors"


@pytest.mark.parametrize("package", FLOOR_OF)
def test_a_package_imports_only_what_lies_below(package: str) -> None:
    for other, places in arrows(package).items():
        if other in FLOOR_OF:
            ours, theirs = (NAMES[FLOOR_OF[p]] for p in (package, other))
            assert FLOOR_OF[other] < FLOOR_OF[package], (
                f"{package} (floor {ours!r}) imports {other} (floor {theirs!r}), which does not lie below it, in "
                f"{', '.join(places)}; move what is needed down"
            )


@pytest.mark.parametrize("package", STAGES)
def test_a_stage_imports_no_other(package: str) -> None:
    assert not arrows(package).keys() & set(STAGES)


@pytest.mark.parametrize("package", [p for p in FLOOR_OF if p not in FLOORS["Snakemake"].split()])
def test_no_package_below_imports_snakemake(package: str) -> None:
    for path in rooms()[package]:
        found = [f"{name} in line {line}" for name, line in imports_of(path).items() if name.startswith("snakemake")]
        assert not found, f"{path.relative_to(ROOT)}: only the top floor knows Snakemake: {found}"


def test_the_rule_sees_imports_in_functions_and_names_as_text() -> None:
    assert "run" in arrows("connectomake")  # `open_run` imports it when called
    assert "jobs" in arrows("preload")  # imported by its name before the first fork


@pytest.mark.parametrize("module", MODULES)
def test_the_library_knows_no_snakemake(module: str) -> None:
    assert not uses(module) & {"snakemake", "igneous", "kimimaro", "abiss"}


@pytest.mark.parametrize("module", [m for m in MODULES if package_of(m) not in TORCH_USERS])
def test_only_inference_names_torch(module: str) -> None:
    assert "torch" not in uses(module)


def test_jobs_without_a_network_load_nothing_heavy() -> None:
    if loaded_by(*LIGHT_RULES):  # one process for all; on failure one for each, to name the rule
        assert [name for name in LIGHT_RULES if loaded_by(name)] == []


def test_jobs_without_compiled_code_load_no_numba() -> None:
    assert loaded_by(*WITHOUT_NUMBA, packages=("numba", "scipy")) == []


def test_the_probe_sees_what_is_loaded() -> None:
    assert "torch" in loaded_by("affinity")


def test_benchmarks_find_all_that_they_import() -> None:
    names = sorted(f"benchmarks.{path.stem}" for path in (ROOT / "benchmarks").glob("*.py") if path.stem != "__main__")
    assert "benchmarks.fib25" in names
    code = "\n".join(f"import {name}" for name in names)
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr


def test_parsing_the_workflow_loads_nothing_heavy() -> None:
    names = [n for p in sorted((ROOT / "workflow/rules").glob("*.smk")) for n in _import_lines(p)]
    assert names
    code = "\n".join([*names, "import sys", "assert not {'torch', 'cloudvolume', 'numba', 'tensorstore'} & set(sys.modules)"])
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def _import_lines(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if line.startswith(("from connectomake", "import connectomake"))]
