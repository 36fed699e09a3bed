"""Writes the AsyncClient's calls from the Client's, _async_calls/ from _calls/: [--check].

Both clients can do the same. What a call takes, gives and refuses is said once, in _calls/; here it
becomes a coroutine: what talks to the database is awaited, and what iterates does so
asynchronously. With --check nothing is written: it fails when a file is not what would be written.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

# Nothing of the client is imported: it could not be while half of it is to be written.
PACKAGE = Path(__file__).parent.parent / "python-client" / "src" / "quantumflow_client"
SOURCE = PACKAGE / "_calls"
TARGET = PACKAGE / "_async_calls"

HEADER = "# Written by tools/async_calls.py from _calls/{}: change that, then `make calls`.\n"

NAMES = {
    "Borrowed": "AsyncBorrowed",
    "Iterator": "AsyncIterator",
    "Connections": "AsyncConnections",
    "on": "aon",
    "_calls": "_async_calls",
    "Told": "AsyncTold",
}
"""What has another name among coroutines, as a whole word of the code."""

AWAITED = {"self._connections.run", "call.on", "told.sleep", "time.sleep"}
"""What is awaited, besides the calls themselves."""


def coroutines(trees: dict[str, ast.Module]) -> set[str]:
    """The methods of the classes of calls, but those that iterate."""
    return {
        method.name
        for tree in trees.values()
        for method in _methods(tree)
        if not _iterates(method) and not _is_static(method)
    }


def in_async(text: str, tree: ast.Module, awaited: set[str]) -> str:
    """The text of a file, as coroutines."""
    edits = [*_definitions(tree), *_awaits(tree, awaited), *_loops(tree, text)]
    lines = text.splitlines(keepends=True)
    for line, column, length, new in sorted(edits, reverse=True):
        before = lines[line - 1]
        lines[line - 1] = before[:column] + new + before[column + length :]
    return _renamed("".join(lines))


def _methods(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name.endswith("Calls"):
            yield from (member for member in node.body if isinstance(member, ast.FunctionDef))


def _iterates(method: ast.FunctionDef) -> bool:
    return ast.unparse(method.returns or ast.Constant(None)).startswith("Iterator")


def _is_static(method: ast.FunctionDef) -> bool:
    return any(ast.unparse(mark) == "staticmethod" for mark in method.decorator_list)


def _definitions(tree: ast.Module) -> Iterator[tuple[int, int, int, str]]:
    """Each method becomes a coroutine. An overload of what iterates only says what it returns."""
    for method in _methods(tree):
        is_overload = any(ast.unparse(mark) == "overload" for mark in method.decorator_list)
        if not _is_static(method) and not (_iterates(method) and is_overload):
            yield method.lineno, method.col_offset, 0, "async "


def _awaits(tree: ast.Module, awaited: set[str]) -> Iterator[tuple[int, int, int, str]]:
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        if called not in AWAITED and called.removeprefix("self.") not in awaited:
            continue
        if isinstance(parents[node], ast.Attribute | ast.Subscript):
            yield node.lineno, node.col_offset, 0, "(await "
            assert node.end_lineno is not None
            assert node.end_col_offset is not None
            yield node.end_lineno, node.end_col_offset, 0, ")"
        else:
            yield node.lineno, node.col_offset, 0, "await "


def _loops(tree: ast.Module, text: str) -> Iterator[tuple[int, int, int, str]]:
    """There is no `yield from` in a coroutine."""
    for node in ast.walk(tree):
        if isinstance(node, ast.YieldFrom):
            whole = ast.get_source_segment(text, node) or ""
            loop = f"for item in {ast.unparse(node.value)}: yield item"
            yield node.lineno, node.col_offset, len(whole), loop


def _renamed(text: str) -> str:
    """With the names that coroutines have: those of code, not the words of comments and texts."""
    if "time.sleep" in text:
        text = text.replace("import time\n", "import asyncio\nimport time\n")
    parts = re.split(r'("""[\s\S]*?"""|#[^\n]*|"[^"\n]*")', text)
    for number in range(0, len(parts), 2):
        parts[number] = parts[number].replace("time.sleep", "asyncio.sleep")
        for name, other in NAMES.items():
            parts[number] = re.sub(rf"\b{name}\b", other, parts[number])
        parts[number] = re.sub(r"\b([A-Z]\w*)?Calls\b", r"Async\1Calls", parts[number])
    return "".join(parts)


def written() -> dict[Path, str]:
    """What each file is to be."""
    texts = {path.name: path.read_text() for path in sorted(SOURCE.glob("*.py"))}
    trees = {name: ast.parse(text) for name, text in texts.items()}
    awaited = coroutines(trees)
    return {
        TARGET / name: _formatted(HEADER.format(name) + in_async(text, trees[name], awaited))
        for name, text in texts.items()
    }


def _formatted(text: str) -> str:
    for arguments in (["check", "--quiet", "--fix", "--select", "I,F401"], ["format", "--quiet"]):
        command = [
            sys.executable,
            "-m",
            "ruff",
            *arguments,
            f"--stdin-filename={TARGET}/any.py",
            "-",
        ]
        ran = subprocess.run(command, input=text, capture_output=True, text=True, check=True)
        text = ran.stdout
    return text


def main() -> None:
    """Write the files, or say which are not as they should be."""
    texts = written()
    if "--check" in sys.argv[1:]:
        there = {path: path.read_text() for path in TARGET.glob("*.py")}
        stale = sorted({path for path, _ in there.items() ^ texts.items()})
        if stale:
            names = ", ".join(path.name for path in stale)
            sys.exit(f"_async_calls/ is not made of _calls/: {names}. Run `make calls`.")
        return
    TARGET.mkdir(exist_ok=True)
    for path in TARGET.glob("*.py"):
        path.unlink()
    for path, text in texts.items():
        path.write_text(text)


if __name__ == "__main__":
    main()
