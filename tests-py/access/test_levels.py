"""What each level of access may do, call by call and table by table, with real login roles.

The functions come from the catalog, so that a new one cannot be forgotten.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from psycopg import sql

from access.conftest import ENDED, LEVELS, RUN, Installation

pytestmark = pytest.mark.system

Connection = psycopg.Connection[Any]

# Arguments with which a call gets as far as its role may; others have defaults, or are null.
VALUES = {
    "run_id": f"'{RUN}'",
    "run_id_prefix": f"'{RUN}'",
    "workflow_slug": "'w'",
    "step_slug": "'a'",
    "from_version": "1",
    "to_version": "1",
    "worker_id": "gen_random_uuid()",
    "name": "'somebody'",
    "commands": "null",
    "queue": "'quantum_flow_queue'",
    "queues": "'{quantum_flow_queue}'",
    "lease": "'30 s'",
    "tasks": "'[]'",
    "results": f"""'[{{"run_id": "{RUN}", "step_slug": "a", "task_index": 0, "output": 1}}]'""",
    "definition": """'{"slug": "v", "steps": [{"name": "a", "queue": "another"}]}'""",
    "filter": """'{"all": true}'""",
    "input": "'{}'",
    "inputs": "'{1,2}'",
    "setting": "'max_steps'",
    "value": "'5'",
    "older_than": "'0 s'",
    "role": "current_user",
    "access": "'viewer'",
    "schedule_slug": "'nightly'",
    "cron": "'@daily'",
    "goal": "'tidy up'",
    "goals": """'["tidy up"]'""",
    "goal_id": f"'{RUN}'",
    "decomposer": "'tidy'",
    "kind": "'rules'",
    "graph": """'[{"id": "a"}]'""",
    "command": "'a'",
    "description": "'does it'",
    "settings": "'{}'",
    "limit_name": "'api'",
}
ENDED_VALUES = VALUES | {"run_id": f"'{ENDED}'", "dry_run": "false"}


def outcome(connection: Connection, statement: str) -> str:
    """The SQLSTATE of a statement that leaves nothing behind; with a refused right, what of."""
    try:
        with connection.transaction(force_rollback=True):
            connection.execute(statement)
    except psycopg.Error as error:
        state = error.sqlstate or "?"
        return str(error).splitlines()[0] if state == "42501" else state
    return "done"


@pytest.mark.parametrize("name", LEVELS)
def test_every_public_function_is_allowed_or_refused(installation: Installation, name: str) -> None:
    allowed = installation.may_call(name)
    wrong = {}
    for function in installation.functions():
        if not function.is_public:
            continue
        found = {
            outcome(installation.session(name), function.call(values))
            for values in (VALUES, ENDED_VALUES)
        }
        refusal = (
            f"permission denied for function {function.name}"
            if LEVELS[name]
            else "permission denied for schema quantumflow"
        )
        if function.name not in allowed:
            good = found == {refusal}
        else:
            good = all(state == "done" or state.startswith("QF") for state in found)
        if not good:
            wrong[function.name] = found
    assert wrong == {}
    assert bool(allowed) == bool(LEVELS[name])


def test_what_a_viewer_calls_changes_nothing(installation: Installation) -> None:
    session = installation.session("viewer")
    for function in installation.functions():
        if function.name in installation.may_call("viewer"):
            with session.transaction():
                session.execute("set transaction read only")
                session.execute(function.call(ENDED_VALUES))


def test_a_worker_claims_and_reports_and_nothing_else(installation: Installation) -> None:
    assert installation.may_call("worker") == {
        *("claim_tasks", "extend_leases", "release_tasks", "hold_task", "run_input", "step_output"),
        *("failed_items", "left_work"),
        *("complete_tasks", "complete_and_claim", "fail_tasks", "report_progress"),
        *("register_worker", "stop_worker", "settle", "sweep", "version"),
    }


def test_a_caller_starts_and_asks_and_nothing_else(installation: Installation) -> None:
    assert installation.may_call("caller") == {
        *("start_flow", "start_flows", "send_signal", "send_signal_by_key", "status", "version"),
        "announce_end",
        *("execute_goal", "goal_status"),
    }


def test_operators_do_not_define_and_authors_do_not_mend(installation: Installation) -> None:
    viewer, operator = installation.may_call("viewer"), installation.may_call("operator")
    author = installation.may_call("author")
    assert viewer < operator & author
    assert author - operator == {
        *("create_flow", "add_step", "define_flow", "delete_flow", "create_flow_from_graph"),
        *("register_decomposer", "add_method", "describe_command"),
    }
    assert author & operator - viewer == {
        *("announce_end", "start_flow", "start_flows", "schedule_flow", "unschedule_flow", "setup"),
        *("decompose_goal", "execute_goal", "execute_goals"),
    }


@pytest.mark.parametrize("name", LEVELS)
def test_no_private_function_can_be_called(installation: Installation, name: str) -> None:
    for function in installation.functions():
        if not function.is_public:
            # Not known when the statement is planned: a strict function would never be called.
            nulls = {argument.name: "select null" for argument in function.arguments}
            found = outcome(installation.session(name), function.call(nulls))
            assert found.startswith("permission denied for "), function.name


def test_the_owner_may_call_everything(installation: Installation) -> None:
    for function in installation.functions():
        if function.is_public:
            values = VALUES | {"role": f"'{installation.role('viewer')}'"}
            found = outcome(installation.session("owner"), function.call(values))
            assert found == "done" or found.startswith("QF"), (function.name, found)


def relations(installation: Installation) -> list[tuple[str, str, str]]:
    """Schema, name and kind of every table, view and sequence of ours and of pgmq."""
    query = (
        "select relnamespace::regnamespace::text, relname::text, relkind::text from pg_class "
        "where relnamespace in ('quantumflow'::regnamespace, 'pgmq'::regnamespace) "
        "and relkind in ('r', 'v', 'S', 'p') order by 1, 2"
    )
    return installation.session("owner").execute(query).fetchall()


@pytest.mark.parametrize("name", LEVELS)
def test_tables_can_be_read_by_viewers_and_changed_by_nobody(
    installation: Installation, name: str
) -> None:
    reads = name not in ("nobody", "caller", "worker")
    session = installation.session(name)
    found = relations(installation)
    assert {"step_tasks", "q_quantum_flow_queue", "a_quantum_flow_queue"} <= {r[1] for r in found}
    for schema, relation, kind in found:
        table = sql.Identifier(schema, relation).as_string(session)
        selected = outcome(session, f"select * from {table}")
        if reads and schema == "quantumflow" and kind != "S":
            assert selected == "done", relation
        else:
            assert selected.startswith("permission denied"), relation
        for privilege in (
            ("usage", "update")
            if kind == "S"
            else ("insert", "update", "delete", "truncate", "references", "trigger")
        ):
            row = session.execute(
                f"select has_{'sequence' if kind == 'S' else 'table'}_privilege(c.oid, %s) "
                "from pg_class c where c.relname = %s and c.relnamespace = %s::regnamespace",
                [privilege, relation, schema],
            ).fetchone()
            assert row == (False,), (relation, privilege)
        if kind == "r":
            for statement in (
                f"insert into {table} default values",
                f"delete from {table}",
                f"truncate {table}",
                f"lock table {table} in row exclusive mode",
                f"drop table {table}",
                f"alter table {table} disable trigger user",
            ):
                found_outcome = outcome(session, statement)
                assert found_outcome.startswith(("permission denied", "must be owner")), statement


@pytest.mark.parametrize("name", LEVELS)
def test_nobody_makes_anything_in_the_schemas(installation: Installation, name: str) -> None:
    session = installation.session(name)
    for schema in ("quantumflow", "pgmq"):
        for statement in (
            f"create table {schema}.mine ()",
            f"create function {schema}._now() returns timestamptz language sql as 'select now()'",
            f"create type {schema}.mine as ()",
            f"create operator {schema}.= (function = int4eq, leftarg = int, rightarg = int)",
            f"drop schema {schema} cascade",
        ):
            assert outcome(session, statement).startswith(("permission denied", "must be owner"))


def test_the_levels_work_together(installation: Installation) -> None:
    author, operator = installation.session("author"), installation.session("operator")
    worker, viewer = installation.session("worker"), installation.session("viewer")

    author.execute(
        "select quantumflow.define_flow("
        """'{"slug": "team", "steps": [{"name": "a"}, {"name": "b", "dependencies": ["a"]}]}')"""
    )
    (run_id,) = author.execute("select quantumflow.start_flow('team')").fetchone() or ("",)
    operator.execute("select quantumflow.cancel_run(%s, 'no')", [RUN])
    operator.execute("select quantumflow.pause_run(%s)", [run_id])
    operator.execute("select quantumflow.resume_run(%s)", [run_id])
    for _ in range(2):
        worker.execute(
            "select quantumflow.complete_tasks("
            "jsonb_build_array(to_jsonb(t) || jsonb_build_object('output', t.step_slug))) "
            "from quantumflow.claim_tasks(gen_random_uuid()) t"
        )
    output = viewer.execute("select quantumflow.status(%s) -> 'output'", [run_id]).fetchone()
    assert output == ({"b": "b"},)
    found = viewer.execute(
        "select step_name, status from quantumflow.workflow_step_states "
        "where workflow_run_id = %s order by 1",
        [run_id],
    ).fetchall()
    assert found == [("a", "done"), ("b", "done")]
    assert operator.execute("select * from quantumflow.check_state()").fetchall() == []


def test_revoking_takes_everything_and_the_role_can_be_dropped(installation: Installation) -> None:
    owner = installation.session("owner")
    passing = f"{installation.prefix}_passing"
    with psycopg.connect(installation.dsn, autocommit=True) as admin:
        admin.execute(sql.SQL("create role {} login").format(sql.Identifier(passing)))
        for level in ("viewer", "caller", "worker", "operator", "author"):
            owner.execute("select quantumflow.grant_access(%s, %s)", [passing, level])
        with psycopg.connect(installation.dsn, user=passing) as session:
            assert outcome(session, "select quantumflow.version()") == "done"
            said = owner.execute("select quantumflow.revoke_access(%s)", [passing]).fetchone()
            assert said == (f"{passing} may call nothing",)
            for function in installation.functions():
                found = outcome(session, function.call(VALUES))
                assert found == "permission denied for schema quantumflow"
            for schema, relation, _ in relations(installation):
                table = sql.Identifier(schema, relation).as_string(session)
                assert outcome(session, f"table {table}").startswith("permission denied")
        admin.execute(sql.SQL("drop role {}").format(sql.Identifier(passing)))


def test_granting_is_refused_to_everybody_else_and_to_nobodies(installation: Installation) -> None:
    owner = installation.session("owner")
    for role, access, code in (
        ("nobody_of_that_name", "viewer", "QF501"),
        ("public", "viewer", "QF501"),
        (None, "viewer", "QF501"),
        (installation.role("nobody"), "admin", "QF502"),
        (installation.role("nobody"), None, "QF502"),
        (installation.role("nobody"), "VIEWER", "QF502"),
    ):
        with pytest.raises(psycopg.Error) as caught:
            owner.execute("select quantumflow.grant_access(%s, %s)", [role, access])
        assert caught.value.sqlstate == code
    for role in ("nobody_of_that_name", "public", None, installation.owner):
        with pytest.raises(psycopg.Error) as caught:
            owner.execute("select quantumflow.revoke_access(%s)", [role])
        assert caught.value.sqlstate == "QF501"
    assert outcome(owner, "select quantumflow.version()") == "done"


def test_a_role_of_any_name_can_be_granted_and_revoked(installation: Installation) -> None:
    owner = installation.session("owner")
    role = 'weird"; drop schema quantumflow; -- Ü'
    with psycopg.connect(installation.dsn, autocommit=True) as admin:
        admin.execute(sql.SQL("create role {}").format(sql.Identifier(role)))
        owner.execute("select quantumflow.grant_access(%s, 'worker')", [role])
        found = owner.execute(
            "select has_function_privilege(%s, 'quantumflow.sweep()', 'execute')", [role]
        ).fetchone()
        assert found == (True,)
        owner.execute("select quantumflow.revoke_access(%s)", [role])
        admin.execute(sql.SQL("drop role {}").format(sql.Identifier(role)))


def test_many_grants_at_once_all_succeed(installation: Installation) -> None:
    """Two GRANTs of one function at once are "tuple concurrently updated", unless they queue."""

    def grant(number: int) -> str:
        with psycopg.connect(installation.dsn, user=installation.owner, autocommit=True) as own:
            for _ in range(5):
                own.execute(
                    "select quantumflow.grant_access(%s, 'viewer')", [installation.role("viewer")]
                )
        return "done"

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(grant, range(4))) == {"done"}
