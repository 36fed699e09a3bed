"""A superuser who uses the command line runs no line of anybody else's.

Neither of what stands on the search path that a database brings along, nor of a schema quantumflow
that somebody else owns. A trap makes its owner a superuser as soon as one runs it. Fails when

- a connection for calls begins with the database's path, or a script with the words of its own;
- a command calls something of the schema before it is known whose it is.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import click
import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from quantumflow_client import AsyncClient, Client, Context, Flow
from quantumflow_client.cli import main
from support.command import Command
from support.programs import run_program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from quantumflow_client.embedded import EmbeddedServer

pytestmark = pytest.mark.system

_DATABASE = "access_command_line"
_OWNER, _FOUNDER = f"{_DATABASE}_owner", f"{_DATABASE}_founder"

_FIRE = """
  begin
    execute format('alter role %I superuser', '{role}');
  exception when others then
  end;
"""
_TRAPS = """
create schema evil;
grant usage on schema evil to public;
create function evil.fire() returns boolean language plpgsql as $$ begin {fire} return true; end $$;
do $$
declare
  v_name name;
begin
  for v_name in
    select c.relname from pg_catalog.pg_class c
    where c.relnamespace = 'pg_catalog'::regnamespace and c.relkind in ('r', 'v')
  loop
    begin
      execute format(
        'create view evil.%1$I as select * from pg_catalog.%1$I where evil.fire()', v_name);
    exception when invalid_table_definition then  -- with a column that no view may have
    end;
  end loop;
end
$$;
grant select on all tables in schema evil to public;
create domain evil.jsonb as pg_catalog.jsonb check (evil.fire());
create domain evil.text as pg_catalog.text check (evil.fire());
create domain evil.uuid as pg_catalog.uuid check (evil.fire());
create domain evil.float8 as pg_catalog.float8 check (evil.fire());
create function {where}.unnest(pg_catalog.text[]) returns setof pg_catalog.text language plpgsql as
  $$ begin {fire} return query select pg_catalog.unnest($1); end $$;
create function {where}.to_timestamp(int) returns timestamptz language plpgsql as
  $$ begin {fire} return pg_catalog.to_timestamp($1::pg_catalog.float8); end $$;
