"""The page of the demo: that of its run, with what a census has besides."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from page.facts_of_runs import START, at, census, facts
from page.test_page import Elements
from quantumflow_client.demo import page

if TYPE_CHECKING:
    from pathlib import Path

TOTALS: dict[str, Any] = {
    "files": 3,
    "parsed": 2,
    "lines": 1234,
    "functions": 3,
    "classes": 1,
    "modules": 2,
    "imports": [["<sys>", 2], ["os", 1]],
    "errors": [{"path": "<i>.py", "error": "SyntaxError: <script>alert(1)</script>"}],
}


def render(**more: Any) -> str:
    return page.render(census(), TOTALS, server="PostgreSQL 18", **more)


def test_whatever_comes_from_files_is_escaped() -> None:
    text = render(verdict=page.Verdict([("a <u> b", "<s>x</s>")]))
    assert not {"script", "sys", "u", "s", "i"} & set(Elements(text).names)
    for said in ("&lt;script&gt;alert(1)", "&lt;sys&gt;", "&lt;b&gt;a.py", "a &lt;u&gt; b"):
        assert said in text


def test_it_needs_nothing_else() -> None:
    text = render()
    elements = Elements(text)
    assert not {"script", "link", "img", "iframe"} & set(elements.names)
    assert not {"src", "href", "style"} & {name for name, _ in elements.attributes}
    assert not re.search(r"url\((?!#)|@import|https?:", text)


def test_a_check_that_failed_is_told() -> None:
    assert "counted exactly once" in render(verdict=page.Verdict([("all", None)]))
    bad = render(verdict=page.Verdict([("all", "one is missing")]))
    assert "counted exactly once" not in bad
    assert "one is missing" in bad


def test_a_kill_is_marked_where_it_happened() -> None:
    text = render(killed_at=at(4))
    assert re.search(r'x1="40\.0%"[^>]*/><text[^>]*>killed, holding 1<', text)
    assert re.search(r'x1="75\.0%"[^>]*/><text[^>]*>handed out again<', text)


def test_a_run_without_a_kill_has_no_marks_of_one() -> None:
    found = census()
    calm = facts(list(found.steps), [a for a in found.attempts if a.kind is None], 10)
    text = page.render(calm, TOTALS, server="").partition("<main")[2]
    assert "killed" not in text
    assert "handed out again" not in text


def test_nothing_at_all_can_be_drawn() -> None:
    nothing = {**TOTALS, "imports": [], "errors": [], "files": 0}
    Elements(page.render(facts([], [], 0), nothing, server=""))


@pytest.mark.parametrize("times", [1, 2])
def test_the_page_replaces_the_one_before(tmp_path: Path, times: int) -> None:
    file = tmp_path / "new" / "page.html"
    for _ in range(times):
        page.write(file, census(), TOTALS, server="", killed_at=START + timedelta(seconds=4))
    assert file.read_text("utf-8").startswith("<!doctype html>")
    assert list(file.parent.iterdir()) == [file]
