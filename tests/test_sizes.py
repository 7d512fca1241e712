"""No function is too long to be read at a glance, no file too long to be known: at most 60 and 300 lines."""

import ast
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("src", "workflow", "scripts")
FILES = [path.relative_to(ROOT).as_posix() for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
RULES = [path.relative_to(ROOT).as_posix() for path in sorted(ROOT.glob("workflow/**/*.smk"))]
FUNCTION, MODULE = 60, 300


def functions(path: str) -> list[Any]:
    tree = ast.parse((ROOT / path).read_text(), path)
    return [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]


@pytest.mark.parametrize("path", FILES)
def test_no_function_is_longer_than_a_page(path: str) -> None:
    lengths = {f"{f.name}, line {f.lineno}": f.end_lineno - f.lineno + 1 for f in functions(path)}
    long = {name: length for name, length in lengths.items() if length > FUNCTION}
    assert not long, f"{path}: at most {FUNCTION} lines a function; give parts of it a name of their own"


@pytest.mark.parametrize("path", [*FILES, *RULES])
def test_no_module_is_too_long(path: str) -> None:
    length = len((ROOT / path).read_text().splitlines())
    assert length <= MODULE, f"{path} has {length} lines, at most {MODULE}: make two modules of it, each of one thing"


def test_the_files_are_found() -> None:
    assert {path.split("/")[0] for path in FILES} == set(FOLDERS)
    assert "infer_block" in [f.name for f in functions("src/connectomake/inference/engine.py")]
    assert "workflow/rules/inputs.smk" in RULES
