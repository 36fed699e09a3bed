"""A dump taken while runs are in flight, restored elsewhere, goes on where it was."""

from __future__ import annotations

import contextlib
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from backup.in_flight import FLOW, fill, finish
from quantumflow_client import Client, _extension
from quantumflow_client.cli import _statements
from quantumflow_client.embedded import EmbeddedServer, pgmq_files
from support.engine import Engine
from support.old_pgmq import old_pgmq_script
from support.programs import run_program
from support.server import REPOSITORY, build_extension, throwaway_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FORMATS = {
    "plain": ["--format=plain"],
    "custom": ["--format=custom"],
    "directory": ["--format=directory", "-j4"],
}
OLD_PGMQS = ("1.11.1", "1.5.1")  # the latter a stand-in, by its shape
OPERATORS = REPOSITORY / "docs" / "operators.md"
SYSTEM = Path("/usr/lib/postgresql/15/bin")


@contextlib.contextmanager
def session(dsn: str) -> Iterator[Engine]:
    """One autocommit connection."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        yield Engine(connection)


def fill_database(dsn: str) -> Any:
    """Let there be runs in every state."""
    with session(dsn) as engine, session(dsn) as other:
        return fill(engine, other)


def move(
    server: EmbeddedServer,
    old: str,
    new: str,
    folder: Path,
    *,
    kind: str = "custom",
    source: EmbeddedServer | None = None,
) -> None:
    """Dump a database and restore it into an empty one, each with its own server's programs."""
    dump = folder / "dump"
    run_program(source or server, "pg_dump", *FORMATS[kind], "--file", dump, "--dbname", old)
    if kind == "plain":
        run_program(server, "psql", "-Xq", "-v", "ON_ERROR_STOP=1", "-d", new, "-f", dump)
    else:
        jobs = FORMATS[kind][1:]
        run_program(server, "pg_restore", "--exit-on-error", *jobs, "--dbname", new, dump)


def go_on(dsn: str, runs: Any) -> None:
    """Do as the operators' guide says: adopt, rebuild; then work."""
    with session(dsn) as engine:
        with pytest.raises(psycopg.Error) as caught:
            engine.claim()
        assert caught.value.sqlstate == "QF404"
        engine.value("select quantumflow.adopt()")
        live = "select count(*) from quantumflow.step_tasks where status in ('queued', 'started')"
        rebuilt = dict(engine.rows("select * from quantumflow.rebuild_queues()"))
        assert rebuilt.keys() == {"quantum_flow_queue", "quantum_flow_system"}
        assert sum(rebuilt.values()) == engine.value(live)
        assert engine.problems() == []
        finish(engine, runs)


@pytest.mark.system
@pytest.mark.parametrize("kind", FORMATS)
def test_a_restored_dump_goes_on(
    server: EmbeddedServer, dsn: str, new_database: Callable[..., str], tmp_path: Path, kind: str
) -> None:
    runs = fill_database(dsn)
    restored = server.dsn(new_database())
    move(server, dsn, restored, tmp_path, kind=kind)
    go_on(restored, runs)


def test_a_restored_plain_installation_goes_on(
    server: EmbeddedServer, new_database: Callable[..., str], tmp_path: Path
) -> None:
    dsn, restored = server.dsn(new_database()), server.dsn(new_database())
    scripts = [text for name, text in pgmq_files().items() if name.endswith(".sql")]
    with psycopg.connect(dsn, autocommit=True) as connection:
        _statements.run_scripts(connection, [*scripts, _extension.script()])
    runs = fill_database(dsn)
    move(server, dsn, restored, tmp_path)
    go_on(restored, runs)


