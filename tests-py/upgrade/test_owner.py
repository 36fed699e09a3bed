"""An update runs nobody's code but the owner's, and that with nobody's rights but the owner's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from quantumflow_client import _extension
from support.catalog import describe_schema
from support.command import Command
from support.waiting import wait_until_blocked
from upgrade.installation import Installation, install_old

if TYPE_CHECKING:
    from quantumflow_client.embedded import EmbeddedServer

Connection = psycopg.Connection[Any]
Connect = Callable[..., Connection]

pytestmark = pytest.mark.system

OWNER, MEMBER, STRANGER = "update_owner", "update_member", "update_stranger"


@pytest.fixture
def roles(server: EmbeddedServer) -> Iterator[None]:
    """Plain roles: an owner, one that is a member of it, and somebody else."""
    names = f"{OWNER}, {MEMBER}, {STRANGER}"
    with psycopg.connect(server.dsn("postgres"), autocommit=True) as admin:
        for name in (OWNER, MEMBER, STRANGER):
            admin.execute(sql.SQL(f"create role {name} login"))
        admin.execute(sql.SQL(f"grant {OWNER} to {MEMBER}"))
        yield
        admin.execute(sql.SQL(f"drop role {names}"))


@pytest.fixture(params=[False, True], ids=["extension", "plain"])
def old(
    request: pytest.FixtureRequest,
    roles: None,
    server: EmbeddedServer,
    new_database: Callable[..., str],
    old_version: str,
) -> Installation:
    """An old version that belongs to a plain role; the connection is a superuser's."""
    name = new_database()
    dsn = server.dsn(name)
    with psycopg.connect(dsn, autocommit=True) as admin:
        admin.execute(
            sql.SQL("grant create on database {} to {}").format(
                sql.Identifier(name), sql.Identifier(OWNER)
            )
        )
    with psycopg.connect(make_conninfo(dsn, user=OWNER), autocommit=True) as owner:
        install_old(owner, old_version, is_plain=request.param)
    return Installation(dsn, old_version, request.param)


@pytest.fixture
def owner(old: Installation, connect: Connect) -> Connection:
    """The owner's session."""
    return connect(make_conninfo(old.dsn, user=OWNER))


@pytest.fixture
def superuser(old: Installation, connect: Connect) -> Connection:
    """A superuser's session."""
    return connect(old.dsn)


def traps(version: str) -> list[str]:
    """All that an owner can lay into his schema for whoever comes by: it asks to be a superuser."""
    return [
        f"""
        create function quantumflow.spring() returns boolean language plpgsql as $$
        begin
          -- As somebody who can, whom SET ROLE only hides.
          begin
            reset role;
            alter role {OWNER} superuser;
          exception when others then
            null;
          end;
          return true;
        end $$
        """,
        f"""
        create or replace function quantumflow.version() returns text language sql
        as $$ select case when quantumflow.spring() then '{version}' end $$
        """,
        """
        create function quantumflow.spring_on_writing() returns trigger language plpgsql as $$
        begin
          perform quantumflow.spring();
          return new;
        end $$
        """,
        """
        do $$
        declare
          v_table regclass;
        begin
          for v_table in
            select c.oid from pg_class c
            where c.relnamespace = 'quantumflow'::regnamespace and c.relkind = 'r'
          loop
            execute format('alter table %s add check (quantumflow.spring())', v_table);
            execute format(
              'create trigger spring before insert or update or delete on %s
               for each statement execute function quantumflow.spring_on_writing()', v_table);
          end loop;
        end $$
        """,
        """
        create or replace function quantumflow.setup() returns text language sql
        as $$ select quantumflow.spring()::text $$
        """,
    ]


def is_superuser(connection: Connection, role: str) -> bool:
    row = connection.execute("select rolsuper from pg_roles where rolname = %s", (role,)).fetchone()
    assert row is not None
    return bool(row[0])


def lay_traps(owner: Connection, version: str) -> None:
    """Lay them; then do some work, so that there are rows to be looked at."""
    owner.execute("select quantumflow.define_flow(%s)", ['{"slug": "f", "steps": [{"name": "s"}]}'])
    owner.execute("select quantumflow.start_flow('f')")
    for trap in traps(version):
        owner.execute(sql.SQL(trap))


def test_nobody_but_the_owner_updates(
    old: Installation, owner: Connection, superuser: Connection, connect: Connect
) -> None:
    """Not a superuser, who would run the owner's code, also where he has taken his role."""
    lay_traps(owner, old.version)
    before = describe_schema(owner)
    taken = connect(old.dsn)
    taken.execute(sql.SQL(f"set role {OWNER}"))
    become = connect(old.dsn)
    become.execute(sql.SQL(f"set session authorization {OWNER}"))
    member = connect(make_conninfo(old.dsn, user=MEMBER))
    for somebody in (superuser, taken, become, member):
        with pytest.raises(
            psycopg.errors.InsufficientPrivilege, match="by its owner alone"
        ) as caught:
            old.update(somebody)
        assert f"It belongs to {OWNER}" in str(caught.value.diag.message_detail)
        assert str(caught.value.diag.message_hint).startswith(f"Connect as {OWNER}, and")
        assert not is_superuser(owner, OWNER)
    assert describe_schema(owner) == before


