"""Modules of the client import each other downwards only, for types too.

Fails when an execution knows the worker's loop, or a context the transaction that it is given.
"""

from __future__ import annotations

import ast
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import quantumflow_client

NAME = quantumflow_client.__name__
ROOT = Path(quantumflow_client.__file__).parent


@cache
def modules() -> dict[str, Path]:
    """Each module's name below the package, and its file; packages by their own names."""
    found = {}
    for path in ROOT.rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(part for part in parts if part != "__init__")] = path
    return found


@cache
def imports() -> dict[str, set[str]]:
    """What each module imports of the others."""
    files = modules()
    return {
        name: {
            imported
            for node in ast.walk(ast.parse(path.read_text()))
            for imported in named_by(node, package_of(name, path))
            if imported in files and imported != name
        }
        for name, path in files.items()
    }


def package_of(module: str, path: Path) -> str:
    return module if path.name == "__init__.py" else module.rpartition(".")[0]


def named_by(node: ast.AST, package: str) -> list[str]:
    """The modules that a statement may name: of `from a import b`, a and a.b."""
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        within = f"{NAME}.{package}".rstrip(".").split(".")
        base = ".".join(within[: len(within) + 1 - node.level]) if node.level else ""
        base = f"{base}.{node.module or ''}".strip(".")
        names = [f"{base}.{alias.name}" for alias in node.names]
        if any(name.removeprefix(f"{NAME}.") not in modules() for name in names):
            # Something of its own is taken, not only modules in it.
            names.append(base)
    else:
        return []
    return [name[len(NAME) + 1 :] for name in names if f"{name}.".startswith(f"{NAME}.")]


def test_no_modules_import_each_other_in_a_circle() -> None:
    TopologicalSorter(imports()).prepare()


def test_no_packages_import_each_other_in_a_circle() -> None:
    rooms: dict[str, set[str]] = {}
    for name, imported in imports().items():
        room = name.split(".")[0]
        others = {other.split(".")[0] for other in imported} - {room}
        rooms.setdefault(room, set()).update(others)
    TopologicalSorter(rooms).prepare()


def test_the_worker_knows_nothing_of_who_makes_one() -> None:
    below = {
        "_call", "_connections", "_json", "_listener", "_log", "_sql", "_sql.tasks", "_sql.workers",
        "_typed", "_values", "_version", "_wanted", "context", "errors",
    }  # fmt: skip
    known = {
        other
        for name, imported in imports().items()
        if name.startswith("_worker.")
        for other in imported
        if not other.startswith("_worker")
    }
    assert known == below