def test_where_all_tables_are_published_every_call_works(
    server: EmbeddedServer, dsn: str, new_database: Callable[..., str], tmp_path: Path
) -> None:
    """PostgreSQL refuses to change or delete a row of a published table that has no key."""
    with session(dsn) as engine:
        engine.connection.execute("create publication everything for all tables")
    runs = fill_database(dsn)
    restored = server.dsn(new_database())
    move(server, dsn, restored, tmp_path)
    go_on(restored, runs)
    with session(restored) as engine:
        register = "select quantumflow.register_worker(%s, 'me', null, '{quantum_flow_queue}')"
        engine.value(register, engine.worker_id)
        engine.value("select quantumflow.stop_worker(%s)", engine.worker_id)
        engine.define(FLOW, [{"name": "other", "queue": "a_new_queue"}])
        engine.define(FLOW, [{"name": "another"}])
        run_id = engine.start(FLOW)
        engine.connection.execute("delete from pgmq.q_quantum_flow_queue")
        assert engine.rows("select action from quantumflow.repair(false)")
        engine.cancel(run_id)
        assert engine.value("select quantumflow.prune('0 s')") == len(runs) + 2
        engine.value("select quantumflow.pause_schedule('yearly')::text")
        engine.value("select quantumflow.unschedule_flow('yearly')::text")
        assert engine.value("select quantumflow.delete_flow(%s)", FLOW)
        assert engine.problems() == []


def test_queues_that_were_dumped_need_no_rebuilding(
    server: EmbeddedServer, dsn: str, new_database: Callable[..., str], tmp_path: Path
) -> None:
    runs = fill_database(dsn)
    restored = server.dsn(new_database())
    move(server, dsn, restored, tmp_path)
    with Client(restored) as client, session(restored) as engine:
        client.adopt()
        assert client.check() == []
        client.command("a")(lambda: [1, 2, 3])
        client.command("m")(lambda index: {"by": f"m {index}"})
        client.command("z")(lambda: {"by": "z 0"})
        client.command("told")(lambda: None)
        client.poll_and_run(until_idle=True)
        assert engine.run_output(runs["queued"]) == {"z": {"by": "z 0"}}
        assert engine.task_statuses(runs["started"]) == {("a", 0): "started"}, "its lease goes on"
        assert client.check() == []


def test_queues_that_were_not_dumped_are_made_again(
    server: EmbeddedServer, dsn: str, new_database: Callable[..., str], tmp_path: Path
) -> None:
    """As with pgmq before 1.6, whose queues belong to the extension and so are in no dump."""
    runs = fill_database(dsn)
    restored = server.dsn(new_database())
    move(server, dsn, restored, tmp_path)
    with session(restored) as engine:
        for queue in ("quantum_flow_queue", "quantum_flow_system"):
            engine.connection.execute(f"drop table pgmq.q_{queue}, pgmq.a_{queue}".encode())
        engine.connection.execute("delete from pgmq.meta")
        assert {row[0] for row in engine.problems()} == {2}
    go_on(restored, runs)


@pytest.fixture(scope="module")
def server_with_old_pgmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    folder = tmp_path_factory.mktemp("pgmq")
    scripts = [folder / f"pgmq--{version}.sql" for version in OLD_PGMQS]
    for version, script in zip(OLD_PGMQS, scripts, strict=True):
        script.write_text(old_pgmq_script(version), "utf-8")
    build_extension()
    with throwaway_server("embedded", "old-pgmq", extension_files=scripts) as started:
        yield started


@pytest.mark.parametrize("version", OLD_PGMQS)
def test_a_dump_of_an_older_pgmq_goes_on_in_a_newer_one(
    server_with_old_pgmq: EmbeddedServer, tmp_path: Path, version: str
) -> None:
    server = server_with_old_pgmq
    dsn = server.create_database(f"old {version}", ())
    restored = server.create_database(f"new {version}", ())
    with psycopg.connect(dsn, autocommit=True) as connection:
        statement = sql.SQL("create extension pgmq version {}")
        connection.execute(statement.format(sql.Literal(version)))
        connection.execute("create extension quantumflow")
    runs = fill_database(dsn)
    move(server, dsn, restored, tmp_path)
    with session(restored) as engine:
        version_now = "select extversion from pg_extension where extname = 'pgmq'"
        assert engine.value(version_now) != version
    go_on(restored, runs)


@pytest.fixture
def older(server: EmbeddedServer) -> Iterator[EmbeddedServer]:
    """A PostgreSQL 15, where the shared server is a newer one."""
    if not SYSTEM.is_dir():
        pytest.skip("there is no older PostgreSQL here")
    if server.kind != "embedded":
        pytest.skip("the shared server is the old one")
    with throwaway_server("system", "old") as started:
        yield started


