"""Every task status, run status, kind of token and call: the outcome, and what changed by it.

What must come out is worked out by `outcome_of` below, which restates the precedence of the
contract and knows nothing of the engine. A state is built through public functions where they lead
to it, by direct writes where nothing does. Each call is made from it, and rolled back. Then:

- the answer is the one expected, and the single form of a call, and the one that claims too, answer
  and change what the form with a batch does; by hand acts only the single form;
- exactly the rows and columns changed that the answer speaks of, none where nothing may change;
- where the state was a legal one, check_state() is empty.

The history of a task is the same in all states: its first attempt reported a failure, its second
lost its lease, the third is the current one. So all kinds of tokens exist.

States that nothing leads to (see LEGAL for those that something leads to):

- a task that failed, or was cancelled, in a run that goes on or was completed, and a failed task in
  a cancelled run: what fails a task fails its run in the same transaction, only the end of a run
  cancels tasks, and no run leaves an end but by retry_run, which makes new tasks of both;
- a queued or started task in a completed run: the last step completes it, and no step completes
  before its last task;
- a skipped task: reserved; nothing skips tasks.

A queued or started task in a failed or cancelled run is legal while the run is in _unfinished_ends:
it is left when somebody held the task while the run ended. Here the rows are written directly.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg import sql
from psycopg.types.json import Jsonb

from support.engine import Engine, Task, allow_test_clock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from quantumflow_client.embedded import EmbeddedServer

QUEUES = ["quantum_flow_queue", "beside"]
# The step a is the one of which all is said; b and c are beside and behind it.
STEPS: list[dict[str, Any]] = [
    {"name": "a", "queue": QUEUES[0]},
    {"name": "b"},
    {"name": "c", "dependencies": ["a", "b"]},
]
SETTINGS: dict[str, Any] = {
    "queue": QUEUES[1],
    "retry_delay": 5,
    "timeout": 3600,
    "max_attempts": 10,
    "max_lost": 10,
    "on_complete": "note",
    "on_failure": "note",
}

TASKS = [
    "no such task",
    "queued",
    "queued after a loss",
    "queued after a retry",
    "started",
    "started, lease lapsed",
    "started, deadline passed",
    "completed",
    "failed",
    "cancelled",
    "skipped",
]
RUNS = ["started", "paused", "completed", "failed", "cancelled"]
CALLBACKS = ["_on_complete", "_on_failure"]
TOKENS = [
    "current",
    "of a failure",
    "of a loss",
    "unknown",
    "null",
    "by hand",
    "missing",
    "malformed",
]
CALLS = [
    "complete",
    "fail",
    "fail finally",
    "fail, attempts used up",
    "extend",
    "hold",
    "release",
]

# Which task statuses each run status goes with, beside "no such task".
LEGAL = {
    "started": {"queued", "started", "completed"},
    "paused": {"queued", "started", "completed"},
    "completed": {"completed"},
    "failed": {"queued", "started", "completed", "failed", "cancelled"},
    "cancelled": {"queued", "started", "completed", "cancelled"},
}


def status_of(task: str) -> str:
    """The status in the table of one of TASKS."""
    return re.split(" after |,", task)[0]


def outcome_of(call: str, task: str, run: str, token: str, *, is_callback: bool) -> Any:
    """The precedence of the contract, section 4, and nothing else."""
    status = status_of(task)
    # What has no lease to name has nothing to say here.
    if status == "no such task" or token not in ("current", "of a failure", "by hand"):
        fate = "stale"
    elif token == "of a failure":
        fate = "duplicate"
    elif " after " in task and token == "current":
        # The token went with the lease, or with the attempt that was retried.
        fate = "stale"
    # From here on the token is the task's, or a person acts by hand.
    elif status in ("cancelled", "skipped"):
        fate = "run_ended"
    elif status == "started" or (status == "queued" and token == "by hand"):
        is_over = run in ("completed", "failed", "cancelled") and not is_callback
        fate = "run_ended" if is_over else "acts"
    else:
        fate = "duplicate"

    if call in ("extend", "hold"):
        if status not in ("started", "cancelled"):
            return "lost"
        if call == "hold" and fate == "acts" and task.endswith("deadline passed"):
            return "lost"
        return {"acts": "held", "run_ended": "cancelled"}.get(fate, "lost")
    if call == "release":
        return int(fate == "acts" and status == "started")
    if fate == "acts":
        return {"complete": "completed", "fail": "retrying"}.get(call, "failed")
    return fate


@dataclass(frozen=True)
class State:
    """A task in a run, as a call finds it."""

    kind: str
    task: str
    run: str

    def __str__(self) -> str:
        return f"{self.kind}: task {self.task}, run {self.run}"

    @property
    def status(self) -> str:
        """The task's status in the table."""
        return status_of(self.task)

    @property
    def detail(self) -> str:
        """What else is said of the task."""
        return self.task.partition(", ")[2]

    @property
    def is_callback(self) -> bool:
        return self.kind != "step"

    @property
    def is_legal(self) -> bool:
        if self.status == "no such task":
            return True
        if self.is_callback:
            return self.status not in ("skipped", "cancelled")
        return self.status in LEGAL[self.run]


