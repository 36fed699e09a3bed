"""Nobody runs a line of his as quantumflow's owner or a superuser, by what he has beside pgmq's.

Every public function is called while a trap (see traps.py) stands where one of our queues was,
where its archive was, and where no queue of ours is. Nor does anybody take, or hold up, what is not
his.
"""

from __future__ import annotations

import contextlib
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg import sql
from psycopg.types.json import Jsonb

from access.conftest import LEVELS, STRANGERS, Installation
from access.test_levels import VALUES, outcome
from access.traps import KINDS, Traps
from support.waiting import is_blocked, wait_until, wait_until_blocked

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    """An installation with a flow that has tasks in a queue "side", runs in all states; traps."""

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
            "select lease_token from quantumflow.step_tasks "
            "where (run_id, step_slug) = (%s, 'second')",
            _CLAIMED,
        )
        literal = sql.Literal(json.dumps(reports)).as_string(self.admin)
        values = VALUES | {
            "queues": "'{side,quantum_flow_queue}'",
            "queue": "'side'",
            "results": literal,
            "tasks": literal,
            "lease_token": f"{token or 1}",
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
                "select status from quantumflow.step_tasks "
                "where (run_id, step_slug) = (%s, 'second')",
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
    # What names no task of ours would go to the archive, too.
    message = "insert into pgmq.q_side (vt, message) values (now() - interval '1 d', '{}')"
    with scene.without("a_side"), scene.traps.set_up(kind, "a_side"):
        scene.admin.execute(message)
        scene.call_all(calls)
        scene.admin.execute("delete from pgmq.q_side where message = '{}'")
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


_SWAP = {
    "slug": "swap",
    "steps": [
        {"name": "m", "type": "map", "queue": "kept"},
        {"name": "q", "queue": "swapped", "dependencies": ["m"]},
    ],
}
_SWAP_RUN = "40000000-0000-0000-0000-000000000009"
_SWAPPED_FOR = ("view", "table", "the owner's table with a trigger")


@dataclass
class Swap:
    """Two workers, of which one holds what the other waits for, and a queue that goes meanwhile."""

    scene: Scene
    holder: Connection
    waiter: Connection

    def meanwhile(self, call: str, kind: str) -> str:
        """What a call comes to that waits for the holder while a trap takes a queue's place.

        At least the neighbour tries: the queue must be there until the call is over.
        """
        owner = self.scene.installation.session("owner")

        def swap() -> None:
            owner.execute("select pgmq.drop_queue('swapped')")
            self.scene.traps.leave(kind, "q_swapped")

        with ThreadPoolExecutor(2) as pool:
            called = pool.submit(outcome, self.waiter, call)
            wait_until_blocked(self.scene.admin, self.waiter.info.backend_pid)
            swapped = pool.submit(swap)
            wait_until(
                lambda: swapped.done() or is_blocked(self.scene.admin, owner.info.backend_pid),
                what="the queue is dropped, or kept",
            )
            was_kept = not swapped.done()
            self.holder.commit()
            found = called.result()
            swapped.result()
        assert was_kept
        return found

    def claim(self, worker: Connection) -> str:
        """Claim a task of the map, and say that it is done."""
        row = worker.execute(
            "select jsonb_agg(jsonb_build_object('run_id', run_id, 'step_slug', step_slug, "
            "'task_index', task_index, 'lease_token', lease_token, 'output', 1)) "
            "from quantumflow.claim_tasks(gen_random_uuid(), 1, '{kept}')"
        ).fetchone()
        worker.commit()
        assert row is not None
        assert row[0]
        return sql.Literal(json.dumps(row[0])).as_string(worker)


@pytest.fixture
def swap(scene: Scene) -> Iterator[Swap]:
    installation = scene.installation
    owner = installation.session("owner")
    owner.execute("select quantumflow.define_flow(%s)", [Jsonb(_SWAP)])
    owner.execute("select quantumflow.start_flow('swap', '[1, 2]', run_id => %s)", [_SWAP_RUN])
    user = installation.role("worker")
    with (
        psycopg.connect(installation.dsn, user=user) as holder,
        psycopg.connect(installation.dsn, user=user, autocommit=True) as waiter,
    ):
        yield Swap(scene, holder, waiter)
    scene.traps.remove("q_swapped")
    owner.execute("select quantumflow.cancel_run(%s)", [_SWAP_RUN])
    owner.execute("select quantumflow.delete_run(%s)", [_SWAP_RUN])
    owner.execute("select quantumflow.delete_flow('swap')")
    owner.execute("delete from quantumflow._own_queues where queue = 'swapped'")


@pytest.mark.parametrize("kind", _SWAPPED_FOR)
def test_a_queue_stays_while_a_worker_is_registered_for_it(
    scene: Scene, swap: Swap, kind: str
) -> None:
    """Another session with the same worker_id makes that last as long as it likes."""
    register = "select quantumflow.register_worker(%s, 'w', null, array[%s])"
    worker_id = "50000000-0000-0000-0000-000000000001"
    before = scene.traps.sprung()
    swap.holder.execute(register, [worker_id, "kept"])
    call = register.replace("%s", f"'{worker_id}'", 1).replace("%s", "'swapped'")
    assert swap.meanwhile(call, kind) == "done"
    assert outcome(swap.waiter, call) == "QF403"
    assert scene.traps.sprung() == before


@pytest.mark.parametrize("kind", _SWAPPED_FOR)
def test_a_queue_stays_while_a_worker_completes_and_claims(
    scene: Scene, swap: Swap, kind: str
) -> None:
    """It waits for the tasks of the same map, which another worker completes."""
    reports = [swap.claim(worker) for worker in (swap.holder, swap.waiter)]
    before = scene.traps.sprung()
    swap.holder.execute(f"select quantumflow.complete_tasks({reports[0]})")
    call = (
        f"select quantumflow.complete_and_claim(gen_random_uuid(), {reports[1]}, 3, "
        "'{kept,swapped}')"
    )
    assert swap.meanwhile(call, kind) == "done"
    # What is in its place is passed over; alone it is refused.
    assert outcome(swap.waiter, call) == "done"
    assert outcome(swap.waiter, call.replace("kept,", "")) == "QF403"
    assert scene.traps.sprung() == before


_NEW = (
    "select quantumflow.define_flow("
    """'{"slug": "new", "steps": [{"name": "a", "queue": "new"}]}')"""
)
_REBUILD = "select * from quantumflow.rebuild_queues()"


@pytest.fixture
def sharing(scene: Scene) -> Iterator[Connection]:
    """The neighbour's session, with the grant that one finds recommended for users of pgmq."""
    role = sql.Identifier(scene.installation.role("neighbour"))
    tables = "on all tables in schema pgmq"
    scene.admin.execute(sql.SQL(f"grant all {tables} to {{}}").format(role))
    yield scene.installation.session("neighbour")
    scene.admin.execute(sql.SQL(f"revoke all {tables} from {{}}").format(role))


@pytest.mark.parametrize("table", ["meta", "topic_bindings", "notify_insert_throttle"])
def test_triggers_on_pgmqs_own_tables_are_not_run(
    scene: Scene, sharing: Connection, table: str
) -> None:
    """Making a queue writes to pgmq's list, and dropping one also to what refers to it."""
    if scene.value("select to_regclass(%s)", f"pgmq.{table}") is None:
        pytest.skip(f"this pgmq has no table {table}")
    calls = [*scene.calls(), ("define_flow", _NEW)]
    for level in ("row", "statement"):
        sharing.execute(
            f"create trigger fire before insert or update or delete on pgmq.{table} "
            f"for each {level} execute function trap.fire()"
        )
        try:
            scene.call_all(calls)
            for function, call in (("define_flow", _NEW), ("rebuild_queues", _REBUILD)):
                assert outcome(scene.caller(function), call) == "QF406"
            for call in ("select quantumflow.start_flow('beside')", "select quantumflow.sweep()"):
                assert outcome(scene.installation.session("operator"), call) == "done"
            found = scene.value("select state from quantumflow.doctor() where subject = 'pgmq'")
            assert found == "error"
        finally:
            scene.admin.execute(f"drop trigger fire on pgmq.{table}")
    assert outcome(scene.caller("define_flow"), _NEW) == "done"


def test_other_functions_of_the_names_that_are_called_are_not_met(scene: Scene) -> None:
    """What takes the same arguments in another order, or such as also fit, or anything."""
    neighbour = scene.installation.session("neighbour")
    others = (
        "create(queue_name varchar) returns void",
        "create(queue_name anyelement) returns void",
        "send_batch(msgs jsonb[], queue_name text, headers jsonb[], delay timestamptz) returns int",
        "delete(msg_ids bigint[], queue_name text) returns setof bigint",
        "delete(queue_name anyelement, msg_ids anyarray) returns setof bigint",
        "archive(msg_ids bigint[], queue_name text) returns setof bigint",
        "archive(queue_name anyelement, msg_ids anyarray) returns setof bigint",
        'format_table_name(queue_name text, prefix "char") returns text',
        "format_table_name(queue_name text, prefix varchar) returns text",
        "format_table_name(queue_name text, prefix anyelement) returns text",
        "validate_queue_name(queue_name varchar) returns void",
    )
    for other in others:
        neighbour.execute(
            f"create function pgmq.{other} language plpgsql as $$ "
            "begin perform trap.spring(); raise 'not this one' using errcode = 'EVIL1'; end $$"
        )
    try:
        # What a session has called before, it does not look up again.
        with contextlib.ExitStack() as opened:
            sessions: dict[str, Connection] = {}
            before = scene.traps.sprung()
            for function, call in [*scene.calls(), ("define_flow", _NEW)]:
                user = scene.caller(function).info.user
                if user not in sessions:
                    connected = psycopg.connect(scene.installation.dsn, user=user, autocommit=True)
                    sessions[user] = opened.enter_context(connected)
                found = outcome(sessions[user], call)
                assert found == "done" or found.startswith(("QF", "permission denied")), call
            assert scene.traps.sprung() == before
            assert outcome(sessions[scene.installation.role("author")], _NEW) == "done"
            assert outcome(sessions[scene.installation.role("operator")], _REBUILD) == "done"
    finally:
        for other in others:
            scene.admin.execute(f"drop function pgmq.{other.split(' returns')[0]}")


# With an argument more that need not be given, PostgreSQL finds a call of either not unique.
_MORE_OF_A_NAME = (
    "send_batch(queue_name text, msgs jsonb[], headers jsonb[], delay timestamptz, more int)",
    "_send_batch(queue_name text, msgs jsonb[], headers jsonb[], delay timestamptz, more int)",
    "_validate_batch_params(msgs jsonb[], headers jsonb[], more int)",
    "format_table_name(queue_name text, prefix text, more int)",
    "delete(queue_name text, msg_ids bigint[], more int)",
    "archive(queue_name text, msg_ids bigint[], more int)",
    "create(queue_name text, more int)",
    "create_non_partitioned(queue_name text, more int)",
    "validate_queue_name(queue_name text, more int)",
    "acquire_queue_lock(queue_name text, more int)",
)


@pytest.mark.parametrize("function", _MORE_OF_A_NAME)
def test_one_more_function_of_a_name_holds_up_new_queues_alone(scene: Scene, function: str) -> None:
    """Whatever is called goes on, messages deleted and archived; a queue that is new may not."""
    neighbour = scene.installation.session("neighbour")
    signature = function.replace("more int", "more int default 0")
    neighbour.execute(
        f"create function pgmq.{signature} returns int language plpgsql as $$ "
        "begin perform trap.spring(); raise 'not this one' using errcode = 'EVIL1'; end $$"
    )
    before = scene.traps.sprung()
    wrong = {}
    try:
        with contextlib.ExitStack() as opened:
            # What a session has called before, it does not look up again.
            sessions: dict[str, Connection] = {}
            for name, call in scene.calls():
                user = scene.caller(name).info.user
                if user not in sessions:
                    connected = psycopg.connect(scene.installation.dsn, user=user, autocommit=True)
                    sessions[user] = opened.enter_context(connected)
                found = outcome(sessions[user], call)
                makes_queues = name == "rebuild_queues"
                if not (found == "done" or found.startswith(("QF", "permission denied"))) and not (
                    makes_queues and found == "42725"
                ):
                    wrong[call] = found
            author = sessions[scene.installation.role("author")]
            assert outcome(author, _NEW) in ("done", "42725")
    finally:
        scene.admin.execute(f"drop function pgmq.{function}")
    assert wrong == {}
    assert scene.traps.sprung() == before


def test_a_queue_has_its_index_though_its_name_is_taken(scene: Scene) -> None:
    neighbour = scene.installation.session("neighbour")
    neighbour.execute("create table pgmq.mine (i int)")
    neighbour.execute("create index q_new_vt_idx on pgmq.mine (i)")
    author = scene.installation.session("author")
    try:
        with author.transaction(force_rollback=True):
            author.execute(_NEW)
            found = author.execute(
                "select from pg_indexes where tablename = 'q_new' and indexdef like '%%, vt)'"
            )
            assert found.rowcount == 1
    finally:
        neighbour.execute("drop table pgmq.mine")


@pytest.mark.parametrize("who", ["owner", "neighbour"])
@pytest.mark.parametrize("message", [None, '{"bill": 1}'])
def test_another_applications_queue_is_left_alone(
    scene: Scene, sharing: Connection, who: str, message: str | None
) -> None:
    """By definitions, claims, and whatever mends, with messages or without, whoever owns it."""
    installation = scene.installation
    maker = installation.session(who)
    maker.execute("select pgmq.create('billing')")
    definition = _NEW.replace('"queue": "new"', '"queue": "billing"')
    calls = scene.calls(
        queues="'{billing}'",
        queue="'billing'",
        definition="""'{"slug": "new", "steps": [{"name": "a", "queue": "billing"}]}'""",
        step_slug="'another'",
    )
    try:
        if message is not None:
            maker.execute("select pgmq.send('billing', %s::jsonb)", [message])
        contents = "select array_agg(to_jsonb(q)) from pgmq.q_billing q"
        before = scene.value(contents)
        scene.call_all(calls)
        for function, call in calls:
            # Not taken back, as far as something can come of it.
            if function in ("sweep", "check_state", "doctor", "setup", "rebuild_queues", "repair"):
                scene.caller(function).execute(call)
        assert outcome(installation.session("author"), definition) == "QF403"
        claim = "select quantumflow.claim_tasks(gen_random_uuid(), 1, '{billing}')"
        assert outcome(installation.session("worker"), claim) == "QF403"
        assert scene.value(contents) == before
        assert scene.value("select count(*) from pgmq.a_billing") == 0

        # The owner's word lets it be used, if what it holds and whose it is allow that.
        word = "insert into quantumflow.queues (queue) values ('billing')"
        with scene.admin.transaction(force_rollback=True):
            installation_owner = sql.Identifier(installation.owner)
            scene.admin.execute(sql.SQL("set local role {}").format(installation_owner))
            scene.admin.execute(word)
            used = outcome(scene.admin, definition)
            assert used == ("done" if who == "owner" and message is None else "QF403")
    finally:
        maker.execute("select pgmq.drop_queue('billing')")


def test_a_worker_finishes_only_what_it_has_claimed(scene: Scene) -> None:
    worker = scene.installation.session("worker")
    tasks = scene.value(
        "select jsonb_agg(jsonb_build_object('run_id', run_id, 'step_slug', step_slug, "
        "'task_index', task_index, 'lease_token', null, 'output', 1)) from quantumflow.step_tasks"
    )
    before = _tables(scene)
    for call in (
        "complete_tasks(%s)",
        "fail_tasks(%s)",
        "complete_and_claim(gen_random_uuid(), %s, commands => '{}')",
    ):
        query = f"select outcome from quantumflow.{call}"
        found = {row[0] for row in worker.execute(query, [Jsonb(tasks)])}
        assert found == {"stale"}, call
    assert worker.execute("select quantumflow.release_tasks(%s)", [Jsonb(tasks)]).fetchone() == (0,)
    assert _tables(scene) == before
    for query in (
        "select quantumflow.complete_task(%s, 'second')",
        "select quantumflow.fail_task(%s, 'second')",
    ):
        found_outcome = outcome(worker, query.replace("%s", f"'{_QUEUED}'"))
        assert found_outcome.startswith("permission denied for function")
        assert (
            outcome(scene.installation.session("operator"), query.replace("%s", f"'{_QUEUED}'"))
            == "done"
        )


def _tables(scene: Scene) -> Any:
    return scene.value(
        """
        select jsonb_build_array(
          (select jsonb_agg(to_jsonb(t) order by t.run_id, t.step_slug, t.task_index)
           from quantumflow.step_tasks t),
          (select jsonb_agg(to_jsonb(r) order by r.id) from quantumflow.workflow_runs r),
          (select jsonb_agg(to_jsonb(f)) from quantumflow.task_failures f),
          (select jsonb_agg(to_jsonb(q) order by q.msg_id) from pgmq.q_side q))
        """
    )
