"""The client's SQL against the real catalog: every text is a call that the database knows."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import quantumflow_client
from quantumflow_client import _sql
from quantumflow_client._sql import STATEMENTS
from quantumflow_client._worker import steps

if TYPE_CHECKING:
    import psycopg

PACKAGE = Path(quantumflow_client.__file__).parent
INSTALL = {"embedded.py", "cli/_statements.py", "testing/_servers.py"}
"""What brings a server, or an extension, before there is a function to call."""


def numbered(statement: str) -> str:
    """A statement with $1, $2 in place of named placeholders."""
    names: list[str] = []

    def number(match: re.Match[str]) -> str:
        if match[1] not in names:
            names.append(match[1])
        return f"${names.index(match[1]) + 1}"

    return re.sub(r"%\((\w+)\)s", number, statement)


@pytest.mark.system
@pytest.mark.parametrize("function", STATEMENTS)
def test_the_database_can_prepare_every_statement(
    connection: psycopg.Connection[Any], function: str
) -> None:
    connection.execute(f"prepare it as {numbered(STATEMENTS[function])}".encode())


@pytest.mark.parametrize("function", STATEMENTS)
def test_every_statement_is_one_call_of_its_function_with_named_arguments(function: str) -> None:
    statement = STATEMENTS[function]
    assert re.findall(r"quantumflow\.(\w+)\(", statement) == [function]
    assert not function.startswith("_")
    arguments = re.search(rf"quantumflow\.{function}\((.*)\)", statement, re.DOTALL)
    assert arguments is not None
    for argument in filter(None, arguments[1].split(",")):
        assert re.fullmatch(
            r"\s*(\w+) => %\(\1\)s"
            r"(::(pg_catalog\.(text|jsonb|uuid|timestamptz)|int|bigint|interval|numeric)(\[\])?)?\s*",
            argument.split(")::pg")[0] if argument.count(")") > argument.count("(") else argument,
        )
    assert "*" not in statement


def test_there_is_no_other_sql_in_the_client() -> None:
    sources = {
        path.relative_to(PACKAGE).as_posix(): path.read_text() for path in PACKAGE.rglob("*.py")
    }
    # The demo shows what lies in the tables.
    sources = {name: text for name, text in sources.items() if not name.startswith("demo/")}
    sql = r'"\s*(select|insert|update|delete|begin|set|listen|create|alter|drop)\s'
    found = {name for name, text in sources.items() if re.search(sql, text)}
    # What cli/_errors.py tells people to type is never executed.
    assert {name for name in found if not name.startswith("_sql/")} - {"cli/_errors.py"} == INSTALL
    executing = {name for name, text in sources.items() if re.search(r"\.execute\b", text)}
    assert executing - INSTALL == {
        "_call.py",
        "_connections.py",
        "_events.py",
        "_listener.py",
    }


def test_every_call_of_the_client_is_registered() -> None:
    rooms = Path(_sql.__file__).parent.glob("*.py")
    texts = {
        name for room in rooms for name in re.findall(r"quantumflow\.(\w+)\(", room.read_text())
    }
    assert texts == set(STATEMENTS)


@pytest.mark.system
def test_what_handlers_ask_for_by_name_is_what_the_database_reserves(
    connection: psycopg.Connection[Any],
) -> None:
    reserved = connection.execute("select quantumflow._reserved_names()").fetchone()
    names = steps.GIVEN | steps.OF_A_RUN | steps.OF_AN_ITEM | steps.OF_A_CHUNK
    assert reserved is not None
    assert set(reserved[0]) == names


def test_no_other_module_of_the_client_says_what_is_reserved() -> None:
    found = {
        path.name for path in PACKAGE.rglob("*.py") if re.search(r'"(ctx|items)"', path.read_text())
    }
    assert found - {"llm.py"} == {"steps.py"}  # where "items" is a word of JSON Schema