STATES = [
    *(State("step", task, run) for task in TASKS for run in RUNS),
    *(
        State(kind, task, {"_on_complete": "completed", "_on_failure": "failed"}[kind])
        for kind in CALLBACKS
        for task in TASKS[1:]
        if task != "queued after a retry"
    ),
    State("step", "no such task", "deleted"),
]

Rows = dict[tuple[str, str], dict[str, Any]]


class Scene:
    """One session, in which a state is built, and calls are made and taken back."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        allow_test_clock(engine.connection)
        engine.define("flow", STEPS, **SETTINGS)

    def build(self, state: State) -> None:
        """Make the state; remembers the task's key and its tokens."""
        engine = self.engine
        engine.set_clock(0)
        self.run_id = engine.start("flow")
        self.step = state.kind if state.is_callback else "a"
        if state.kind == "_on_complete":
            for step in "abc":
                self.by_hand("complete_task", step)
        elif state.kind == "_on_failure":
            self.by_hand("fail_task", "b", "retryable => false")
        self._history()
        self._bring_task(state)
        if not state.is_callback:
            self._bring_run(state)
        engine.set_clock({"lease lapsed": 400, "deadline passed": 4000}.get(state.detail, 50))

    def _history(self) -> None:
        """One reported failure, one lost lease, and a third attempt that is under way."""
        first = self._claim(0)
        assert self.engine.fail(first) == "retrying"
        second = self._claim(10, lease=10)
        self.engine.set_clock(30)
        self.engine.sweep()
        self.tokens: dict[str, int | None] = {
            "of a failure": first.lease_token,
            "of a loss": second.lease_token,
            "unknown": 1,
            "null": None,
            "by hand": None,
        }

    def _claim(self, at: float, lease: float = 300) -> Task:
        self.engine.set_clock(at)
        queue = QUEUES[0] if self.step == "a" else QUEUES[1]
        found = self.engine.claim(1, lease=lease, queues=[queue])
        if self.step != "a":
            # The step b is in the same queue, and was there first.
            while found and found[0].step_slug != self.step:
                found = self.engine.claim(1, lease=lease, queues=[queue])
        assert [task.step_slug for task in found] == [self.step]
        return found[0]

    def _bring_task(self, state: State) -> None:
        if state.task == "queued after a loss":
            # No attempt is the current one: its token went with the lease.
            self.tokens["current"] = 2
            return
        current = self._claim(40)
        self.tokens["current"] = current.lease_token
        if state.task == "queued after a retry":
            self.by_hand("fail_task", "b", "retryable => false")
            self.engine.value("select status from quantumflow.retry_run(%s)", self.run_id)
        if state.task == "queued":
            assert self.engine.fail(current) == "retrying"
        elif state.task == "completed":
            assert self.engine.complete(current, "out") == "completed"
        elif state.task == "failed":
            assert self.engine.fail(current, retryable=False) == "failed"
        elif state.task == "skipped" or (state.task == "cancelled" and state.is_callback):
            self._write_status(state.task)

    def _bring_run(self, state: State) -> None:
        has, wanted = self.engine.run_status(self.run_id), state.run
        over = {"completed", "failed", "cancelled"}
        ends_by_itself = state.task in ("completed", "no such task") or (
            state.task == "cancelled" and wanted in ("failed", "cancelled")
        )
        if has == wanted:
            pass
        elif wanted == "deleted":
            self.engine.cancel(self.run_id)
            self.engine.value("select status from quantumflow.delete_run(%s)", self.run_id)
            return
        elif wanted == "paused" and has == "started":
            self.engine.value("select status from quantumflow.pause_run(%s)", self.run_id)
        elif wanted == "completed" and ends_by_itself:
            for step in "abc":
                if step != "a" or state.task != "completed":
                    self.by_hand("complete_task", step)
        elif wanted == "failed" and ends_by_itself:
            self.by_hand("fail_task", "b", "retryable => false")
        elif wanted == "cancelled" and ends_by_itself:
            assert self.engine.cancel(self.run_id) == "cancelled"
        else:
            self.engine.connection.execute(
                "update quantumflow.workflow_runs set status = %(status)s, "
                "completed_at = case %(status)s when 'completed' then created_at end, "
                "failed_at = case %(status)s when 'failed' then created_at end, "
                "cancelled_at = case %(status)s when 'cancelled' then created_at end "
                "where id = %(run_id)s",
                {"status": wanted, "run_id": self.run_id},
            )
            if wanted in over:
                self.engine.connection.execute(
                    "insert into quantumflow._unfinished_ends values (%s, quantumflow._now())",
                    (self.run_id,),
                )
            if wanted == "failed":
                self.engine.value(
                    "select quantumflow._fire_callbacks(array[%s], quantumflow._now())",
                    self.run_id,
                )
        if state.task == "cancelled" and not ends_by_itself:
            self._write_status("cancelled")
        assert self.engine.run_status(self.run_id) == wanted

    def _write_status(self, status: str) -> None:
        (queue, message), *_ = self.engine.rows(
            "update quantumflow.step_tasks set status = %s "
            "where run_id = %s and step_slug = %s returning queue, message_id",
            status,
            self.run_id,
            self.step,
        )
        self.engine.value("select pgmq.delete(%s::text, %s::bigint)", queue, message)

    def by_hand(self, function: str, step: str, more: str = "lease_token => null") -> None:
        outcome = self.engine.value(
            f"select quantumflow.{function}(%s, %s, {more})", self.run_id, step
        )
        assert outcome in ("completed", "failed")

    def use_up_attempts(self) -> None:
        """Let one more failure of the task be the last one."""
        self.engine.connection.execute(
            "update quantumflow.workflow_steps w "
            "set max_attempts = t.attempts + (t.status = 'queued')::int - t.losses "
            "from quantumflow.step_tasks t "
            "where t.run_id = %s and t.step_slug = %s and w.step_slug = t.step_slug",
            (self.run_id, self.step),
        )

    def report(self, state: State, token: str, **more: Any) -> dict[str, Any]:
        index = 7 if state.status == "no such task" and state.run != "deleted" else 0
        found = {"run_id": str(self.run_id), "step_slug": self.step, "task_index": index} | more
        if token == "malformed":
            return found | {"lease_token": {"no": "number"}}
        return found if token == "missing" else found | {"lease_token": self.tokens[token]}

    def call(self, call: str, report: dict[str, Any]) -> Any:
        """Call the form that takes a batch."""
        engine, batch = self.engine, Jsonb([report])
        if call == "complete":
            return engine.value("select outcome from quantumflow.complete_tasks(%s)", batch)
        if call == "extend":
            query = "select state from quantumflow.extend_leases(%s, %s, '400 s')"
            return engine.value(query, engine.worker_id, batch)
        if call == "release":
            return engine.value("select quantumflow.release_tasks(%s)", batch)
        if call == "hold":
            return engine.value("select quantumflow.hold_task(%s, %s, %s, %s)", *report.values())
        return engine.value("select outcome from quantumflow.fail_tasks(%s)", batch)

    def call_single(self, call: str, report: dict[str, Any]) -> Any:
        """Call the form that takes one task."""
        names = [*report]
        function = "complete_task" if call == "complete" else "fail_task"
        arguments = sql.SQL(", ").join(
            sql.SQL("{} => %s").format(sql.Identifier(name)) for name in names
        )
        query = sql.SQL("select quantumflow.{}({})").format(sql.Identifier(function), arguments)
        values = [
            Jsonb(report[name]) if name in ("output", "error_details") else report[name]
            for name in names
        ]
        row = self.engine.connection.execute(query, values).fetchone()
        assert row is not None
        return row[0]

    def call_and_claim(self, report: dict[str, Any]) -> Any:
        """Complete in a call that would also claim, if it were for any command."""
        engine = self.engine
        (row,) = engine.rows(
            "select outcome, run_id, step_slug, task_index, command, lease_token, queue "
            "from quantumflow.complete_and_claim(%s, %s, 10, %s, commands => '{}')",
            engine.worker_id,
            Jsonb([report]),
            QUEUES,
        )
        assert row[1:] == (self.run_id, self.step, report["task_index"], None, None, None)
        return row[0]

    def rows(self) -> Rows:
        """All that a call could change, but for workers."""
        found = self.engine.rows(
            """
            select 'run', '', to_jsonb(r) from quantumflow.workflow_runs r
            union all select 'step', s.step_slug, to_jsonb(s) from quantumflow.step_states s
            union all
            select 'task', concat_ws(' ', t.step_slug, nullif(t.task_index, 0)), to_jsonb(t)
            from quantumflow.step_tasks t
            union all
            select 'failure', concat_ws(' ', f.step_slug, f.retries, f.attempt), to_jsonb(f)
            from quantumflow.task_failures f
            union all select 'unfinished', '', to_jsonb(e) from quantumflow._unfinished_ends e
            union all
            select 'message', m.step_slug, jsonb_build_object('id', m.msg_id, 'vt', m.vt)
            from (
              select msg_id, vt, message ->> 'step_name' from pgmq.q_quantum_flow_queue
              union all select msg_id, vt, message ->> 'step_name' from pgmq.q_beside
            ) m (msg_id, vt, step_slug)
            """
        )
        rows = {(table, key): row for table, key, row in found}
        assert len(rows) == len(found), "two rows of one key"
        return rows


