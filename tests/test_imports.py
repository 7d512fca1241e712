"""Who may import whom: stages stand alone, the library knows no Snakemake, and light jobs load no heavy package."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LIBRARY = ROOT / "src/connectomake"
MODULES = {path.relative_to(LIBRARY).as_posix(): path for path in sorted(LIBRARY.rglob("*.py"))}
STAGES = {"sources", "inference", "components", "octree", "segmentation", "measures", "objects", "meshes", "evaluation"} | {
    "skeletons",
    "training",
    "pyramid",
}
FOUNDATION = {
    "credentials",
    "errors",
    "plain",
    "slate",
    "processes",
    "trouble",
    "atomic",
    "compiled",
    "geometry",
    "layers",
    "remote",
    "tables",
    "networks",
    "remote_http",
}
ALLOWED = {
    "plain": set(),
    "slate": set(),
    "credentials": set(),
    "errors": {"credentials"},
    "processes": set(),
    "trouble": {"errors"},
    "atomic": {"errors", "processes", "trouble"},
    "remains": {"processes"},
    "remote": {"errors", "remote_http", "trouble"},
    "lock": {"atomic", "errors", "plain", "processes"},
    "remote_http": {"credentials", "errors"},
    "geometry": {"errors"},
    "layers": {"errors", "plain", "slate", "atomic", "geometry", "trouble"},
    "networks": {"errors", "geometry"},
    "private": set(),
    "compiled": {"private"},
    "tables": {"compiled", "geometry"},
    **dict.fromkeys(STAGES, FOUNDATION),
}
TORCH_USERS = {"inference", "networks", "training", "cli"}
HEAVY = ("torch", "cloudvolume", "snakemake")
WITHOUT_NUMBA = ("image.py", "info.py", "lookup.py", "objects.py")
LIGHT_SCRIPTS = sorted(p.name for p in (ROOT / "scripts").glob("*.py") if p.name != "affinity.py")

# Runs the imports of a script, and nothing else of it, then tells which of the heavy packages are loaded.
IMPORTS_OF_SCRIPT = """
import ast, json, sys
for script in sys.argv[2:]:
    for node in ast.parse(open(script).read()).body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            exec(compile(ast.Module([node], []), script, "exec"))
print(json.dumps([name for name in json.loads(sys.argv[1]) if name in sys.modules]))
"""


def package_of(module):
    return module.split("/")[0].removesuffix(".py")


def imports_of(path):
    """Every module that a file imports anywhere, also within functions; relative imports do not exist here."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(), path.name)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            names.update([f"{node.module}.{alias.name}" for alias in node.names])
    return names


def uses(module):
    """The top packages that a module imports; of connectomake its own parts, as `connectomake.part`."""
    parts = (name.split(".") for name in imports_of(MODULES[module]))
    return {".".join(p[:2]) if p[0] == "connectomake" else p[0] for p in parts}


def loaded_by(*scripts, packages=HEAVY):
    paths = [str(ROOT / "scripts" / name) for name in scripts]
    command = [sys.executable, "-c", IMPORTS_OF_SCRIPT, json.dumps(packages), *paths]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize("module", [m for m in MODULES if package_of(m) in ALLOWED])
def test_a_stage_imports_the_foundation_and_itself(module):
    package = package_of(module)
    imported = {name.removeprefix("connectomake.") for name in uses(module) if name.startswith("connectomake.")}
    assert imported <= ALLOWED[package] | {package}


@pytest.mark.parametrize("module", MODULES)
def test_the_library_knows_no_snakemake(module):
    assert not uses(module) & {"snakemake", "igneous", "kimimaro", "abiss"}


@pytest.mark.parametrize("module", [m for m in MODULES if package_of(m) not in TORCH_USERS])
def test_only_inference_names_torch(module):
    assert "torch" not in uses(module)


def test_jobs_without_a_network_load_nothing_heavy():
    if loaded_by(*LIGHT_SCRIPTS):  # one process for all; on failure one for each, to name the script
        assert [name for name in LIGHT_SCRIPTS if loaded_by(name)] == []


def test_jobs_without_compiled_code_load_no_numba():
    assert loaded_by(*WITHOUT_NUMBA, packages=("numba", "scipy")) == []


def test_the_probe_sees_what_is_loaded():
    assert "torch" in loaded_by("affinity.py")


def test_parsing_the_workflow_loads_nothing_heavy():
    names = [n for p in sorted((ROOT / "workflow/rules").glob("*.smk")) for n in _import_lines(p)]
    assert names
    code = "\n".join([*names, "import sys", "assert not {'torch', 'cloudvolume', 'numba', 'tensorstore'} & set(sys.modules)"])
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def _import_lines(path):
    return [line for line in path.read_text().splitlines() if line.startswith(("from connectomake", "import connectomake"))]
