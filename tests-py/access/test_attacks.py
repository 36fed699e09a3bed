"""No access lets a role run code of its own with the owner's rights, or move the clock."""

from __future__ import annotations

import re
from typing import Any

import psycopg
import pytest
from psycopg import sql

from access.conftest import LEVELS, Installation
from access.test_levels import ENDED_VALUES, VALUES, outcome

pytestmark = pytest.mark.system

Connection = psycopg.Connection[Any]

# Whatever PostgreSQL function ours call by name, with the types of its arguments: those that can be
# had as an argument of a function in PL/pgSQL.
_SHADOWS = """
select distinct p.proname::text, pg_get_function_identity_arguments(p.oid),
  format_type(p.prorettype, null)
from pg_proc p
where p.pronamespace = 'pg_catalog'::regnamespace
  and p.prokind = 'f'
  and not p.proretset
  and p.proname = any (%s)
  and not exists (
    select from pg_type t
    where t.oid = any (p.proargtypes::oid[] || p.prorettype) and t.typtype = 'p')
"""
_BODY = """
begin
  if current_user <> session_user then
    raise exception 'owned' using errcode = 'EVIL1';
  end if;
  return null;
end
"""
NEW = "30000000-0000-0000-0000-000000000001"
_INJECTIONS = [
    "x'; select evil.owned(); --",
    'x"; select evil.owned(); --',
    "%s %I %L",
    "evil.owned()",
    "pg_temp.owned",
    "$$; select evil.owned(); $$",
]


@pytest.fixture(scope="module")
def attackers(installation: Installation) -> dict[str, Connection]:
    """A session for each level, whose path leads to a schema full of traps that it owns."""
    owner = installation.session("owner")
    sources = owner.execute(
        "select string_agg(prosrc, ' ') from pg_proc "
        "where pronamespace = 'quantumflow'::regnamespace"
    ).fetchone()
    assert sources is not None
    called = sorted(set(re.findall(r"\b([a-z_0-9]+)\(", sources[0])))
    shadows = owner.execute(_SHADOWS, [called]).fetchall()
    assert len(shadows) > 30
    with psycopg.connect(installation.dsn, autocommit=True) as admin:
        admin.execute("create schema evil")
        admin.execute("grant all on schema evil to public")
        admin.execute(sql.SQL("set role {}").format(sql.Identifier(installation.role("nobody"))))
        for name, arguments, result in shadows:
            admin.execute(
                f'create function evil."{name}"({arguments}) returns {result} '
                f"language plpgsql as $evil${_BODY}$evil$"
            )
        for operator, left, right in (("=", "text", "text"), ("<>", "text", "text")):
            function = f"evil_{'eq' if operator == '=' else 'ne'}"
            admin.execute(
                f"create function evil.{function}({left}, {right}) returns boolean "
                f"language plpgsql as $evil${_BODY}$evil$"
            )
            admin.execute(
                f"create operator evil.{operator} "
                f"(function = evil.{function}, leftarg = {left}, rightarg = {right})"
            )
    sessions = {}
    for name in LEVELS:
        sessions[name] = session = installation.connect(installation.role(name))
        session.execute("set search_path = evil, pg_temp, pg_catalog, quantumflow, pgmq")
        for table in ("settings", "step_tasks", "pg_proc", "pg_class", "pg_roles", "pg_namespace"):
            session.execute(f"create temporary table {table} (name text, value text)")
        session.execute("insert into pg_temp.settings values ('test_clock', 'on')")
    return sessions


@pytest.mark.parametrize("name", [name for name in LEVELS if name != "nobody"])
def test_traps_on_the_callers_path_are_not_met(
    installation: Installation, attackers: dict[str, Connection], name: str
) -> None:
    # That the traps work at all: somebody else's function falls into them.
    assert outcome(attackers[name], "select evil.evil_eq('a', 'a')") == "done"
    for function in installation.functions():
        if function.name in installation.may_call(name):
            for values in (VALUES, ENDED_VALUES):
                found = outcome(attackers[name], function.call(values))
                assert found == "done" or found.startswith("QF"), (function.name, found)


def test_a_function_that_does_not_pin_its_path_falls_into_them(
    installation: Installation, attackers: dict[str, Connection]
) -> None:
    owner = installation.session("owner")
    with owner.transaction():
        owner.execute(
            "create function quantumflow.careless() returns boolean language plpgsql "
            "security definer as $$ begin return 'a'::text = 'a'::text; end $$"
        )
    try:
        owner.execute("grant execute on function quantumflow.careless() to public")
        session = attackers["viewer"]
        assert outcome(session, "select quantumflow.careless()") == "EVIL1"
    finally:
        owner.execute("drop function quantumflow.careless()")


@pytest.mark.parametrize("name", [name for name in LEVELS if name != "nobody"])
def test_text_is_never_run(
    installation: Installation, attackers: dict[str, Connection], name: str
) -> None:
    for text in _INJECTIONS:
        literal = sql.Literal(text).as_string(None)
        json = f"to_jsonb({literal}::text)"
        values = dict.fromkeys(VALUES, literal) | {
            "run_id": VALUES["run_id"],
            "worker_id": VALUES["worker_id"],
            "goal_id": VALUES["goal_id"],
            "graph": json,
            "goals": json,
            "settings": json,
            "filter": json,
            "lease": "'1 s'",
            "queues": f"array[{literal}]",
            "commands": f"array[{literal}]",
            "older_than": "'1 s'",
            "from_version": "1",
            "to_version": "1",
            "input": json,
            "inputs": f"array[{json}]",
            "headers": json,
            "results": f"jsonb_build_array({json})",
            "tasks": f"jsonb_build_array({json})",
            "definition": f"jsonb_build_object('slug', {literal}, 'queue', {literal})",
            "queue": literal,
            "dry_run": "false",
        }
        several = values | {"headers": f"array[{json}]"}
        for function in installation.functions():
            if function.name in installation.may_call(name):
                said = function.call(several if function.name == "start_flows" else values)
                found = outcome(attackers[name], said)
                assert found == "done" or found.startswith("QF"), (function.name, text, found)


@pytest.mark.parametrize("name", LEVELS)
def test_nobody_moves_the_clock(
    installation: Installation, attackers: dict[str, Connection], name: str
) -> None:
    session = attackers[name]
    session.execute("set quantumflow.now = '2099-01-01'")
    for statement in (
        "insert into quantumflow.settings values ('test_clock', 'on')",
        "select quantumflow._now()",
    ):
        assert outcome(session, statement).startswith("permission denied")
    if name == "operator":
        assert outcome(session, "select quantumflow.configure('test_clock', 'on')") == "QF503"
        with session.transaction(force_rollback=True):
            session.execute("select quantumflow.start_flow('w', run_id => %s)", [NEW])
            row = session.execute(
                "select quantumflow.status(%s) ->> 'created_at'", [NEW]
            ).fetchone()
            assert row is not None
            assert not row[0].startswith("2099")
    session.execute("reset quantumflow.now")
