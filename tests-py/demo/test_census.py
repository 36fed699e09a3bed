"""What the demo's steps do, without a workflow around them."""

from __future__ import annotations

import ast
import sysconfig
import warnings
from pathlib import Path
from typing import Any

import pytest

from quantumflow_client.demo.census import LIBRARY, add_up, census, files_below, look_at


@pytest.fixture
def library(tmp_path: Path) -> Path:
    (tmp_path / "package").mkdir()
    (tmp_path / "site-packages" / "not_ours").mkdir(parents=True)
    for path in ("b.py", "a.py", "package/__init__.py", "site-packages/not_ours/c.py", "a.txt"):
        (tmp_path / path).touch()
    return tmp_path


def test_files_are_sorted_and_relative_and_installed_packages_are_not_among_them(
    library: Path,
) -> None:
    assert files_below(library) == ["a.py", "b.py", "package/__init__.py"]


def test_the_library_is_this_interpreters() -> None:
    files = files_below(LIBRARY)

    assert Path(sysconfig.get_path("stdlib")) == LIBRARY
    assert "json/decoder.py" in files
    assert len(files) > 500


def test_functions_classes_and_imports_are_counted_wherever_they_are(library: Path) -> None:
    (library / "a.py").write_text(
        "import os.path, sys\n"
        "import os\n"
        "from collections.abc import Mapping\n"
        "from . import b\n"
        "from .package import c\n"
        "class A:\n"
        "    class B: pass\n"
        "    async def f(self):\n"
        "        import json\n"
        "        def g(): return lambda: 1\n"
    )

    assert look_at(library, "a.py") == {
        "path": "a.py",
        "lines": 10,
        "functions": 2,
        "classes": 2,
        "imports": ["collections", "json", "os", "sys"],
    }


def test_an_empty_file_has_nothing(library: Path) -> None:
    assert look_at(library, "b.py") == {
        "path": "b.py",
        "lines": 0,
        "functions": 0,
        "classes": 0,
        "imports": [],
    }


@pytest.mark.parametrize(
    "source",
    [
        "# -*- coding: latin-1 -*-\nx = 'ä'\n".encode("latin-1"),
        b"\xef\xbb\xbfx = '\xc3\xa4'\n#\n",
        "x = 'ä'\r\n#\r\n".encode(),
    ],
    ids=["latin-1", "UTF-8 with a mark", "carriage returns"],
)
def test_a_file_may_have_any_encoding_that_python_knows(library: Path, source: bytes) -> None:
    (library / "a.py").write_bytes(source)

    assert look_at(library, "a.py")["lines"] == 2


@pytest.mark.parametrize(
    ("source", "error"),
    [
        (b"x = 1\nprint 'x'\n", "(line 2)"),
        (b"x = '\xff'\n", "Error: "),
        (b"# coding: klingon\n", "klingon"),
        (b"x = 1\0\n", "null byte"),
        (b"(" * 1000 + b")" * 1000, "Error: "),
    ],
    ids=["syntax", "encoding", "unknown encoding", "NUL", "nesting"],
)
def test_a_file_that_does_not_parse_is_a_result_not_a_crash(
    library: Path, source: bytes, error: str
) -> None:
    (library / "a.py").write_bytes(source)

    result = look_at(library, "a.py")

    assert result.keys() == {"path", "error"}
    assert error in result["error"]
    assert result["error"].isprintable()


def test_a_file_that_is_gone_is_a_result_too(library: Path) -> None:
    assert "FileNotFoundError" in look_at(library, "gone.py")["error"]


def test_what_the_message_quotes_can_be_stored(
    library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> ast.Module:
        raise SyntaxError("bad \0 \ud800 \n character")

    monkeypatch.setattr(ast, "parse", refuse)

    assert look_at(library, "a.py")["error"] == "SyntaxError: bad ? ? ? character"


def test_totals_leave_out_what_did_not_parse() -> None:
    results: list[dict[str, Any]] = [
        {"path": "a.py", "lines": 3, "functions": 1, "classes": 0, "imports": ["os", "sys"]},
        {"path": "b.py", "lines": 4, "functions": 2, "classes": 1, "imports": ["abc", "sys"]},
        {"path": "c.py", "error": "SyntaxError: no"},
    ]

    assert add_up(results, most=2) == {
        "files": 3,
        "parsed": 2,
        "lines": 7,
        "functions": 3,
        "classes": 1,
        "modules": 3,
        "imports": [["sys", 2], ["abc", 1]],
        "errors": [{"path": "c.py", "error": "SyntaxError: no"}],
    }


def test_nothing_adds_up_to_nothing() -> None:
    assert add_up([])["imports"] == []


def test_the_whole_library_can_be_looked_at() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = [look_at(LIBRARY, path) for path in files_below(LIBRARY)[::20]]

    assert sum("error" in result for result in results) < len(results) / 10


def test_the_flow_is_four_steps_and_one_of_them_a_map() -> None:
    steps = {step["name"]: step for step in census.definition()["steps"]}

    assert list(steps) == ["discover", "parse", "rank", "report"]
    assert [name for name, step in steps.items() if step.get("type") == "map"] == ["parse"]
    assert steps["report"]["dependencies"] == ["rank", "discover"]
