"""An updated installation is a fresh one, or is left as it was."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg import sql

from quantumflow_client import _extension
from quantumflow_client.cli import _statements
from support.catalog import describe_schema
from support.waiting import wait_until_blocked
from upgrade.installation import BASE, Installation

if TYPE_CHECKING:
    from quantumflow_client.embedded import EmbeddedServer

Connection = psycopg.Connection[Any]

Connect = Callable[..., Connection]

pytestmark = pytest.mark.system


@pytest.fixture
def role(server: EmbeddedServer) -> Iterator[str]:
    """A role; asked for before a database, it outlives what is granted to it there."""
    with psycopg.connect(server.dsn("postgres"), autocommit=True) as admin:
        admin.execute("create role upgrade_reader")
        yield "upgrade_reader"
        admin.execute("drop role upgrade_reader")


def version(connection: Connection) -> str:
    row = connection.execute("select quantumflow.version()").fetchone()
    assert row is not None
    return str(row[0])


def dumped(connection: Connection) -> set[str]:
    """The tables that pg_dump carries with the extension."""
    found = connection.execute(
        "select unnest(extconfig)::regclass::text from pg_extension where extname = 'quantumflow'"
    )
    return {name for (name,) in found}


def test_an_updated_schema_is_a_fresh_one(
    old: Installation, old_connection: Connection, connection: Connection
) -> None:
    assert version(old_connection) == old.version
    old.update(old_connection)
    assert describe_schema(old_connection) == describe_schema(connection)
    assert version(old_connection) == _extension.version()
    if not old.is_plain:
        assert dumped(old_connection) == dumped(connection)


def test_an_upgrade_that_would_wait_gives_up_and_changes_nothing(
    old: Installation, old_connection: Connection, connect: Connect
) -> None:
    before = describe_schema(old_connection)
    other = connect(old.dsn, autocommit=False)
    other.execute("select from quantumflow.workflow_runs, quantumflow.workflow_steps")
    old_connection.execute("set lock_timeout = '100 ms'")
    with pytest.raises(psycopg.errors.LockNotAvailable):
        old.update(old_connection)
    assert describe_schema(old_connection) == before
    assert version(old_connection) == old.version
    other.rollback()
    old.update(old_connection)
    assert version(old_connection) == _extension.version()


def test_it_waits_three_seconds_unless_told_otherwise(
    old: Installation, old_connection: Connection
) -> None:
    shown = "select current_setting('lock_timeout'), current_setting('search_path')"
    before = old_connection.execute(shown).fetchone()
    if old.is_plain:
        with old_connection.transaction():
            old.update(old_connection)
            assert old_connection.execute(shown).fetchone() == ("3s", "pg_catalog, pg_temp")
    else:
        old.update(old_connection)
    assert old_connection.execute(shown).fetchone() == before


def test_the_script_refuses_another_version(old: Installation, old_connection: Connection) -> None:
    old.update(old_connection)
    refused = rf"updates quantumflow {old.version} to .*, and here is {_extension.version()}"
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match=refused):
        _statements.run_scripts(old_connection, _extension.upgrades_from(old.version))


def test_what_was_granted_stays_granted(
    role: str, old: Installation, old_connection: Connection
) -> None:
    """Functions that are dropped and made anew, with other arguments even, would lose it.

    But for those that no access gives, which 0.4.0 took back.
    """
    name = sql.Identifier(role)
    for grant in (
        "grant execute on all functions in schema quantumflow to {}",
        "grant select on all tables in schema quantumflow to {}",
    ):
        old_connection.execute(sql.SQL(grant).format(name))
    granted = """
        select p.oid::regproc::text from pg_proc p
        where p.pronamespace = 'quantumflow'::regnamespace and p.proname !~ '^_'
          and has_function_privilege(%(role)s, p.oid, 'execute')
        union all
        select c.oid::regclass::text from pg_class c
        where c.relnamespace = 'quantumflow'::regnamespace and c.relkind in ('r', 'v')
          and has_table_privilege(%(role)s, c.oid, 'select')
    """
    before = {row[0] for row in old_connection.execute(granted, {"role": role})}
    if old.version == BASE:
        before -= {"quantumflow.grant_access", "quantumflow.revoke_access"}
        before -= {"quantumflow._task_inputs", "quantumflow._step_facts"}  # They are gone.
    assert before
    old.update(old_connection)
    assert {row[0] for row in old_connection.execute(granted, {"role": role})} == before


def test_nobody_finds_a_table_empty_that_was_written_anew(
    server: EmbeddedServer,
    new_database: Callable[..., str],
    old_template: Callable[[str, bool], str],
    connect: Connect,
) -> None:
    """An upgrade that somebody came to wait for, with an older snapshot, gives up."""
    dsn = server.dsn(new_database(old_template(BASE, True)))
    looking, updating = connect(server.dsn("postgres")), connect(dsn, autocommit=False)
    script = _extension.upgrades_from(BASE)[0]
    begun, do, last = script.partition("do $finish$")
    # What a hop may do with a table, by hand.
    anew = """
        create temporary table former as table quantumflow.settings;
        drop table quantumflow.settings;
        create table quantumflow.settings (name text primary key, value text not null);
        insert into quantumflow.settings select * from pg_temp.former;
    """
    with ThreadPoolExecutor(1) as pool:
        try:
            updating.execute(begun.encode())
            visitor = connect(dsn)
            rows = "select count(*) from quantumflow.settings"
            answer = pool.submit(lambda: visitor.execute(rows).fetchone())
            wait_until_blocked(looking, visitor.info.backend_pid)
            updating.execute(anew.encode())
            with pytest.raises(psycopg.errors.LockNotAvailable, match="somebody came"):
                updating.execute((do + last).encode())
        finally:
            updating.rollback()
        assert answer.result(30) == (0,)
    assert version(updating) == BASE


def test_who_waits_for_a_row_type_that_is_made_anew_does_not_stop_an_upgrade(
    server: EmbeddedServer,
    new_database: Callable[..., str],
    old_template: Callable[[str, bool], str],
    connect: Connect,
) -> None:
    dsn = server.dsn(new_database(old_template(BASE, True)))
    looking, updating = connect(server.dsn("postgres")), connect(dsn, autocommit=False)
    script = _extension.upgrades_from(BASE)[0]
    assert "drop type quantumflow.claimed_task;" in script
    begun, do, last = script.partition("do $finish$")
    visitor = connect(dsn)
    with ThreadPoolExecutor(1) as pool:
        try:
            updating.execute(begun.encode())
            asks = "select (null::quantumflow.claimed_task).run_id"
            answer = pool.submit(lambda: visitor.execute(asks).fetchone())
            wait_until_blocked(looking, visitor.info.backend_pid)
            updating.execute((do + last).encode())
            updating.commit()
        finally:
            updating.rollback()
        with contextlib.suppress(psycopg.Error):
            answer.result(30)
    assert version(updating) != BASE


@pytest.mark.parametrize("old_version", [BASE])  # what has another shape since
def test_a_view_of_somebodys_on_what_gets_another_shape_is_named_and_stays(
    old: Installation, old_connection: Connection
) -> None:
    old_connection.execute(
        "create view public.mine as select * from quantumflow.claim_tasks(gen_random_uuid())"
    )
    with pytest.raises(psycopg.errors.DependentObjectsStillExist, match="claim_tasks") as caught:
        old.update(old_connection)
    assert "view public.mine" in str(caught.value.diag.message_detail)
    assert version(old_connection) == BASE
    old_connection.execute("drop view public.mine")
    old.update(old_connection)
    assert version(old_connection) == _extension.version()


def test_an_embedded_server_updates_a_database_that_it_is_asked_for(
    server: EmbeddedServer,
    new_database: Callable[..., str],
    old_template: Callable[[str, bool], str],
    old_version: str,
    connect: Connect,
) -> None:
    dsn = server.create_database(new_database(old_template(old_version, False)))
    assert version(connect(dsn)) == _extension.version()