def test_the_command_line_tells_a_superuser_what_to_do(
    old: Installation, owner: Connection
) -> None:
    lay_traps(owner, old.version)
    error = Command(old.dsn).error("install", expect=4)
    assert error["code"] == "42501"
    assert error["hint"].startswith(f"Connect as {OWNER}, and")
    assert not is_superuser(owner, OWNER)


def test_the_command_line_runs_nothing_for_a_superuser_where_all_is_new(
    old: Installation, owner: Connection
) -> None:
    old.update(owner)
    lay_traps(owner, _extension.version())
    for dsn in (old.dsn, make_conninfo(old.dsn, options=f"-c role={OWNER}")):
        assert Command(dsn).json("install")["queues"] is None
        assert not is_superuser(owner, OWNER)


def test_the_owner_updates(old: Installation, owner: Connection, superuser: Connection) -> None:
    """By himself, or somebody who may be him; and all stays his."""
    old.update(owner)
    owners = """
        select proowner::regrole from pg_proc where pronamespace = 'quantumflow'::regnamespace
        union
        select relowner::regrole from pg_class where relnamespace = 'quantumflow'::regnamespace
        union
        select typowner::regrole from pg_type where typnamespace = 'quantumflow'::regnamespace
    """
    assert superuser.execute(owners).fetchall() == [(OWNER,)]
    assert Command(make_conninfo(old.dsn, user=OWNER))("install").stdout.startswith("quantumflow ")


def test_a_member_updates_as_the_owner(old: Installation, connect: Connect) -> None:
    """So an owner that cannot log in needs no superuser."""
    member = connect(make_conninfo(old.dsn, user=MEMBER))
    member.execute(sql.SQL(f"set role {OWNER}"))
    old.update(member)
    row = member.execute("select quantumflow.version()").fetchone()
    assert row == (_extension.version(),)


STRANGE = {
    "a function": "create function quantumflow._mine() returns int language sql return 1",
    "a type": "create type quantumflow._mine as (a int)",
    "a table": "create table quantumflow._mine (a int)",
    "a view": "create view quantumflow._mine as select 1 as a",
    "a trigger": "create trigger mine before update on quantumflow.workflow_steps "
    "for each statement execute function pg_temp.mine()",
}


@pytest.mark.parametrize("strange", STRANGE)
def test_nothing_that_somebody_else_put_there_is_passed_by(
    old: Installation, owner: Connection, connect: Connect, strange: str
) -> None:
    """It would run with the owner's rights, who may be a superuser."""
    owner.execute(sql.SQL(f"grant usage, create on schema quantumflow to {STRANGER}"))
    owner.execute(sql.SQL(f"grant trigger on quantumflow.workflow_steps to {STRANGER}"))
    stranger = connect(make_conninfo(old.dsn, user=STRANGER))
    stranger.execute(
        "create function pg_temp.mine() returns trigger language plpgsql "
        "as 'begin return null; end'"
    )
    stranger.execute(sql.SQL(STRANGE[strange]))
    with pytest.raises(
        psycopg.errors.InsufficientPrivilege, match="belongs to somebody else"
    ) as caught:
        old.update(owner)
    assert f"belongs to {STRANGER}" in str(caught.value.diag.message_detail)


_MINE = """
create function pg_temp.mine() returns trigger language plpgsql as 'begin return null; end';
create function pg_temp.always() returns boolean language plpgsql as 'begin return true; end';
"""


def test_a_trigger_with_a_condition_is_refused(
    old: Installation, owner: Connection, connect: Connect
) -> None:
    """The condition calls what its maker likes, where the function itself is PostgreSQL's."""
    owner.execute(sql.SQL(f"grant usage on schema quantumflow to {STRANGER}"))
    owner.execute(sql.SQL(f"grant trigger on quantumflow.workflow_steps to {STRANGER}"))
    stranger = connect(make_conninfo(old.dsn, user=STRANGER))
    stranger.execute(_MINE)
    stranger.execute(
        "create trigger mine before insert on quantumflow.workflow_steps for each row "
        "when (pg_temp.always()) execute function suppress_redundant_updates_trigger()"
    )
    before = describe_schema(owner)
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="has a condition"):
        old.update(owner)
    assert describe_schema(owner) == before


def test_a_trigger_made_while_the_update_waits_is_refused(
    old: Installation, owner: Connection, superuser: Connection, connect: Connect
) -> None:
    owner.execute(sql.SQL(f"grant usage on schema quantumflow to {STRANGER}"))
    owner.execute(sql.SQL(f"grant trigger on quantumflow.workflow_steps to {STRANGER}"))
    owner.execute("set lock_timeout = '30 s'")
    stranger = connect(make_conninfo(old.dsn, user=STRANGER))
    stranger.execute(_MINE)
    with ThreadPoolExecutor() as pool:
        with stranger.transaction():
            stranger.execute(
                "create trigger mine before insert on quantumflow.workflow_steps "
                "for each row execute function pg_temp.mine()"
            )
            updated = pool.submit(old.update, owner)
            wait_until_blocked(superuser, owner.info.backend_pid)
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="belongs to somebody else"):
            updated.result()
    row = superuser.execute("select quantumflow.version()").fetchone()
    assert row == (old.version,)


def test_rows_that_others_write_meanwhile_are_not_overlooked(
    old: Installation, owner: Connection
) -> None:
    owner.execute("set default_transaction_isolation = 'repeatable read'")
    with pytest.raises(psycopg.errors.FeatureNotSupported, match="READ COMMITTED"):
        old.update(owner)