"""


@dataclass
class Trapped:
    """A database without quantumflow, whose owner is a plain role; one may make schemas in it."""

    admin: psycopg.Connection[Any]
    server: EmbeddedServer

    @property
    def quantumflow(self) -> Command:
        """The command, as a superuser uses it."""
        return Command(self.dsn())

    def dsn(self, user: str | None = None) -> str:
        dsn = self.server.dsn(_DATABASE)
        return dsn if user is None else make_conninfo(dsn, user=user)

    def lay(self, *, on_path: bool) -> None:
        """Set traps up as the owner: for any path, or for one that begins with a schema of his."""
        with psycopg.connect(self.dsn(_OWNER), autocommit=True) as owner:
            fire = _FIRE.format(role=_OWNER)
            owner.execute(_TRAPS.format(fire=fire, where="evil" if on_path else "public").encode())
            if on_path:
                owner.execute(
                    f"alter database {_DATABASE} set search_path = evil, pg_catalog, public"
                )

    def found(self) -> None:
        """Make a schema quantumflow as somebody who may: with what is called first."""
        with psycopg.connect(self.dsn(_FOUNDER), autocommit=True) as founder:
            founder.execute("create schema quantumflow")
            founder.execute("grant usage on schema quantumflow to public")
            for name, answer in (("version", "0.4.0"), ("setup", "ready")):
                fire = _FIRE.format(role=_FOUNDER)
                founder.execute(
                    f"create function quantumflow.{name}() returns text language plpgsql "
                    f"as $$ begin {fire} return '{answer}'; end $$".encode()
                )

    def has_fallen(self) -> bool:
        """Whether a trap was sprung since the last time."""
        sprung = self.admin.execute(
            "select rolname from pg_roles where rolsuper and rolname = any (%s)",
            [[_OWNER, _FOUNDER]],
        ).fetchall()
        for (role,) in sprung:
            self.admin.execute(sql.SQL("alter role {} nosuperuser").format(sql.Identifier(role)))
        return bool(sprung)

    def install(self, user: str) -> None:
        """Install on a clean path, as somebody."""
        with psycopg.connect(self.dsn(user), autocommit=True) as connection:
            connection.execute("set search_path = pg_catalog")
            connection.execute("create extension quantumflow cascade")


@pytest.fixture
def trapped(server: EmbeddedServer) -> Iterator[Trapped]:
    with psycopg.connect(server.dsn("postgres"), autocommit=True) as admin:
        try:
            for role in (_OWNER, _FOUNDER):
                admin.execute(f"create role {role} login")
            admin.execute(f"create database {_DATABASE} owner {_OWNER} template template0")
            with psycopg.connect(server.dsn(_DATABASE), autocommit=True) as there:
                there.execute("grant create on schema public to public")
            admin.execute(f"grant create on database {_DATABASE} to {_FOUNDER}")
            yield Trapped(admin, server)
        finally:
            admin.execute(f"drop database if exists {_DATABASE} with (force)")
            for role in (_OWNER, _FOUNDER):
                admin.execute(f"drop role if exists {role}")


@pytest.mark.parametrize("on_path", [True, False])
def test_the_traps_work(trapped: Trapped, on_path: bool) -> None:
    trapped.lay(on_path=on_path)
    reading = "select from pg_proc" if on_path else "select unnest('{a}'::text[])"
    for statement in (reading, "select to_timestamp(0)"):
        with psycopg.connect(trapped.dsn(), autocommit=True) as superuser:
            superuser.execute(statement.encode())
        assert trapped.has_fallen(), statement
    trapped.found()
    with psycopg.connect(trapped.dsn(), autocommit=True) as superuser:
        superuser.execute("select quantumflow.version()")
    assert trapped.has_fallen()


@pytest.mark.parametrize("options", [[], ["--plain"]])
@pytest.mark.parametrize("on_path", [True, False])
def test_what_stands_on_the_path_is_not_run(
    trapped: Trapped, on_path: bool, options: list[str]
) -> None:
    trapped.lay(on_path=on_path)
    quantumflow = trapped.quantumflow
    quantumflow("doctor", expect=5)
    assert not trapped.has_fallen()
    for arguments in (["install", *options], ["install", *options], ["version"], ["check"]):
        quantumflow(*arguments)
        assert not trapped.has_fallen(), arguments
    quantumflow("doctor", expect=1)  # the tests' server has no fsync
    assert not trapped.has_fallen()
    # Nor is it stored, as what somebody else will run.
    with psycopg.connect(trapped.dsn(), autocommit=True) as superuser:
        found = superuser.execute(
            "select pg_catalog.pg_get_expr(adbin, adrelid) from pg_catalog.pg_attrdef"
        ).fetchall()
    assert [text for (text,) in found if "evil." in text or "public." in text] == []


def test_nor_where_extension_files_are_missing(trapped: Trapped) -> None:
    trapped.lay(on_path=False)
    if trapped.admin.info.server_version < 180000:
        pytest.skip("this PostgreSQL looks for the files in one place only")
    bare = make_conninfo(trapped.dsn(), options="-c extension_control_path=$system")
    trapped.quantumflow("install", "--dsn", bare, expect=4)
    assert not trapped.has_fallen()


def test_nor_what_the_connection_string_adds(
    trapped: Trapped, monkeypatch: pytest.MonkeyPatch
) -> None:
    trapped.lay(on_path=True)
    path = "-c search_path=evil,pg_catalog"
    trapped.quantumflow("install", "--dsn", make_conninfo(trapped.dsn(), options=path))
    monkeypatch.setenv("PGOPTIONS", path)
    trapped.quantumflow("check")
    assert not trapped.has_fallen()


@pytest.mark.parametrize("on_path", [True, False])
def test_nor_by_what_is_printed(trapped: Trapped, tmp_path: Path, on_path: bool) -> None:
    trapped.lay(on_path=on_path)
    script = tmp_path / "script.sql"
    script.write_text(
        trapped.quantumflow("install", "--sql", "--with-pgmq").stdout, encoding="utf-8"
    )
    strict = ["-X", "-q", "-1", "-v", "ON_ERROR_STOP=1"]
    run_program(trapped.server, "psql", *strict, "-d", trapped.dsn(), "-f", script)
    assert not trapped.has_fallen()


@pytest.mark.parametrize("options", [[], ["--plain"]])
def test_backslashes_are_installed_as_they_are_written(
    trapped: Trapped, options: list[str]
) -> None:
    """Whoever owns the database says what a quoted backslash means in it, but to others."""

    def checks() -> list[Any]:
        trapped.quantumflow("install", *options)
        with psycopg.connect(trapped.dsn(), autocommit=True) as superuser:
            superuser.execute("set standard_conforming_strings = on")
            found = superuser.execute(
                "select conrelid::regclass::text, conname, pg_get_constraintdef(oid) "
                "from pg_constraint where connamespace = 'quantumflow'::regnamespace "
                "and contype = 'c' order by 1, 2"
            ).fetchall()
            superuser.execute("drop extension if exists quantumflow")
            superuser.execute("drop schema if exists quantumflow cascade")
        return found

    usual = checks()
    with psycopg.connect(trapped.dsn(_OWNER), autocommit=True) as owner:
        owner.execute(f"alter database {_DATABASE} set standard_conforming_strings = off")
    assert checks() == usual


_RUN = "10000000-0000-0000-0000-000000000001"
_COMMANDS: dict[str, list[str]] = {
    "adopt": ["--yes"],
    "cancel": [_RUN],
    "check": [],
    "critical-path": [_RUN],
    "eta": [_RUN],
    "history": [],
    "stats": [],
    "delete": [_RUN],
    "diff": ["w", "1", "1"],
    "doctor": [],
    "failed-items": [_RUN, "a"],
    "failures": [],
    "flow delete": ["w", "--yes"],
    "flow deploy": ["flow.json"],
    "flow list": [],
    "flow show": ["w"],
    "flow test": ["w", "a", "{}"],
    "flow validate": ["flow.json"],
    "goal cancel": [_RUN],
    "goal list": [],
    "goal rules": ["d"],
    "goal run": ["g", "--by", "d"],
    "goal show": [_RUN],
    "limit list": [],
    "limit remove": ["api"],
    "limit set": ["api", "--at-once", "2"],
    "list": [],
    "metrics": [],
    "page": [_RUN],
    "pause": [_RUN],
    "pauses": [],
    "prune": ["90d"],
    "queues": [],
    "rebuild-queues": ["--yes"],
    "repair": [],
    "resume": [_RUN],
    "retry": [_RUN],
    "run-now": [_RUN, "a"],
    "optimize": ["w"],
    "policy list": ["w"],
    "policy rollback": ["w"],
    "schedule add": ["s", "w", "@daily"],
    "schedule list": [],
    "schedule next": ["@daily"],
    "schedule pause": ["s"],
    "schedule remove": ["s"],
    "schedule resume": ["s"],
    "setup": [],
    "signal": [_RUN, "go"],
    "size": [],
    "start": ["w"],
    "status": [_RUN],
    "sweep": [],
    "tasks": [_RUN],
    "timeline": [_RUN],
    "trace": [_RUN],
    "version": [],
    "waits": [],
    "watch": [_RUN],
    "why": [],
    "workers": [],
    "web": [],
    "worker": ["trapped_program:flow", "--until-idle"],
}
_OTHERS = {"demo", "dev", "install"}


def _commands(group: click.Group, before: str = "") -> Iterator[str]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from _commands(command, f"{before}{name} ")
        else:
            yield f"{before}{name}"


def test_these_are_all_commands() -> None:
    assert set(_commands(main)) == set(_COMMANDS) | _OTHERS


@pytest.fixture
def arguments(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, list[str]]:
    """How each command is called here."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "flow.json").write_text('{"slug": "w", "steps": [{"name": "a"}]}')
    flow = Flow("w")
    flow.step("a")(lambda: None)
    monkeypatch.setitem(sys.modules, "trapped_program", SimpleNamespace(flow=flow))
    help_of = {
        name: Command(None)(*name.split(), "--help").stdout for name, given in _COMMANDS.items()
    }
    return {
        name: [word for word in given if word != "--yes" or "--yes" in help_of[name]]
        for name, given in _COMMANDS.items()
    }


