"""A dump taken while runs are in flight, restored elsewhere, goes on where it was."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from backup.in_flight import fill, finish
from quantumflow_client import Client, _extension
from quantumflow_client.cli import _statements
from quantumflow_client.embedded import EmbeddedServer, pgmq_files
from support.engine import Engine
from support.old_pgmq import old_pgmq_script
from support.programs import run_program
from support.server import build_extension, throwaway_server

FORMATS = {
    "plain": ["--format=plain"],
    "custom": ["--format=custom"],
    "directory": ["--format=directory", "-j4"],
}
OLD_PGMQS = ("1.11.1", "1.5.1")  # the latter a stand-in, by its shape
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


def move(server: EmbeddedServer, old: str, new: str, folder: Path, *, kind: str = "custom") -> None:
    """Dump a database and restore it into an empty one, with the programs of the new server."""
    dump = folder / "dump"
    run_program(server, "pg_dump", *FORMATS[kind], "--file", dump, "--dbname", old)
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
        assert rebuilt == {"quantum_flow_queue": engine.value(live)}
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
        engine.connection.execute("drop table pgmq.q_quantum_flow_queue, pgmq.a_quantum_flow_queue")
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


@pytest.mark.skipif(not SYSTEM.is_dir(), reason="there is no older PostgreSQL here")
def test_a_dump_of_an_older_postgresql_goes_on_in_a_newer_one(
    server: EmbeddedServer, new_database: Callable[..., str], tmp_path: Path
) -> None:
    if server.kind != "embedded":
        pytest.skip("the shared server is the old one")
    with throwaway_server("system", "old") as old:
        dsn = old.create_database("old")
        runs = fill_database(dsn)
        restored = server.dsn(new_database())
        move(server, dsn, restored, tmp_path, kind="directory")
    go_on(restored, runs)
