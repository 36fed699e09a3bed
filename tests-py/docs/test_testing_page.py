"""docs/testing.md keeps what `make test-long` saw: a section a version, the newest first."""

from __future__ import annotations

import re
import subprocess
from datetime import datetime, timezone

import pytest

from support.server import REPOSITORY
from tools import long_tests as tool


def test_each_part_is_a_command_of_make() -> None:
    for part in tool.PARTS.values():
        subprocess.run(
            ["make", "-n", "-C", REPOSITORY, *part.command], check=True, stdout=subprocess.DEVNULL
        )


@pytest.mark.parametrize(
    ("part", "line", "quoted"),
    [
        ("python", "FAILED tests-py/a/test_b.py::test_c[d] - x", "FAILED tests-py/a/test_b.py::"),
        ("python", "12 passed, 1 skipped in 61.20s (0:01:01)", "12 passed, 1 skipped in 61.20s"),
        ("chaos", "lost                   0", "lost                   0"),
        ("chaos", "handlers that hung     9", "handlers that hung     9"),
        ("chaos", "logs: /home/somebody/.cache/chaos/1", None),
        ("matrix", "3 of 3 SQL test files passed (9 assertions) on PostgreSQL 14.1", "3 of 3 SQL"),
        ("mutation", "survived: sweep: it never sweeps", "survived: sweep: it never sweeps"),
        ("mutation", "caught: sweep: it never sweeps", None),
        ("mutation", "174 of 175 mutations caught in 900 s", "174 of 175 mutations caught"),
    ],
)
def test_what_tells_how_it_went_is_quoted(part: str, line: str, quoted: str | None) -> None:
    found = re.search(tool.PARTS[part].summary, line)
    assert (found and found[0][: len(quoted or "")]) == quoted


def test_each_part_of_a_version_is_told_once_and_the_newest_version_is_first() -> None:
    page = f"# Testing\n\n{tool.BEGIN}\n## 1.0\n\n### chaos\n\nfirst\n"
    for version, part, text in [
        ("2.0", "matrix", "second"),
        ("2.0", "python", "third"),
        ("2.0", "matrix", "second, again"),
    ]:
        page = tool.with_entry(page, version, part, f"### {part}\n\n{text}\n")
    assert page == (
        f"# Testing\n\n{tool.BEGIN}\n## 2.0\n\n### python\n\nthird\n\n"
        "### matrix\n\nsecond, again\n\n## 1.0\n\n### chaos\n\nfirst\n"
    )


def test_how_a_part_went_is_said() -> None:
    part = tool.Part("long SQL", ("test-py", "MARKED=system and long"), "x")
    at = datetime(2030, 1, 1, tzinfo=timezone.utc)
    text = tool.entry("system", tool.Outcome(part, False, 3723, ["1 failed"]), at)
    assert text.startswith("### system\n\nLong SQL, `make test-py 'MARKED=system and long'`: ")
    assert "**failed** in 62 min 3 s.\n2030-01-01 00:00 UTC" in text
    assert text.endswith("\n\n```text\n1 failed\n```\n")
    assert str(REPOSITORY) not in text
    assert "passed in 1 min 0 s." in tool.entry("system", tool.Outcome(part, True, 59.6, []), at)