def test_a_strangers_schema_is_not_run(trapped: Trapped, arguments: dict[str, list[str]]) -> None:
    trapped.found()
    quantumflow = trapped.quantumflow
    for name, given in arguments.items():
        error = quantumflow.error(*name.split(), *given, expect=4)
        assert error["message"] == (
            f"quantumflow belongs to {_FOUNDER}, whose code would run with your rights"
        ), name
        assert not trapped.has_fallen(), name
    quantumflow("install", "--plain", expect=1)
    assert not trapped.has_fallen()
    # As himself he may; and a plain role has only its own rights to lose.
    for user in (_FOUNDER, _OWNER):
        assert quantumflow.json("version", "--dsn", trapped.dsn(user))["database"] == "0.4.0"
    assert not trapped.has_fallen()
    # Whoever logged in counts, whatever role he took.
    taken = make_conninfo(trapped.dsn(), options=f"-c role={_FOUNDER}")
    quantumflow.error("version", "--dsn", taken, expect=4)


def test_nor_is_there_a_moment_in_which_it_could_be_made(
    trapped: Trapped, arguments: dict[str, list[str]]
) -> None:
    """Where there is none, nothing is called."""
    for name, given in arguments.items():
        if name != "doctor":
            error = trapped.quantumflow.error(*name.split(), *given, expect=5)
            assert error["code"] == "3F000", name


