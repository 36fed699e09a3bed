"""Nobody who owns something in schema pgmq runs a line of it as quantumflow's owner, or a superuser.

Every public function is called while a trap (see traps.py) stands where one of our queues was,
where its archive was, and where no queue of ours is. Fails when

- _queue_table() takes whatever has a queue's name, whoever owns it, whatever hangs on it;
- a claim takes any queue, or a definition one that somebody else has made.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.types.json import Jsonb

from access.conftest import LEVELS, STRANGERS, Installation
from access.test_levels import VALUES, outcome
from access.traps import KINDS, Traps
from support.functions import Function

pytestmark = pytest.mark.system

Connection = psycopg.Connection[Any]

_FLOW = {
    "slug": "beside",
    "on_failure": "note",
    "steps": [
        {"name": "first"},
        {"name": "second", "dependencies": ["first"], "queue": "side"},
        {"name": "third", "dependencies": ["first"], "queue": "side", "type": "map"},
    ],
}
_RUNS = [f"40000000-0000-0000-0000-00000000000{n}" for n in range(1, 8)]
_STARTED, _QUEUED, _CLAIMED, _CANCELLED, _FAILED, _COMPLETED, _PAUSED = _RUNS


@dataclass
class Scene:
    """An installation with a flow whose tasks are in a queue "side", runs in all states, and traps."""

    installation: Installation
    admin: Connection
    traps: Traps
    functions: list[Function]
    may_call: dict[str, set[str]]

    def calls(self, **more: str) -> list[tuple[str, str]]:
        """Every public function with arguments that lead it to the queue "side", or to another."""
        reports = self.value(
            "select jsonb_agg(jsonb_build_object('run_id', run_id, 'step_slug', step_slug, "
            "'task_index', task_index, 'lease_token', lease_token, 'output', '[1, 2]'::jsonb)) "
            "from quantumflow.step_tasks where lease_token is not null"
        )
        token = self.value(
            "select lease_token from quantumflow.step_tasks where (run_id, step_slug) = (%s, 'second')",
            _CLAIMED,
        )
        literal = sql.Literal(json.dumps(reports)).as_string(self.admin)
        values = VALUES | {
            "queues": "'{side,quantum_flow_queue}'",
            "queue": "'side'",
            "results": literal,
            "tasks": literal,
            "lease_token": f"{token}",
            "workflow_slug": "'beside'",
            "step_slug": "'second'",
            "definition": """'{"slug": "new", "steps": [{"name": "a", "queue": "side"}]}'""",
            "dry_run": "false",
            "quantity": "10",
            "output": "'[1, 2]'",
        }
        found = {}
        for run_id in _RUNS:
            for step in ("first", "second"):
                given = values | {"run_id": f"'{run_id}'", "step_slug": f"'{step}'"} | more
                for function in self.functions:
                    found[function.call(given)] = function.name
        return [(name, call) for call, name in found.items()]

    def value(self, query: str, *parameters: Any) -> Any:
        row = self.admin.execute(query, parameters).fetchone()
        return None if row is None else row[0]

    def caller(self, function: str) -> Connection:
        """Somebody who may call a function, of the least rights."""
        name = next((name for name, may in self.may_call.items() if function in may), "owner")
        return self.installation.session(name)

    @contextlib.contextmanager
    def without(self, table: str) -> Iterator[None]:
        """Have a table of pgmq's schema out of the way: to us it was dropped."""
        self.admin.execute(f"alter table pgmq.{table} set schema kept")
        try:
            yield
        finally:
            self.admin.execute(f"alter table kept.{table} set schema pgmq")

    def call_all(
        self, calls: list[tuple[str, str]], sessions: list[Connection] | None = None
    ) -> None:
        """Make calls, and take them back; nothing may go wrong but by a refusal of ours."""
        before = self.traps.sprung()
        wrong = {}
        for function, call in calls:
            for session in sessions or [self.caller(function)]:
                found = outcome(session, call)
                if found != "done" and not found.startswith(("QF", "permission denied for")):
                    wrong[call] = found
        assert wrong == {}
        assert self.traps.sprung() == before, self._which_spring(calls, sessions)

    def _which_spring(
        self, calls: list[tuple[str, str]], sessions: list[Connection] | None
    ) -> list[str]:
        found = []
        for function, call in calls:
            for session in sessions or [self.caller(function)]:
                before = self.traps.sprung()
                outcome(session, call)
                if self.traps.sprung() != before:
                    found.append(call)
        return found


