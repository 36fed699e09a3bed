"""Whoever was there first runs nothing as the installer, and gets no right on what is installed.

In both forms of installation, by a plain role and by a superuser.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from access.test_levels import VALUES, outcome
from access.traps import Traps
from quantumflow_client import _extension
from quantumflow_client.cli import _statements
from quantumflow_client.embedded import EmbeddedServer, pgmq_files
from support.functions import functions_of
from support.programs import run_program
from upgrade.installation import Installation as OldInstallation
from upgrade.installation import install_old

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from access.conftest import Installation

pytestmark = pytest.mark.system

Connection = psycopg.Connection[Any]

_DEFINE = "select quantumflow.define_flow('{}')".format(
    '{"slug": "w", "steps": [{"name": "a", "queue": "%s"}]}'
)


@dataclass
class Place:
    """A database without quantumflow; sessions of who installs it and of who was there before."""

    admin: Connection
    owner: Connection
    founder: Connection
    traps: Traps
    is_plain: bool

    def install_pgmq(self, session: Connection) -> None:
        if self.is_plain:
            scripts = [text for name, text in pgmq_files().items() if name.endswith(".sql")]
            _statements.run_scripts(session, scripts)
        else:
            session.execute("create extension pgmq")
        for what in ("schema pgmq", "all tables in schema pgmq", "all functions in schema pgmq"):
            owner = sql.Identifier(self.owner.info.user)
            session.execute(sql.SQL(f"grant all on {what} to {{}}").format(owner))

    def install(self) -> str:
        """Install quantumflow; "done", or the SQLSTATE."""
        try:
            if self.is_plain:
                _statements.run_scripts(self.owner, [_extension.script()])
            else:
                self.owner.execute("create extension quantumflow")
        except psycopg.Error as error:
            return error.sqlstate or "?"
        return "done"

    def uninstall(self) -> None:
        what = "schema quantumflow" if self.is_plain else "extension quantumflow"
        self.owner.execute(f"drop {what} cascade")

    def has_quantumflow(self) -> bool:
        return self.value("select to_regnamespace('quantumflow') is not null") is True

    def value(self, query: str, *parameters: Any) -> Any:
        row = self.admin.execute(query, parameters or None).fetchone()
        return None if row is None else row[0]

    def make_hostile(self) -> None:
        """Let whoever owns pgmq's functions replace each by a trap."""
        found = self.admin.execute(
            "select format('create or replace function pgmq.%I(%s) returns %s', p.proname, "
            "pg_get_function_arguments(p.oid), pg_get_function_result(p.oid)) from pg_proc p "
            "where p.pronamespace = 'pgmq'::regnamespace and p.prokind = 'f' "
            "and pg_get_function_result(p.oid) not like 'TABLE%'"
        ).fetchall()
        assert len(found) > 30
        for (head,) in found:
            self.founder.execute(
                f"{head} language plpgsql volatile as $$ begin perform trap.spring(); "
                "raise 'a trap' using errcode = 'EVIL1'; end $$"
            )


@pytest.fixture(params=["extension", "plain"])
def place(
    request: pytest.FixtureRequest,
    installation: Installation,
    server: EmbeddedServer,
    new_database: Callable[..., str],
) -> Iterator[Place]:
    name = new_database()
    roles = [installation.owner, installation.role("founder")]
    with contextlib.ExitStack() as opened:

        def connect(user: str | None = None) -> Connection:
            dsn = make_conninfo(server.dsn(name), **({"user": user} if user else {}))
            return opened.enter_context(psycopg.connect(dsn, autocommit=True))

        admin = connect()
        for role in roles:
            grant = sql.SQL("grant create on database {} to {}")
            admin.execute(grant.format(sql.Identifier(name), sql.Identifier(role)))
        owner, founder = (connect(role) for role in roles)
        sessions = {"admin": admin, "owner": owner, "neighbour": founder}
        traps = Traps(sessions, roles[1], roles[0])
        yield Place(admin, owner, founder, traps, request.param == "plain")


def test_somebody_elses_pgmq_is_refused(place: Place) -> None:
    place.install_pgmq(place.founder)
    place.make_hostile()
    assert place.install() == "QF406"
    assert not place.has_quantumflow()
    assert place.traps.sprung() == 0

    # Unless who installs it says so, and then it is used.
    founder = place.founder.info.user
    place.owner.execute("select set_config('quantumflow.pgmq_owner', %s, false)", [founder])
    assert place.install() == "done"
    assert outcome(place.owner, "select quantumflow.setup()") == "EVIL1"
    assert place.traps.sprung() > 0


