"""The base and the hops after it say as much as the script that installs a version."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from quantumflow_client import _extension
from support.server import REPOSITORY, build_extension
from upgrade.installation import BASE, base_script

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def derive(folder: Path, before: Sequence[str], after: str) -> str:
    """The hop to a script, from the base and the hops that come before it."""
    changes = folder / "changes.sql"
    changes.write_text("-- Nothing by hand.\n")
    files = [folder / f"{number}.sql" for number in range(len(before) + 1)]
    for file, text in zip(files, [*before, after], strict=True):
        file.write_text(text, "utf-8")
    command: list[str | Path] = ["awk", "-v", f"changes={changes}", "-v", "from=a", "-v", "to=b"]
    command += ["-f", REPOSITORY / "extension" / "upgrade.awk", *files]
    return subprocess.run(command, check=True, capture_output=True, encoding="utf-8").stdout


def made(hop: str) -> list[str]:
    """What a hop makes, drops or says about something; what it drops goes first, in any order."""
    return sorted(re.findall(r"^(?:create|drop|comment) .*", hop, re.MULTILINE))


def test_nothing_leads_from_what_was_published_to_what_is_built_but_the_hops(
    tmp_path: Path,
) -> None:
    build_extension()
    hops = _extension.upgrades_from(BASE)
    assert made(derive(tmp_path, [base_script()], _extension.script())) != []
    assert made(derive(tmp_path, [base_script(), *hops], _extension.script())) == []


def function(name: str, body: str, *, comment: str = "It does.", of: str = "int") -> str:
    return (
        f"create function q.{name}(p_a {of}) returns int\nlanguage sql\nas $f$ {body} $f$;\n"
        f"comment on function q.{name}({of}) is\n'{comment}';\n"
    )


def row_type(name: str, columns: str) -> str:
    return (
        f"create type q.{name} as ({columns});\n"
        f"comment on type q.{name} is\n'A row.';\ncomment on column q.{name}.a is\n'It is.';\n"
    )


_VIEW = "create view q.v as\nselect {};\ncomment on view q.v is\n'Seen.';\n"
_TABLE = "create table q.{0} (\n  a int\n);\ncomment on table q.{0} is\n'Held.';\n"

# What a script may have of each: the text in three versions, None where it has it not.
COURSES: dict[str, tuple[str | None, str | None, str | None]] = {
    "stays": (function("f", "1"), function("f", "1"), function("f", "1")),
    "is new": (None, function("f", "1"), function("f", "1")),
    "has another body": (function("f", "1"), function("f", "2"), function("f", "2")),
    "gets it back": (function("f", "1"), function("f", "2"), function("f", "1")),
    "has another each time": (function("f", "1"), function("f", "2"), function("f", "3")),
    "has another comment": (
        function("f", "1"),
        function("f", "1", comment="Else."),
        function("f", "1"),
    ),
    "has another argument": (
        function("f", "1"),
        function("f", "1", of="text"),
        function("f", "2", of="text"),
    ),
    "is gone": (function("f", "1"), None, None),
    "comes back": (function("f", "1"), None, function("f", "1")),
    "a type stays": (row_type("t", "a int"), row_type("t", "a int"), row_type("t", "a int")),
    "a type gets a column": (
        row_type("t", "a int") + function("f", "1", of="q.t"),
        row_type("t", "a int, b int") + function("f", "1", of="q.t"),
        row_type("t", "a int, b int") + function("f", "2", of="q.t"),
    ),
    "a type gets one later": (
        row_type("t", "a int") + function("f", "1", of="q.t"),
        row_type("t", "a int") + function("f", "2", of="q.t"),
        row_type("t", "a int, b int") + function("f", "2", of="q.t"),
    ),
    "a type comes back": (row_type("t", "a int"), None, row_type("t", "a int")),
    "a view": (_VIEW.format("1 as a"), _VIEW.format("2 as a"), _VIEW.format("1 as a")),
    "a table": (None, _TABLE.format("x"), _TABLE.format("x")),
}


@pytest.mark.parametrize("course", COURSES)
def test_a_hop_is_the_same_from_base_and_hops_as_from_a_script(tmp_path: Path, course: str) -> None:
    one, two, three = ("create schema q;\n" + (text or "") for text in COURSES[course])
    hop = derive(tmp_path, [one], two)
    by_script = derive(tmp_path, [two], three)
    assert made(derive(tmp_path, [one, hop], three)) == made(by_script)
    assert derive(tmp_path, [one, hop, by_script], three) == derive(tmp_path, [three], three)
