"""Which modules a rule's jobs import: a process that forks for each job imports them once, before."""

import ast
import importlib
import inspect
import sys
from collections.abc import Iterator

from connectomake.config import METHODS
from connectomake.pipeline.methods import labelling_of
from connectomake.pipeline.registry import RULES


def modules_of(rule: str) -> list[str]:
    """Return the modules that the work of a rule imports, by name, as its code says; none of a rule that is not known."""
    if rule not in RULES:
        return []
    kind = next(kind for kind in RULES[rule][1].__mro__ if "work" in vars(kind))
    tree = ast.parse(inspect.getsource(sys.modules[kind.__module__]))
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    work = [node for node in classes[kind.__name__].body if isinstance(node, ast.FunctionDef) and node.name == "work"]
    return list(dict.fromkeys(name for node in work for name in _imported(node, functions)))


def _imported(node: ast.AST, functions: dict[str, ast.FunctionDef]) -> Iterator[str]:
    """Yield what a function imports, and what those of its module import that it names."""
    for part in ast.walk(node):
        if isinstance(part, ast.ImportFrom) and part.module is not None:
            yield part.module
        elif isinstance(part, ast.Import):
            yield from (alias.name for alias in part.names)
        elif isinstance(part, ast.Name) and part.id == labelling_of.__name__:
            yield from _imported_by_methods()
        elif isinstance(part, ast.Name) and part.id in functions and functions[part.id] is not node:
            yield from _imported(functions[part.id], functions)


def _imported_by_methods() -> Iterator[str]:
    """Yield what the methods of segmentation import when they label a block or join it with others."""
    for name in METHODS:
        module = importlib.import_module(f"connectomake.pipeline.methods.{name}")
        tree = ast.parse(inspect.getsource(module))
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                yield from _imported(node, {})
