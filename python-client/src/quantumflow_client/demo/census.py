"""The workflow of the demo: a census of Python's own standard library.

`discover` lists the files, `parse` is a map with a task for each of them, `rank` adds up, `report`
writes a page about it all, the run included.
"""

from __future__ import annotations

import ast
import os
import sysconfig
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

from quantumflow_client.flow import Flow

if TYPE_CHECKING:
    from quantumflow_client.context import Context

LIBRARY = Path(sysconfig.get_path("stdlib"))
"""Where this interpreter has its standard library."""

_NOT_OURS = {"site-packages", "dist-packages"}

Result = dict[str, Any]

census = Flow("census", title="A census of Python's standard library", max_lost=10)


@census.step
def discover(run: dict[str, Any]) -> list[str]:
    """The files to look at."""
    return files_below(LIBRARY)[: run["limit"]]


@census.map(over=discover)
def parse(item: str) -> Result:
    """What one file holds."""
    return look_at(LIBRARY, item)


@census.step(depends_on=[parse])
def rank(parse: list[Result]) -> Result:
    """What all the files hold together."""
    return add_up(parse)


@census.step(depends_on=[rank, discover])
def report(run: dict[str, Any], rank: Result, discover: list[str], ctx: Context) -> Result:
    """Write the page. It tells the run's story up to this moment, from the database's own rows."""
    from quantumflow_client.page.facts import read

    from . import page, queries

    with psycopg.connect(os.environ["QUANTUMFLOW_DSN"], autocommit=True) as connection:
        facts = read(lambda call: call.on(connection), ctx.run_id)
        server = queries.server(connection)
    page.write(Path(run["page"]), facts, rank, server=server)
    return {"page": run["page"], "files": len(discover)}


# What the steps do, without a workflow around it


def files_below(library: Path) -> list[str]:
    """The Python files of a library, relative to it and sorted; installed packages are not its."""
    return sorted(_python_files(library))


def _python_files(library: Path) -> Iterator[str]:
    for folder, folders, files in os.walk(library):
        folders[:] = [name for name in folders if name not in _NOT_OURS]
        for name in files:
            if name.endswith(".py"):
                yield Path(folder, name).relative_to(library).as_posix()


def look_at(library: Path, path: str) -> Result:
    """Count what a file holds.

    Args:
        library: The folder that the path is relative to.
        path: The file.

    Returns:
        `path`, and either `lines`, `functions`, `classes` and `imports` (the first names of the
        modules it imports, each once), or an `error`: not every file of the library is right.
    """
    try:
        source = (library / path).read_bytes()
        tree = ast.parse(source, path)
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return {"path": path, "error": _in_a_line(error)}
    functions = classes = 0
    imports: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            functions += 1
        elif isinstance(node, ast.ClassDef):
            classes += 1
        elif isinstance(node, ast.Import):
            imports.update(name.name.partition(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            imports.add(node.module.partition(".")[0])
    return {
        "path": path,
        "lines": len(source.splitlines()),
        "functions": functions,
        "classes": classes,
        "imports": sorted(imports),
    }


def _in_a_line(error: Exception) -> str:
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    line = error.lineno if isinstance(error, SyntaxError) else None
    where = f" (line {line})" if line else ""
    # A message may quote what no database stores.
    said = "".join(c if c.isprintable() else "?" for c in text)
    return f"{type(error).__name__}: {said}{where}"


def add_up(results: Sequence[Result], most: int = 20) -> Result:
    """Totals, and the modules that most files import.

    Args:
        results: What `look_at` said of each file.
        most: How many modules to name.
    """
    parsed = [result for result in results if "error" not in result]
    importers = Counter(module for result in parsed for module in result["imports"])
    ranking = sorted(importers.items(), key=lambda entry: (-entry[1], entry[0]))
    return {
        "files": len(results),
        "parsed": len(parsed),
        **{
            what: sum(result[what] for result in parsed)
            for what in ("lines", "functions", "classes")
        },
        "modules": len(ranking),
        "imports": [[module, files] for module, files in ranking[:most]],
        "errors": [result for result in results if "error" in result],
    }