def test_a_dump_of_an_older_postgresql_goes_on_in_a_newer_one(
    server: EmbeddedServer,
    older: EmbeddedServer,
    new_database: Callable[..., str],
    tmp_path: Path,
) -> None:
    dsn = older.create_database("old")
    runs = fill_database(dsn)
    restored = server.dsn(new_database())
    move(server, dsn, restored, tmp_path, kind="directory", source=older)
    go_on(restored, runs)


def test_a_dump_with_what_the_server_does_not_know_is_filtered(
    server: EmbeddedServer,
    older: EmbeddedServer,
    new_database: Callable[..., str],
    tmp_path: Path,
) -> None:
    """By the line in the operators' guide: pg_attver, which PostgreSQL 15.20 keeps with columns."""
    (line,) = (line for line in OPERATORS.read_text("utf-8").splitlines() if "sed -E" in line)
    (script,) = re.findall("sed -E '(.*)'", line)
    dsn = older.create_database("filtered")
    runs = fill_database(dsn)
    dump, restored = tmp_path / "dump", server.dsn(new_database())
    run_program(server, "pg_dump", "--format=custom", "--file", dump, "--dbname", dsn)

    tables = tmp_path / "tables"
    run_program(server, "pg_restore", "--section=pre-data", "--file", tables, dump)
    column = "ALTER TABLE ONLY pgmq.q_quantum_flow_queue ALTER COLUMN msg_id SET"
    with tables.open("a", encoding="utf-8") as file:  # as 18.6 dumps it, whichever 15 is here
        file.write(f"{column} (pg_attver=26489224);\n{column} (n_distinct=5, pg_attver=1);\n")
        file.write(f"{column} (pg_attver=2, n_distinct=5);\n")
    filtered = subprocess.run(["sed", "-E", script, tables], capture_output=True, check=True)
    tables.write_bytes(filtered.stdout)
    run_program(server, "psql", "-Xq", "-v", "ON_ERROR_STOP=1", "-d", restored, "-f", tables)
    rest = ("--section=data", "--section=post-data")
    run_program(server, "pg_restore", "--exit-on-error", *rest, "--dbname", restored, dump)
    with session(restored) as engine:
        options = (
            "select attoptions from pg_attribute "
            "where attrelid = 'pgmq.q_quantum_flow_queue'::regclass and attname = 'msg_id'"
        )
        assert engine.value(options) == ["n_distinct=5"]
    go_on(restored, runs)


@pytest.fixture
def owner(server: EmbeddedServer) -> Iterator[str]:
    """A role that is nobody special; asked for before a database, it outlives what it owns."""
    with psycopg.connect(server.dsn("postgres"), autocommit=True) as admin:
        admin.execute("create role app_owner login")
        yield "app_owner"
        admin.execute("drop role app_owner")


def test_an_owner_restores_his_extension_and_nothing_of_the_functions_that_were_dumped(
    owner: str, server: EmbeddedServer, new_database: Callable[..., str], tmp_path: Path
) -> None:
    old, new = new_database(), new_database()
    with session(server.dsn("postgres")) as admin:
        for name in (old, new):
            admin.connection.execute(sql.SQL(f"grant create on database {name} to {owner}"))
    dsn, restored = (make_conninfo(server.dsn(name), user=owner) for name in (old, new))
    with session(dsn) as engine:
        engine.connection.execute("create extension quantumflow cascade")
        engine.connection.execute(
            "create or replace function quantumflow.version() returns text language sql "
            "immutable as $$ select 'another' $$"
        )
    runs = fill_database(dsn)
    move(server, dsn, restored, tmp_path)
    with session(restored) as engine:
        owners = """
            select proowner::regrole::text from pg_proc
            where pronamespace = 'quantumflow'::regnamespace
            union
            select relowner::regrole::text from pg_class
            where relnamespace in ('quantumflow'::regnamespace, 'pgmq'::regnamespace)
        """
        assert engine.rows(owners) == [(owner,)]
        assert engine.value("select quantumflow.version()") == _extension.version()
    go_on(restored, runs)