def test_an_update_refuses_somebody_elses_pgmq(place: Place) -> None:
    place.install_pgmq(place.founder)
    install_old(place.owner, "0.3.0", is_plain=place.is_plain, with_pgmq=False)
    place.make_hostile()
    old = OldInstallation("", "0.3.0", place.is_plain)
    with pytest.raises(psycopg.Error) as caught:
        old.update(place.owner)
    assert caught.value.sqlstate == "QF406"
    assert place.value("select quantumflow.version()") == "0.3.0"
    assert place.traps.sprung() == 0

    word = "select set_config('quantumflow.pgmq_owner', %s, false)"
    place.owner.execute(word, [place.founder.info.user])
    old.update(place.owner)
    assert place.value("select quantumflow.version()") == _extension.version()


def test_a_pgmq_whose_owner_is_trusted_no_more_makes_no_queue(place: Place) -> None:
    founder = sql.Identifier(place.founder.info.user)
    place.admin.execute(sql.SQL("alter role {} superuser").format(founder))
    try:
        place.install_pgmq(place.founder)
        assert place.install() == "done"
        assert outcome(place.owner, "select quantumflow.setup()") == "done"
        place.owner.execute(_DEFINE % "quantum_flow_queue")
    finally:
        place.admin.execute(sql.SQL("alter role {} nosuperuser").format(founder))
    place.make_hostile()
    for call in (
        "select quantumflow.setup()",
        _DEFINE % "another",
        "select quantumflow.rebuild_queues()",
    ):
        assert outcome(place.owner, call) == "QF406"
    found = place.value("select state from quantumflow.doctor() where subject = 'pgmq'")
    assert found == "error"
    assert place.traps.sprung() == 0

    word = "insert into quantumflow.settings values ('pgmq_owner', %s)"
    place.owner.execute(word, [place.founder.info.user])
    assert outcome(place.owner, _DEFINE % "another") == "EVIL1"


def test_what_was_there_before_is_not_taken_for_a_queue(place: Place) -> None:
    place.install_pgmq(place.owner)
    role = sql.Identifier(place.founder.info.user)
    place.owner.execute(sql.SQL("grant usage, create on schema pgmq to {}").format(role))
    for kind, prefix in (("view", "q"), ("table with a trigger", "q"), ("table", "a")):
        with place.traps.set_up(kind, f"{prefix}_quantum_flow_queue"):
            assert place.install() == "done"
            for call in ("select quantumflow.setup()", _DEFINE % "quantum_flow_queue"):
                assert outcome(place.owner, call) == "QF403", (kind, prefix)
            for function in functions_of(place.owner):
                if function.is_public:
                    found = outcome(place.owner, function.call(VALUES))
                    assert found == "done" or found.startswith("QF"), (function.name, found)
            query = "select state from quantumflow.doctor() where subject like 'queue %'"
            assert place.value(query) == "error", (kind, prefix)
            place.uninstall()
    assert place.traps.sprung() == 0


_BETTER = (
    "format(text, text) returns text",
    "format(text, text, text) returns text",
    "cardinality(text[]) returns int",
    "concat(text, text) returns text",
    "jsonb_build_object(text, text) returns jsonb",
)


@pytest.mark.parametrize("version", ["0.3.0", None])
def test_functions_that_fit_better_are_not_met(
    place: Place, server: EmbeddedServer, tmp_path: Path, version: str | None
) -> None:
    """In a schema that is named like whoever installs or updates; also where psql lacks its -1."""
    place.install_pgmq(place.owner)
    if version is not None:
        install_old(place.owner, version, is_plain=place.is_plain, with_pgmq=False)
    mine = sql.Identifier(place.owner.info.user)
    place.founder.execute(sql.SQL("create schema {}").format(mine))
    place.founder.execute(sql.SQL("grant usage on schema {} to public").format(mine))
    for better in _BETTER:
        place.founder.execute(
            sql.SQL(
                f"create function {{}}.{better} immutable language plpgsql as "
                "$$ begin perform trap.spring(); raise 'a trap' using errcode = 'EVIL1'; end $$"
            ).format(mine)
        )
    assert outcome(place.owner, "select format('a'::text, 'b'::text)") == "EVIL1"
    before = place.traps.sprung()
    if place.is_plain:
        scripts = [_extension.script()] if version is None else _extension.upgrades_from(version)
        file = tmp_path / "script.sql"
        file.write_text("".join(scripts), "utf-8")
        info = place.owner.info
        dsn = make_conninfo(server.dsn(info.dbname), user=info.user)
        psql: list[str | Path] = ["-X", "-v", "ON_ERROR_STOP=1", "-q", "-d", dsn, "-f", file]
        if version is not None:
            with pytest.raises(AssertionError, match="is updated in one transaction"):
                run_program(server, "psql", *psql)
            assert place.value("select quantumflow.version()") == version
            psql.append("-1")
        run_program(server, "psql", *psql)
    elif version is None:
        place.owner.execute("create extension quantumflow")
    else:
        place.owner.execute("alter extension quantumflow update")
    assert place.value("select quantumflow.version()") == _extension.version()
    place.owner.execute(_DEFINE % "side")
    place.owner.execute("select quantumflow.start_flow('w')")
    for function in functions_of(place.owner):
        if function.is_public:
            found = outcome(place.owner, function.call(VALUES))
            assert found == "done" or found.startswith("QF"), (function.name, found)
    assert place.traps.sprung() == before


