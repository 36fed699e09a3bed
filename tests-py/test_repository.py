"""Which of the repository's Python leans on which, and that it is found without a trick."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.server import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator

_TESTS = {folder.name for folder in (REPOSITORY / "tests-py").iterdir() if folder.is_dir()}
_OURS = _TESTS | {"support", "benchmarks", "tools"}


def programs(folder: str) -> Iterator[Path]:
    yield from sorted((REPOSITORY / folder).rglob("*.py"))


def imported(file: Path) -> Iterator[str]:
    """The packages that a file imports something of."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name.partition(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield (node.module or "").partition(".")[0]


@pytest.mark.parametrize(
    ("folder", "below"),
    [
        ("tools/src/support", {"support"}),
        ("tools", {"support"}),
        ("tests-sql", {"support"}),
        ("benchmarks", {"support", "benchmarks"}),
        ("python-client/src", set[str]()),
    ],
)
def test_what_is_shared_is_in_one_package(folder: str, below: set[str]) -> None:
    found = {name for file in programs(folder) for name in imported(file)}
    assert found & _OURS <= below


def test_tests_look_at_the_benchmarks_only_to_test_them() -> None:
    found = [file.name for file in programs("tests-py") if "benchmarks" in imported(file)]
    assert found == ["test_benchmarks_page.py"]


@pytest.mark.parametrize("folder", ["tools", "tests-sql", "tests-py", "benchmarks"])
def test_nothing_says_where_modules_are(folder: str) -> None:
    """The environment knows, and pytest's settings; who runs another copy says so in PYTHONPATH."""
    tricks = ("sys.path.insert", "sys.path.append", "addsitedir", "spec_from_file_location")
    found = {
        str(file.relative_to(REPOSITORY)): trick
        for file in programs(folder)
        if file != Path(__file__)
        for trick in tricks
        if trick in file.read_text("utf-8")
    }
    assert found == {}
    assert "PYTHONPATH" not in (REPOSITORY / "Makefile").read_text("utf-8")