Changes = dict[tuple[str, str], set[str]]
NEW, GONE = {"(new)"}, {"(gone)"}


def changes(before: Rows, after: Rows) -> Changes:
    """What differs: a row's columns, or that it is new or gone."""
    found: Changes = {}
    for key in before.keys() | after.keys():
        if key not in after:
            found[key] = GONE
        elif key not in before:
            found[key] = NEW
        elif before[key] != after[key]:
            columns = before[key].items()
            found[key] = {name for name, value in columns if after[key][name] != value}
    return found


def expected_changes(
    call: str, state: State, token: str, outcome: Any, before: Rows, scene: Scene
) -> Changes:
    """The rows and columns of which the outcome speaks."""
    step = scene.step
    task, message = ("task", step), ("message", step)
    is_queued = state.status == "queued"
    is_over = state.run in ("completed", "failed", "cancelled") and not state.is_callback

    if outcome == "completed":
        found: Changes = {task: {"status", "output", "completed_at"}, message: GONE}
        # A completed task has no error, and was begun at some time.
        found[task] |= {"error_message"} if before[task]["error_message"] else set()
        found[task] |= set() if before[task]["started_at"] else {"started_at"}
        if not state.is_callback:
            found |= {
                ("step", "a"): {"status", "remaining_tasks", "completed_at"},
                ("step", "c"): {"remaining_deps"},
                ("run", ""): {"remaining_steps"},
            }
        return found
    if outcome in ("retrying", "failed"):
        retries = before["run", ""]["retries"]
        attempt = before[task]["attempts"] + int(is_queued)
        found = {
            task: {"status", "error_message"} | ({"attempts"} if is_queued else set()),
            ("failure", f"{step} {retries} {attempt}"): NEW,
        }
        if outcome == "retrying":
            # A person who fails a queued task leaves it queued, and a parked one parked.
            found[task] |= {"queued_at"}
            found[task] -= {"status"} if is_queued else set()
            found |= {} if is_queued and state.run == "paused" else {message: {"vt"}}
            return found
        found[task] |= {"failed_at"}
        found[message] = GONE
        if not state.is_callback:
            found |= {
                ("step", "a"): {"status", "failed_at", "error_message"},
                ("step", "b"): {"status"},
                ("step", "c"): {"status"},
                ("task", "b"): {"status"},
                ("message", "b"): GONE,
                ("run", ""): {"status", "failed_at", "error_message"},
                ("task", f"_on_failure {retries}" if retries else "_on_failure"): NEW,
                ("message", "_on_failure"): NEW,
            }
        return found
    if outcome == "held" and call == "extend":
        return {message: {"vt"}}
    if outcome == 1:
        released = {"status", "attempts", "lease_token", "worker_id", "started_at"}
        return {task: released, message: {"vt"}}
    # Whoever is told that the run has ended takes along what the end had to leave of the task.
    is_heard = token == "by hand" or (token == "current" and state.status == "started")
    if (
        is_over
        and is_heard
        and call not in ("extend", "hold")
        and state.status in ("queued", "started")
    ):
        return {task: {"status"}, message: GONE}
    return {}


