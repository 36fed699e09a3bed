"""One script, two ways to install it, no superuser, and nothing left when it is dropped."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg import sql

from quantumflow_client import _extension, _pgmq
from quantumflow_client.embedded import EmbeddedServer, pgmq_files
from support.catalog import describe_schema
from support.programs import run_program
from support.server import REPOSITORY
from upgrade.installation import OLD, Installation, install_old

if TYPE_CHECKING:
    from pathlib import Path

Connect = Callable[..., psycopg.Connection[Any]]

pytestmark = pytest.mark.system

_numbers = itertools.count(1)


@pytest.fixture
def empty_database(new_database: Callable[..., str]) -> str:
    return new_database()


@pytest.fixture
def installer(server: EmbeddedServer, empty_database: str, connect: Connect) -> Iterator[str]:
    """The connection string of a role that may do nothing but create things in a database."""
    role = f"installer_{next(_numbers)}"
    admin = connect(server.dsn(empty_database))
    admin.execute(sql.SQL("create role {} login").format(sql.Identifier(role)))
    admin.execute(
        sql.SQL("grant create on database {} to {}").format(
            sql.Identifier(empty_database), sql.Identifier(role)
        )
    )
    yield psycopg.conninfo.make_conninfo(server.dsn(empty_database), user=role)
    admin.execute(sql.SQL("drop owned by {} cascade").format(sql.Identifier(role)))
    admin.execute(sql.SQL("drop role {}").format(sql.Identifier(role)))


def install_plain(server: EmbeddedServer, dsn: str, folder: Path) -> None:
    """Install pgmq and quantumflow as plain SQL, the way the documents say."""
    scripts = {name: text for name, text in pgmq_files().items() if name.endswith(".sql")}
    scripts["quantumflow.sql"] = _extension.script()
    for name, text in scripts.items():
        script = folder / name
        script.write_text(text, "utf-8")
        run_program(
            server, "psql", "-X", "-v", "ON_ERROR_STOP=1", "-1", "-q", "-d", dsn, "-f", script
        )


def works(connection: psycopg.Connection[Any]) -> bool:
    """Whether a run of one step gets from its start to its end."""
    connection.execute(
        "select quantumflow.define_flow(%s)", ['{"slug": "f", "steps": [{"name": "s"}]}']
    )
    row = connection.execute("select quantumflow.start_flow('f')").fetchone()
    assert row is not None
    (run_id,) = row
    connection.execute(
        """
        select quantumflow.complete_task(t.run_id, t.step_slug, t.task_index, '1', t.lease_token)
        from quantumflow.claim_tasks(gen_random_uuid()) t
        """
    )
    row = connection.execute(
        "select status from quantumflow.workflow_runs where id = %s", (run_id,)
    ).fetchone()
    return row == ("completed",)


def test_an_ordinary_role_installs_the_extension(installer: str, connect: Connect) -> None:
    connection = connect(installer)
    connection.execute("create extension quantumflow cascade")
    assert works(connection)


def test_an_ordinary_role_installs_plain_sql(
    server: EmbeddedServer, installer: str, connect: Connect, tmp_path: Path
) -> None:
    install_plain(server, installer, tmp_path)
    connection = connect(installer)
    found = connection.execute("select extname from pg_extension where extname <> 'plpgsql'")
    assert found.fetchall() == []
    assert works(connection)


@pytest.mark.parametrize("is_plain", [False, True])
@pytest.mark.parametrize("version", OLD)
def test_an_ordinary_role_upgrades_what_it_installed(
    installer: str, connect: Connect, version: str, is_plain: bool
) -> None:
    connection = connect(installer)
    install_old(connection, version, is_plain=is_plain)
    Installation(installer, version, is_plain).update(connection)
    assert works(connection)


def test_plain_sql_and_the_extension_are_the_same(
    server: EmbeddedServer,
    empty_database: str,
    connection: psycopg.Connection[Any],
    connect: Connect,
    tmp_path: Path,
) -> None:
    install_plain(server, server.dsn(empty_database), tmp_path)
    plain = describe_schema(connect(server.dsn(empty_database)))
    assert plain == describe_schema(connection)
    assert plain


def test_make_install_copies_what_a_server_needs(server: EmbeddedServer, tmp_path: Path) -> None:
    if server.kind == "system" and not (server.bindir.parent / "lib" / "pgxs").is_dir():
        pytest.skip("the system's PostgreSQL has no development files")
    pg_config = server.bindir / "pg_config"
    arguments = [f"PG_CONFIG={pg_config}", f"DESTDIR={tmp_path}"]
    command = ["make", "install", *arguments]
    subprocess.run(command, check=True, capture_output=True, cwd=REPOSITORY)
    installed = {
        file.name: file.read_text("utf-8") for file in tmp_path.rglob("*") if file.is_file()
    }
    assert installed == _extension.files() | pgmq_files()
    for file in tmp_path.rglob("pgmq*"):
        file.write_text("somebody else's")
    subprocess.run(command, check=True, capture_output=True, cwd=REPOSITORY)
    left = {file.read_text() for file in tmp_path.rglob("pgmq*")}
    assert left == {"somebody else's"}, "a pgmq that is there stays"


def test_make_install_without_pgmq_says_what_to_do(server: EmbeddedServer, tmp_path: Path) -> None:
    if server.kind == "system" and not (server.bindir.parent / "lib" / "pgxs").is_dir():
        pytest.skip("the system's PostgreSQL has no development files")
    python = tmp_path / "python"  # one without packages
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S "$@"\n')
    python.chmod(0o755)
    environment = os.environ | {"PIP_NO_INDEX": "1"}  # on a machine without network
    arguments = [f"PG_CONFIG={server.bindir / 'pg_config'}", f"DESTDIR={tmp_path}"]
    for words in ([f"PYTHON3={python}"], ["PYTHON3=/nonexistent/python"]):
        command = ["make", "-C", "extension", "install", *arguments, *words]
        done = subprocess.run(
            command, check=False, capture_output=True, cwd=REPOSITORY, text=True, env=environment
        )
        assert done.returncode != 0
        assert "pgmq's extension files are not in " in done.stderr
        assert "install pgmq into this server" in done.stderr
        assert list(tmp_path.rglob("*.control")) == [], "nothing was installed"


def test_pgmq_is_fetched_where_its_package_is_not_installed() -> None:
    assert _pgmq._fetch() == pgmq_files()


def test_the_version_is_that_of_the_package(connection: psycopg.Connection[Any]) -> None:
    row = connection.execute(
        "select quantumflow.version(), extversion from pg_extension where extname = 'quantumflow'"
    ).fetchone()
    assert row == (_extension.version(), _extension.version())


def test_the_script_refuses_a_schema_that_somebody_else_made(
    server: EmbeddedServer, empty_database: str, connect: Connect
) -> None:
    connection = connect(server.dsn(empty_database))
    connection.execute("create schema quantumflow")
    with pytest.raises(psycopg.errors.DuplicateSchema):
        connection.execute("create extension quantumflow cascade")


def test_dropping_the_extension_leaves_nothing(
    server: EmbeddedServer, empty_database: str, connect: Connect
) -> None:
    connection = connect(server.dsn(empty_database))
    everything = """
        select 'relation', oid::regclass::text from pg_class
          where relnamespace <> 'pg_toast'::regnamespace
        union all select 'function', oid::regprocedure::text from pg_proc
        union all select 'type', oid::regtype::text from pg_type
        union all select 'schema', nspname from pg_namespace where nspname !~ '^pg_(toast_)?temp_'
        union all select 'role', rolname from pg_roles
        order by 1, 2
    """
    connection.execute("create extension pgmq")
    before = connection.execute(everything).fetchall()
    connection.execute("create extension quantumflow")
    assert connection.execute(everything).fetchall() != before
    connection.execute("drop extension quantumflow")
    assert connection.execute(everything).fetchall() == before


def test_pg_dump_carries_every_table_and_sequence(connection: psycopg.Connection[Any]) -> None:
    row = connection.execute(
        """
        select
          array(
            select c.oid::regclass::text from pg_class c
            where c.relnamespace = 'quantumflow'::regnamespace and c.relkind in ('r', 'p', 'S')
            order by 1),
          array(
            select u.t::regclass::text from unnest(e.extconfig) u (t)
            order by 1)
        from pg_extension e
        where e.extname = 'quantumflow'
        """
    ).fetchone()
    assert row is not None
    of_schema, marked = row
    assert of_schema == marked
    assert marked


def test_nothing_of_ours_depends_on_an_object_of_pgmq(connection: psycopg.Connection[Any]) -> None:
    """A later pgmq may drop what it has and make it anew: with CASCADE, ours would go along."""
    dependencies = """
        with recursive member as (
          select d.classid, d.objid, e.extname
          from pg_depend d
          join pg_extension e on d.refclassid = 'pg_extension'::regclass and e.oid = d.refobjid
          where d.deptype = 'e'
        ),
        ours as (  -- with what belongs to our members: a view's rule, a table's constraints
          select classid, objid from member where extname = 'quantumflow'
          union
          select d.classid, d.objid
          from pg_depend d
          join ours o on (d.refclassid, d.refobjid) = (o.classid, o.objid)
          where d.deptype in ('i', 'a')
        )
        select pg_describe_object(d.classid, d.objid, d.objsubid),
          pg_describe_object(d.refclassid, d.refobjid, d.refobjsubid)
        from ours o
        join pg_depend d on (d.classid, d.objid) = (o.classid, o.objid)
        join member p on (p.classid, p.objid) = (d.refclassid, d.refobjid) and p.extname = 'pgmq'
    """
    assert connection.execute(dependencies).fetchall() == []

    # The question is a good one: it finds a function, and a view, that do.
    connection.execute(
        "create function quantumflow.bad() returns setof pgmq.message_record "
        "language sql as 'select * from pgmq.read(''q'', 1, 1)'"
    )
    connection.execute("create view quantumflow.worse as select * from pgmq.metrics_all()")
    connection.execute("alter extension quantumflow add function quantumflow.bad()")
    connection.execute("alter extension quantumflow add view quantumflow.worse")
    assert len(connection.execute(dependencies).fetchall()) >= 2


def test_a_pgmq_upgrade_that_drops_its_types_changes_nothing_of_ours(
    connection: psycopg.Connection[Any],
) -> None:
    before = describe_schema(connection)
    assert works(connection)
    connection.execute("alter extension pgmq update to '99.0'")
    assert describe_schema(connection) == before
    found = connection.execute("select status from quantumflow.workflow_runs").fetchall()
    assert found == [("completed",)]
    assert works(connection)
