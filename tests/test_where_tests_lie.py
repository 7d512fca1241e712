"""Each test file says by its name or in a table what it is about, and each package of `src` has one: see tests/__init__.py."""

import ast
import re
from pathlib import Path

import pytest

from tests import PACKAGES, THEMES
from tests.test_imports import imports_of, room_of, rooms

FOLDER = Path(__file__).parent
FILES = {path.stem.removeprefix("test_"): path for path in sorted(FOLDER.glob("test_*.py"))}
LISTED = {name for table in (PACKAGES, THEMES) for names in table.values() for name in names.split()}
SRC = sorted(rooms().keys() - {"connectomake"})


def package_of(file: str) -> str | None:
    """The package that a file is named for, the one of the longest name; None if it is named for none."""
    return max((p for p in SRC if file == p or file.startswith(f"{p}_")), key=len, default=None)


def called(name: str) -> list[str]:
    """The files that a word of a table means: of that name, or whose names begin with it."""
    return [file for file in FILES if file == name or file.startswith(f"{name}_")]


def files_of(package: str) -> list[str]:
    """The files of a package's tests: named for it, then those of the table."""
    named = [file for file in FILES if package_of(file) == package]
    return [*named, *(file for name in PACKAGES.get(package, "").split() for file in called(name))]


def used_in(path: Path) -> set[str]:
    """The packages that a file imports, or that its texts name (what other programs import), with their dots."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    texts = [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    names = [*imports_of(path), *(name for text in texts for name in re.findall(r"\w+(?:\.\w+)+", text))]
    return {room for name in names if (room := room_of(name))}


@pytest.mark.parametrize("file", FILES)
def test_a_file_is_named_for_a_package_or_is_in_a_table(file: str) -> None:
    assert package_of(file) or any(file in called(name) for name in LISTED), (
        f"test_{file}.py: name it test_PACKAGE_WHAT.py, for the package that it tests, or list it in tests/__init__.py"
    )


@pytest.mark.parametrize("package", SRC)
def test_a_package_has_a_test_file_that_uses_it(package: str) -> None:
    files = files_of(package)
    assert files, f"{package} has no test file: make test_{package}.py, or write one into PACKAGES of tests/__init__.py"
    assert any(package in used_in(FILES[file]) for file in files), f"none of {files} imports {package}"


def test_the_tables_hold_what_is_there() -> None:
    gone = sorted(name for name in LISTED if not called(name))
    assert not gone, f"{gone}: in a table of tests/__init__.py, but no test file"
    assert not PACKAGES.keys() - set(SRC), "packages that are no longer there"


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.py")), ids=lambda path: path.relative_to(FOLDER).as_posix())
def test_tests_are_in_files_that_pytest_reads_and_say_what_they_are(path: Path) -> None:
    tree = ast.parse(path.read_text())
    tests = [n.name for n in tree.body if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef)) and n.name.startswith("test_")]
    assert path.name.startswith("test_") == bool(tests), f"{path.name} has the tests {tests}"
    assert ast.get_docstring(tree) or not tree.body, f"{path.name} needs a docstring: what it is about, in one sentence"