@pytest.fixture(scope="module")
def scene(installation: Installation) -> Iterator[Scene]:
    neighbour = installation.role("neighbour")
    with psycopg.connect(installation.dsn, autocommit=True) as admin:
        sessions = {
            "admin": admin,
            "owner": installation.session("owner"),
            "neighbour": installation.session("neighbour"),
        }
        admin.execute("create schema kept")
        traps = Traps(sessions, neighbour, installation.owner)
        functions = [function for function in installation.functions() if function.is_public]
        may_call = {name: installation.may_call(name) for name in LEVELS}
        made = Scene(installation, admin, traps, functions, may_call)
        owner = sessions["owner"]
        owner.execute("insert into quantumflow.queues (queue, archive) values ('side', true)")
        owner.execute("select quantumflow.define_flow(%s)", [Jsonb(_FLOW)])
        for run_id in _RUNS:
            owner.execute("select quantumflow.start_flow('beside', run_id => %s)", [run_id])
        done = "select quantumflow.complete_task(%s, %s, output => '[1]')"
        for run_id in _RUNS[1:]:
            owner.execute(done, [run_id, "first"])
        owner.execute("select quantumflow.cancel_run(%s)", [_CANCELLED])
        owner.execute("select quantumflow.fail_task(%s, 'second', retryable => false)", [_FAILED])
        for step in ("second", "third"):
            owner.execute(done, [_COMPLETED, step])
        owner.execute("select quantumflow.pause_run(%s)", [_PAUSED])
        while (
            made.value(
                "select status from quantumflow.step_tasks where (run_id, step_slug) = (%s, 'second')",
                _CLAIMED,
            )
            == "queued"
        ):
            owner.execute("select quantumflow.claim_tasks(gen_random_uuid(), 1, '{side}')")
        assert owner.execute("select * from quantumflow.check_state()").fetchall() == []
        yield made


def test_the_traps_work(scene: Scene) -> None:
    """Whoever uses them as they are falls into them."""
    owner = scene.installation.session("owner")
    statements = (
        "select msg_id, vt from pgmq.q_evil order by vt limit 1",
        "insert into pgmq.q_evil (vt, message) values (now(), '{}')",
        "update pgmq.q_evil set vt = now()",
        "delete from pgmq.q_evil",
    )
    harmless = {"materialized view", "type", "sequence", "index"}
    for kind in KINDS:
        with scene.traps.set_up(kind, "q_evil"):
            before = scene.traps.sprung()
            for statement in statements:
                outcome(owner, statement)
            assert (scene.traps.sprung() > before) == (kind not in harmless), kind


@pytest.mark.parametrize("kind", KINDS)
def test_what_stands_in_a_queues_place_is_not_touched(scene: Scene, kind: str) -> None:
    calls = scene.calls()
    with scene.without("q_side"), scene.traps.set_up(kind, "q_side"):
        scene.call_all(calls)
        assert outcome(scene.caller("setup"), "select quantumflow.setup()") == "QF403"
        claim = "select quantumflow.claim_tasks(gen_random_uuid(), 1, '{side}')"
        assert outcome(scene.caller("claim_tasks"), claim) == "QF403"
        rebuild = "select quantumflow.rebuild_queues()"
        assert outcome(scene.installation.session("operator"), rebuild) == "QF403"
        found = scene.value("select state from quantumflow.doctor() where subject = 'queue side'")
        assert found == "error"
    assert scene.admin.execute("select * from quantumflow.check_state()").fetchall() == []


@pytest.mark.parametrize("kind", KINDS)
def test_what_stands_in_an_archives_place_is_not_touched(scene: Scene, kind: str) -> None:
    calls = scene.calls()
    with scene.without("a_side"), scene.traps.set_up(kind, "a_side"):
        scene.call_all(calls)
    assert scene.admin.execute("select * from quantumflow.check_state()").fetchall() == []


@pytest.mark.parametrize("kind", KINDS)
def test_what_no_flow_names_is_refused(scene: Scene, kind: str) -> None:
    definition = """'{"slug": "new", "steps": [{"name": "a", "queue": "evil"}]}'"""
    asked = {"claim_tasks", "complete_and_claim", "register_worker", "define_flow", "add_step"}
    calls = [
        (function, call)
        for function, call in scene.calls(
            queues="'{evil}'", queue="'evil'", definition=definition, step_slug="'another'"
        )
        if function in asked
    ]
    assert {function for function, _ in calls} == asked
    with scene.traps.set_up(kind, "q_evil"):
        scene.call_all(calls)
        for function, call in calls:
            assert outcome(scene.caller(function), call) == "QF403", call


def test_nor_when_anybody_else_calls(scene: Scene) -> None:
    """Each role, the owner and a superuser, who must not fall into what the owner avoids."""
    roles = [*LEVELS, *STRANGERS, "owner"]
    sessions = [*(scene.installation.session(name) for name in roles), scene.admin]
    calls = list({name: (name, call) for name, call in scene.calls(role="'nobody'")}.values())
    for kind in ("view", "table", "the owner's table with a trigger's condition"):
        with scene.without("q_side"), scene.traps.set_up(kind, "q_side"):
            scene.call_all(calls, sessions)