@pytest.mark.parametrize(
    "made",
    [
        "function quantumflow.version(int) returns text language sql as 'select null::text'",
        "view quantumflow.mine as select 1 as one",
        "type quantumflow.mine as (one int)",
    ],
)
def test_nor_a_strangers_share_in_it(trapped: Trapped, made: str) -> None:
    trapped.install("postgres")
    trapped.quantumflow("version")
    with psycopg.connect(trapped.dsn(), autocommit=True) as superuser:
        superuser.execute(f"grant usage, create on schema quantumflow to {_FOUNDER}")
    with psycopg.connect(trapped.dsn(_FOUNDER), autocommit=True) as founder:
        founder.execute(f"create {made}".encode())
    error = trapped.quantumflow.error("version", expect=4)
    assert f"belongs to {_FOUNDER}" in error["message"]


def test_clients_find_what_they_call_on_any_path_and_handlers_have_their_own(
    trapped: Trapped,
) -> None:
    trapped.install(_OWNER)
    trapped.lay(on_path=True)
    dsn = trapped.dsn(_FOUNDER)
    with psycopg.connect(trapped.dsn(_OWNER), autocommit=True) as owner:
        for level in ("author", "operator", "caller", "worker"):
            owner.execute("select quantumflow.grant_access(%s, %s)", [_FOUNDER, level])
    trapped.admin.execute(f"alter role {_FOUNDER} superuser")
    flow = Flow("paths")

    @flow.step
    def asked(ctx: Context) -> list[Any]:
        with ctx.transaction() as transaction:
            return list(transaction.execute("show search_path").fetchone() or ())

    @flow.step(depends_on=[asked])
    async def asked_again(asked: list[str], ctx: Context) -> list[Any]:
        async with ctx.transaction() as transaction:
            found = await (await transaction.execute("show search_path")).fetchone()
        return [*asked, *(found or ())]

    async def start() -> Any:
        client = AsyncClient(dsn)
        try:
            return await client.start_flow("paths")
        finally:
            await client.close()

    for threshold in (5, None):
        with Client(dsn, prepare_threshold=threshold) as client:
            client.deploy(flow)
            runs = [client.start_flow("paths"), asyncio.run(start())]
            client.poll_and_run(until_idle=True)
            for run_id in runs:
                path = "evil, pg_catalog, public"
                assert client.wait(run_id, timeout=30) == {"asked_again": [path, path]}
    owner_rises = trapped.admin.execute(
        "select rolsuper from pg_roles where rolname = %s", [_OWNER]
    ).fetchone()
    assert owner_rises == (False,)