# Each right that somebody else than the owner has on what is ours, and on our queues.
_RIGHTS = """
select string_agg(format('%s on %s to %s', a.privilege_type, o.name,
  case a.grantee when 0 then 'public' else pg_get_userbyid(a.grantee) end), ', ')
from (
  select n.nspname::text, n.nspowner, n.nspacl from pg_namespace n where n.nspname = 'quantumflow'
  union all
  select f.oid::regprocedure::text, f.proowner, coalesce(f.proacl, acldefault('f', f.proowner))
  from pg_proc f where f.pronamespace = 'quantumflow'::regnamespace
  union all
  select c.oid::regclass::text, c.relowner, c.relacl from pg_class c
  where c.relnamespace = 'quantumflow'::regnamespace
    or (c.relnamespace = 'pgmq'::regnamespace and c.relname ~ '^(q|a)_(quantum_flow_queue|side)')
) o (name, owner, acl)
cross join aclexplode(o.acl) a
where a.grantee <> o.owner
"""


def _grant_by_default(place: Place, *, in_pgmq: bool) -> None:
    role = sql.Identifier(place.founder.info.user)
    schema = sql.SQL("in schema pgmq" if in_pgmq else "")
    for what in ("tables", "functions", "sequences", *(() if in_pgmq else ("schemas",))):
        statement = sql.SQL("alter default privileges {} grant all on {} to {}, public")
        place.owner.execute(statement.format(schema, sql.SQL(what), role))


def test_default_privileges_grant_nothing(place: Place) -> None:
    _grant_by_default(place, in_pgmq=False)
    place.install_pgmq(place.owner)
    _grant_by_default(place, in_pgmq=True)
    assert place.install() == "done"
    place.owner.execute(_DEFINE % "side")
    place.owner.execute("select quantumflow.setup()")
    assert place.value(_RIGHTS) is None
    found = "select state from quantumflow.doctor() where subject = 'grants'"
    assert place.value(found) == "ok"

    for what in ("table pgmq.q_side", "table quantumflow.settings", "function quantumflow.sweep()"):
        role = sql.Identifier(place.founder.info.user)
        place.owner.execute(sql.SQL(f"grant all on {what} to {{}}").format(role))
        assert place.value(found) == "warning", what
        place.owner.execute(sql.SQL(f"revoke all on {what} from {{}}").format(role))


def _rights(place: Place) -> set[str]:
    """As _RIGHTS, a function by its name alone."""
    return set(re.sub(r"\([^)]*\)", "", place.value(_RIGHTS)).split(", "))


def test_an_update_takes_back_what_no_access_gives(place: Place) -> None:
    """The rest, and rights on queues, which may be meant, doctor() names."""
    _grant_by_default(place, in_pgmq=False)
    install_old(place.owner, "0.3.0", is_plain=place.is_plain)
    place.owner.execute(_DEFINE % "side")
    before = _rights(place)
    founder = place.founder.info.user
    assert f"CREATE on quantumflow to {founder}" in before
    OldInstallation("", "0.3.0", place.is_plain).update(place.owner)
    after = _rights(place)
    assert after <= before
    ours = {right for right in after if " on pgmq." not in right}
    assert {right.partition(" ")[0] for right in ours} == {"USAGE", "SELECT", "EXECUTE"}
    assert not any("quantumflow._" in right for right in ours if right.startswith("EXECUTE"))
    assert not any("_access to" in right or right.endswith("public") for right in ours)
    assert not any(right.startswith("USAGE") and " quantumflow." in right for right in ours)
    found = "select state from quantumflow.doctor() where subject = 'grants'"
    assert place.value(found) == "warning"

    # As doctor() says.
    place.owner.execute("select quantumflow.revoke_access(%s)", [founder])
    assert not any(" on quantumflow" in right for right in _rights(place))
