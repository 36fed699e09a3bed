"""quantumflow install: as an extension, as plain SQL, on paper."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from quantumflow_client import _extension
from quantumflow_client.cli import install
from quantumflow_client.embedded import EmbeddedServer, EmbeddedServerError
from support.command import ONE_STEP, Command
from upgrade.installation import OLD, install_old


@pytest.fixture
def empty(new_database: Callable[..., str], server: EmbeddedServer) -> Command:
    """The command, with a database that has nothing yet."""
    return Command(server.dsn(new_database()))


def extensions(command: Command) -> set[str]:
    with psycopg.connect(command.environment["QUANTUMFLOW_DSN"] or "") as connection:
        found = connection.execute("select extname from pg_extension where extname <> 'plpgsql'")
        return {name for (name,) in found}


def works(command: Command) -> bool:
    """Whether a workflow can be defined and started, and every rule holds."""
    command("flow", "deploy", "-", input=json.dumps(ONE_STEP))
    command("start", "one")
    command("check")
    return True


def test_as_an_extension(empty: Command) -> None:
    assert empty.json("install") == {
        "version": _extension.version(),
        "found": None,
        "installed": ["pgmq", "quantumflow"],
        "plain": False,
        "queues": "ready; created quantum_flow_queue",
    }
    assert extensions(empty) == {"pgmq", "quantumflow"}
    assert works(empty)


def test_as_plain_sql(empty: Command) -> None:
    said = empty("install", "--plain").stdout
    assert said.startswith("Installed pgmq and quantumflow as plain SQL: quantumflow ")
    assert extensions(empty) == set()
    assert works(empty)


def test_as_plain_sql_beside_an_extension_pgmq(empty: Command) -> None:
    with psycopg.connect(empty.environment["QUANTUMFLOW_DSN"] or "") as connection:
        connection.execute("create extension pgmq")
    assert empty.json("install", "--plain")["installed"] == ["quantumflow"]
    assert extensions(empty) == {"pgmq"}


def test_without_pgmq_anywhere(empty: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> dict[str, str]:
        raise EmbeddedServerError("the package pgmq is missing")

    monkeypatch.setattr(install, "pgmq_files", missing)
    error = empty.error("install", "--plain", expect=5)
    assert error["message"] == "pgmq is not in this database"
    assert "CREATE EXTENSION pgmq" in error["hint"]
    assert empty.error("list", expect=5)["code"] == "3F000", "nothing was installed"


def test_plain_sql_is_installed_whole_or_not(
    empty: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = _extension.script() + "\nselect 1/0;"
    monkeypatch.setattr(_extension, "script", lambda: script)
    assert empty.error("install", "--plain", expect=4)["code"] == "22012"
    with psycopg.connect(empty.environment["QUANTUMFLOW_DSN"] or "") as connection:
        row = connection.execute("select to_regnamespace('pgmq'), to_regnamespace('quantumflow')")
        assert row.fetchone() == (None, None)


def test_on_a_server_without_the_files(empty: Command) -> None:
    dsn = empty.environment["QUANTUMFLOW_DSN"] or ""
    bare = make_conninfo(dsn, options="-c extension_control_path=$system")
    error = empty.error("install", "--dsn", bare, expect=4)
    assert "not available" in error["message"]
    assert "quantumflow install --plain" in error["hint"]


def test_what_is_installed_is_left_alone(
    quantumflow: Command, connection: psycopg.Connection[Any]
) -> None:
    assert "already" in quantumflow("install").stdout
    assert quantumflow.json("install", "--plain")["installed"] == []
    connection.execute(
        "create or replace function quantumflow.version() returns text "
        "language sql immutable as $$ select '0.0.1' $$"
    )
    error = quantumflow.error("install", expect=1)
    assert error["message"].startswith("nothing leads from quantumflow 0.0.1 to ")


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("version", OLD)
def test_an_older_version_is_updated(empty: Command, version: str, plain: bool) -> None:
    dsn = empty.environment["QUANTUMFLOW_DSN"] or ""
    with psycopg.connect(dsn, autocommit=True) as connection:
        install_old(connection, version, is_plain=plain)
        with connection.transaction():
            connection.execute("select from quantumflow.settings")
            impatient = make_conninfo(dsn, options="-c lock_timeout=100ms")
            error = empty.error("install", "--dsn", impatient, expect=4)
            assert error["code"] == "55P03"
            assert error["hint"].startswith("Nothing was changed.")
    assert empty.json("install") == {
        "version": _extension.version(),
        "found": version,
        "installed": [],
        "plain": plain,
        "queues": "ready; created quantum_flow_queue",
    }
    assert "already" in empty("install", "--plain").stdout
    assert works(empty)


def test_on_paper(lost: Command) -> None:
    assert lost("install", "--sql").stdout == _extension.script()
    for version in OLD:
        upgrade = "".join(_extension.upgrades_from(version))
        assert lost("install", "--sql", "--from", version).stdout == upgrade
    assert lost("install", "--sql", "--from", _extension.version()).stdout == ""
    error = lost.error("install", "--sql", "--from", "0.0.1", expect=1)
    assert error["message"].startswith("nothing leads from quantumflow 0.0.1 to ")
    assert "--from is for --sql" in lost.error("install", "--from", "0.1.0", expect=2)["message"]
