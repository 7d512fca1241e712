"""The files in a Python model file's folder on which it depends: modules that it imports, and files that its text names."""

import ast
import hashlib
from collections.abc import Iterator
from pathlib import Path

IMPORTERS = ("import_module", "__import__")


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def neighbours(model: str | Path) -> dict[str, str]:
    """Return the SHA-256 of each file beside a Python model file that it imports or names, by its path within the folder.

    Imports are followed through modules and packages of the folder, wherever they stand in the text. A file counts as named
    where a text in quotes is its path within the folder. What the text puts together when it runs is not seen.

    Parameters
    ----------
    model
        The model file; one that is no Python has no neighbours.

    Raises
    ------
    OSError
        If a neighbour cannot be read.
    """
    start = Path(model)
    if start.suffix != ".py":
        return {}
    folder, found, waiting = start.parent, {start}, [start]
    while waiting:
        path = waiting.pop()
        new = {p for p in _used(path, folder) if p not in found}
        found |= new
        waiting += [p for p in new if p.suffix == ".py"]
    return {p.relative_to(folder).as_posix(): file_hash(p) for p in sorted(found - {start})}


def _used(path: Path, folder: Path) -> Iterator[Path]:
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):  # running it will say what is wrong
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _module(folder, alias.name.split("."))
        elif isinstance(node, ast.ImportFrom):
            yield from _imported_from(node, path, folder)
        elif isinstance(node, ast.Call) and _called(node) in IMPORTERS and node.args:
            name = node.args[0]
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                yield from _module(folder, name.value.split("."))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from _named(folder, node.value)


def _called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def _imported_from(node: ast.ImportFrom, path: Path, folder: Path) -> Iterator[Path]:
    base = folder if not node.level else path.parents[node.level - 1]
    if not base.is_relative_to(folder):
        return
    parts = node.module.split(".") if node.module else []
    yield from _module(base, parts)
    for alias in node.names:
        yield from _module(base, [*parts, alias.name])


def _module(base: Path, parts: list[str]) -> Iterator[Path]:
    """Yield the files that an import of a dotted name runs: packages on the way, then the module."""
    for i in range(1, len(parts) + 1):
        place = base.joinpath(*parts[:i])
        for path in (place / "__init__.py", place.with_name(f"{place.name}.py")):
            if place.name and path.is_file():
                yield path


def _named(folder: Path, text: str) -> Iterator[Path]:
    if not text.strip("./") or len(text) > 200 or not text.isprintable():
        return
    path = Path(text)
    if not path.is_absolute() and ".." not in path.parts and (folder / path).is_file():
        yield folder / path
