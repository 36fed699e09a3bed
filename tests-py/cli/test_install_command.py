"""quantumflow install: as an extension, as plain SQL, on paper."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from quantumflow_client import _extension, _pgmq
from quantumflow_client.embedded import EmbeddedServer, pgmq_files
from support.command import ONE_STEP, Command
from support.programs import run_program
from upgrade.installation import BASE, OLD, install_old

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


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


def test_as_an_extension_beside_a_plain_pgmq(
    empty: Command, connect: Callable[..., psycopg.Connection[Any]]
) -> None:
    (script,) = (t for name, t in pgmq_files().items() if name.endswith(".sql"))
    connect(empty.environment["QUANTUMFLOW_DSN"] or "").execute(script.encode())
    hint = empty.error("install", expect=4)["hint"]
    assert hint == "pgmq is in this database as plain SQL: quantumflow install --plain."
    assert empty.json("install", "--plain")["installed"] == ["quantumflow"]


def test_without_pgmq_anywhere(empty: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_pgmq, "files", lambda: None)
    for options in (["--plain"], ["--sql", "--with-pgmq"]):
        error = empty.error("install", *options, expect=5)
        assert error["message"].startswith("pgmq's SQL is not at hand")
        assert f"pip install {_pgmq.PACKAGE}." in error["hint"]
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


def test_on_a_server_without_the_files(
    empty: Command, server: EmbeddedServer, request: pytest.FixtureRequest
) -> None:
    dsn = empty.environment["QUANTUMFLOW_DSN"] or ""
    bare = make_conninfo(dsn, options="-c extension_control_path=$system")
    error = empty.error("install", "--dsn", bare, expect=4)
    assert "not available" in error["message"]
    assert "has not the files of pgmq and quantumflow." in error["hint"]
    assert "make install" in error["hint"]
    assert "quantumflow install --plain" in error["hint"]

    files = server.home / "without_pgmq"
    (files / "extension").mkdir(parents=True)
    request.addfinalizer(lambda: shutil.rmtree(files))
    for name, text in _extension.files().items():
        (files / "extension" / name).write_text(text, "utf-8")
    without_pgmq = make_conninfo(dsn, options=f"-c extension_control_path={files}")
    error = empty.error("install", "--dsn", without_pgmq, expect=4)
    assert error["message"] == 'extension "pgmq" is not available'
    assert "has not the files of pgmq." in error["hint"]


def test_nobody_else_runs_what_its_owner_may_have_replaced(
    quantumflow: Command, connection: psycopg.Connection[Any]
) -> None:
    role = f"owner_{connection.info.dbname}"
    connection.execute(f'create role "{role}"')
    try:
        connection.execute(f'alter schema quantumflow owner to "{role}"')
        connection.execute(
            "create or replace function quantumflow.setup() returns text language plpgsql "
            "as 'begin raise exception $$ran$$; end'"
        )
        assert quantumflow.json("install")["queues"] is None
        assert "queues are made by its owner" in quantumflow("install").stdout
    finally:
        connection.execute("alter schema quantumflow owner to current_user")
        connection.execute(f'drop role "{role}"')


@pytest.mark.parametrize("options", [[], ["--plain"]])
def test_a_role_that_may_not_install(
    empty: Command, connect: Callable[..., psycopg.Connection[Any]], options: list[str]
) -> None:
    dsn = empty.environment["QUANTUMFLOW_DSN"] or ""
    admin = connect(dsn)
    role = f"poor_{admin.info.dbname}"
    admin.execute(f'create role "{role}" login')
    try:
        error = empty.error("install", *options, "--dsn", make_conninfo(dsn, user=role), expect=4)
        assert error["code"] == "42501"
        said = error["hint"].partition("gives it: ")[2]
        assert said == f'grant create on database "{admin.info.dbname}" to "{role}";'
        admin.execute(said)
        empty("install", *options, "--dsn", make_conninfo(dsn, user=role))
    finally:
        admin.execute(f'drop owned by "{role}" cascade')
        admin.execute(f'drop role "{role}"')


def test_what_is_installed_is_left_alone(
    quantumflow: Command, connection: psycopg.Connection[Any]
) -> None:
    found = quantumflow.json("install", "--plain")
    assert (found["installed"], found["queues"]) == ([], "ready; created quantum_flow_queue")
    said = f"quantumflow {_extension.version()} is in this database already, queues ready.\n"
    assert quantumflow("install").stdout == said
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
    preamble = (
        "set local search_path = pg_catalog, pg_temp;\n"
        "set local standard_conforming_strings = on;\n\n"
    )
    for options in ([], ["--with-pgmq"]):
        script = lost("install", "--sql", *options).stdout
        assert script.startswith(preamble)
        assert _extension.script() in script
    for version in OLD:
        upgrade = "".join(_extension.upgrades_from(version))
        assert lost("install", "--sql", "--from", version).stdout == preamble + upgrade
    assert lost("install", "--sql", "--from", _extension.version()).stdout == ""
    error = lost.error("install", "--sql", "--from", "0.0.1", expect=1)
    assert error["message"].startswith("nothing leads from quantumflow 0.0.1 to ")
    assert "--from is for --sql" in lost.error("install", "--from", BASE, expect=2)["message"]
    error = lost.error("install", "--plain", "--with-pgmq", expect=2)
    assert "--with-pgmq is for --sql" in error["message"]


@pytest.fixture
def psql(empty: Command, server: EmbeddedServer, tmp_path: Path) -> Callable[..., str]:
    """Runs what the command prints, the way the documents say; what psql wrote."""

    def run(*options: str) -> str:
        script = tmp_path / "script.sql"
        script.write_text(empty("install", "--sql", *options).stdout, "utf-8")
        dsn = empty.environment["QUANTUMFLOW_DSN"] or ""
        strict = ["-X", "-q", "-1", "-v", "ON_ERROR_STOP=1"]
        return run_program(server, "psql", *strict, "-d", dsn, "-f", script)

    return run


def test_on_paper_without_pgmq_says_what_to_do(empty: Command, psql: Callable[..., str]) -> None:
    with pytest.raises(AssertionError, match="pgmq is not in this database") as refused:
        psql()
    assert "quantumflow install --sql --with-pgmq" in str(refused.value)
    assert empty.error("list", expect=5)["code"] == "3F000", "nothing was installed"

    assert "ready; created quantum_flow_queue" in psql("--with-pgmq")
    assert extensions(empty) == set()
    assert works(empty)


def test_on_paper_beside_an_extension_pgmq(empty: Command, psql: Callable[..., str]) -> None:
    with psycopg.connect(empty.environment["QUANTUMFLOW_DSN"] or "") as connection:
        connection.execute("create extension pgmq")
    with pytest.raises(AssertionError, match="pgmq is in this database already"):
        psql("--with-pgmq")
    assert "ready; created quantum_flow_queue" in psql()
    assert works(empty)