@pytest.fixture(scope="module")
def scene(server: EmbeddedServer, template: str) -> Iterator[Scene]:
    """A session on a database of its own."""
    name = sql.Identifier("outcomes")
    with psycopg.connect(server.dsn("postgres"), autocommit=True) as admin:
        admin.execute(
            sql.SQL("create database {} template {}").format(name, sql.Identifier(template))
        )
        with psycopg.connect(server.dsn("outcomes"), autocommit=True) as connection:
            yield Scene(Engine(connection))
        admin.execute(sql.SQL("drop database {} with (force)").format(name))


def _without_ids(rows: Rows) -> Rows:
    """The ids of new messages come from a sequence, which a rollback does not turn back."""
    return {
        key: {name: value for name, value in row.items() if name not in ("id", "message_id")}
        for key, row in rows.items()
    }


def _check(scene: Scene, state: State, token: str, call: str, before: Rows) -> list[str]:
    """Make a call, and take it back; what is wrong with it."""
    wanted = outcome_of(call, state.task, state.run, token, is_callback=state.is_callback)
    more: dict[str, dict[str, Any]] = {
        "complete": {"output": {"the": "output"}},
        "fail": {"error_message": "it broke again", "error_details": {"line": 1}},
        "fail finally": {"error_message": "it broke for good", "retryable": False},
        "fail, attempts used up": {"error_message": "it broke too often"},
    }
    report = scene.report(state, token, **more.get(call, {}))
    is_report = call not in ("extend", "hold", "release")
    if call == "hold" and token in ("missing", "malformed"):
        return []  # Its arguments cannot be.
    forms: dict[str, Callable[[str, dict[str, Any]], Any]] = {}
    if token != "by hand":
        forms["batch"] = scene.call
    if is_report and token not in ("missing", "malformed", "null"):
        forms["single"] = scene.call_single
    if call == "complete" and token != "by hand":
        forms["exchange"] = lambda _, report: scene.call_and_claim(report)
    wrong = []
    afters = []
    for form, function in forms.items():
        with scene.engine.connection.transaction(force_rollback=True):
            if call == "fail, attempts used up":
                scene.use_up_attempts()
            # The same chance for all forms.
            scene.engine.value("select setseed(0.5)")
            got = function(call, report)
            after = scene.rows()
            afters.append(after)
            changed = changes(before, after)
            if got != wanted:
                wrong.append(f"{call}, token {token}, {form}: {got}, not {wanted}")
            expected = expected_changes(call, state, token, wanted, before, scene)
            if changed != expected:
                wrong.append(f"{call}, token {token}, {form}: changed {changed}, not {expected}")
            if wanted in ("completed", "failed") and after["task", scene.step]["status"] != wanted:
                wrong.append(f"{call}, token {token}, {form}: the task is not {wanted}")
            # Of one form: the others leave the same rows, or differ.
            if state.is_legal and not afters[1:] and (problems := scene.engine.problems()):
                wrong.append(f"{call}, token {token}, {form}: {problems}")
    if any(_without_ids(after) != _without_ids(afters[0]) for after in afters[1:]):
        wrong.append(f"{call}, token {token}: the forms differ")
    return wrong


@pytest.mark.parametrize("state", STATES, ids=str)
def test_every_token_and_call_has_its_outcome(scene: Scene, state: State) -> None:
    wrong = []
    with scene.engine.connection.transaction(force_rollback=True):
        scene.build(state)
        before = scene.rows()
        if state.is_legal:
            assert scene.engine.problems() == []
        for token, call in itertools.product(TOKENS, CALLS):
            wrong += _check(scene, state, token, call, before)
    assert wrong == []


def test_the_states_that_nothing_leads_to_break_a_rule(scene: Scene) -> None:
    """But for skipped tasks, cancelled callbacks, and a failure in a cancelled run: harmless."""
    harmless = {("failed", "cancelled")}
    for state in STATES:
        if (
            not state.is_legal
            and not state.is_callback
            and state.task != "skipped"
            and (state.task, state.run) not in harmless
        ):
            with scene.engine.connection.transaction(force_rollback=True):
                scene.build(state)
                scene.engine.connection.execute("delete from quantumflow._unfinished_ends")
                assert scene.engine.problems() != [], str(state)
