"""Any calls in any order, on random workflows: after each, the engine is where the model says.

QUANTUMFLOW_MODEL_EXAMPLES says how many sequences; by default few, and always the same ones.

A worker that crashes is one that reports nothing: its token is kept, and may be shown at any later
time, as may any other old one. The model is model/machine.py.
"""

from __future__ import annotations

import itertools
import os
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from psycopg import sql
from psycopg.types.json import Jsonb

from model.flows import bare_flows
from model.machine import CALLBACKS, GOING_ON, LIVE, Key, Model, RunState
from support.engine import EPOCH, Engine, Task, allow_test_clock, remove_runs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from model.rules import Flow
    from quantumflow_client.embedded import EmbeddedServer

_EXAMPLES = int(os.environ.get("QUANTUMFLOW_MODEL_EXAMPLES", "5"))
_SETTINGS = settings(
    max_examples=_EXAMPLES,
    stateful_step_count=80,
    derandomize="QUANTUMFLOW_MODEL_EXAMPLES" not in os.environ,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
_numbers = itertools.count(1)

# Small numbers mean what was made last, large ones what is over.
_RECENT = st.one_of(st.integers(0, 2), st.integers(0, 40))
_LEASES = st.sampled_from([1, 30, 4000, 80000])
_OUTPUTS: st.SearchStrategy[Any] = st.sampled_from(
    [["x", None], [], [1], [[], {}], None, {"no": "array"}]
)

Attempt = tuple[UUID, Key, int]


class Machine(RuleBasedStateMachine):
    """The rules of the state machine: each calls the engine and the model alike."""

    engine: Engine

    @initialize(flow=bare_flows())
    def define(self, flow: Flow) -> None:
        self.slug = f"machine_{next(_numbers)}"
        self.engine.connection.execute(
            "select from quantumflow.define_flow(%s)", (Jsonb(flow.definition(self.slug)),)
        )
        remove_runs(self.engine.connection)
        # Some maps are counted in one row, some in several.
        self.engine.count_apart_from(2)
        # A claim remembers for some milliseconds where messages begin, and this clock stands still.
        self.engine.connection.execute("vacuum pgmq.q_quantum_flow_queue")
        self.engine.value("select set_config('quantumflow.front_quantum_flow_queue', '', false)")
        self.model = Model(flow)
        self.attempts: list[Attempt] = []
        self._set_clock(0)

    def _set_clock(self, now: float) -> None:
        self.model.now = now
        self.engine.set_clock(now)

    def _attempt(self, place: int) -> Attempt:
        """Mostly one that is live; else any, those of crashed workers among them."""
        live = [
            (run.id, key, task.token)
            for run, key, task in self.model.tasks()
            if task.status == "started" and task.token is not None
        ]
        found = live if live and place < 30 else self.attempts
        return found[-1 - place % len(found)]

    def _run(self, place: int) -> RunState:
        runs = [*self.model.runs.values()]
        return runs[-1 - place % len(runs)]

    def _refused(self, call: Callable[[], Any]) -> Any:
        """The answer, or the code of the refusal."""
        try:
            return call()
        except psycopg.Error as error:
            if (error.sqlstate or "").startswith("QF"):
                return error.sqlstate
            raise

    # Runs.

    @precondition(lambda self: len(self.model.runs) < 3)
    @rule()
    def start(self) -> None:
        self.model.start(self.engine.start(self.slug, self.model.flow.run_input))

    @precondition(lambda self: self.model.runs)
    @rule(place=_RECENT, verb=st.sampled_from(["pause", "resume", "cancel", "delete"]))
    def steer(self, place: int, verb: str) -> None:
        run = self._run(place)
        wanted = getattr(self, f"_{verb}")(run)
        query = f"select status from quantumflow.{verb}_run(%s)"
        assert self._refused(lambda: self.engine.value(query, run.id)) == wanted

    def _cancel(self, run: RunState) -> str:
        if run.status in GOING_ON:
            run.end("cancelled", self.model.now)
        return run.status if run.status == "cancelled" else "QF207"

    def _pause(self, run: RunState) -> str:
        if run.status not in GOING_ON:
            return "QF207"
        run.status = "paused"
        return run.status

    def _resume(self, run: RunState) -> str:
        if run.status not in GOING_ON:
            return "QF207"
        run.status = "started"
        run.start_ready(self.model.now)
        return run.status

    def _delete(self, run: RunState) -> str:
        callbacks = {t.status for key, t in run.tasks.items() if key[0] in CALLBACKS.values()}
        if run.status in GOING_ON or callbacks & set(LIVE):
            return "QF213"
        del self.model.runs[run.id]
        return run.status

    @precondition(lambda self: self.model.runs)
    @rule(place=_RECENT, step=st.one_of(st.none(), st.integers(0, 7)), given_up=st.booleans())
    def retry(self, place: int, step: int | None, given_up: bool) -> None:
        run = self._run(place)
        from_step = None if step is None else f"s{step}"
        wanted = "QF213"
        if run.status not in GOING_ON:
            wanted = run.retry(from_step, self.model.now, given_up=given_up) or run.status
        query = "select status from quantumflow.retry_run(%s, %s, given_up => %s)"
        found = self._refused(lambda: self.engine.value(query, run.id, from_step, given_up))
        assert found == wanted

    # Time.

    @rule(seconds=st.sampled_from([1, 59, 1200, 20000]))
    def advance(self, seconds: int) -> None:
        self._set_clock(self.model.now + seconds)

    @precondition(lambda self: any(t.status == "started" for _, _, t in self.model.tasks()))
    @rule()
    def let_a_lease_expire(self) -> None:
        ends = [task.lease_end for _, _, task in self.model.tasks() if task.status == "started"]
        self._set_clock(max(self.model.now, min(ends)))

    @precondition(lambda self: self.model.runs)
    @rule()
    def sweep(self) -> None:
        self.engine.sweep()
        self._notice_lapses()
        self.model.settle()
        # All leases that have run out, not some.
        assert not any(run.has_lapsed(key, self.model.now) for run, key, _ in self.model.tasks())

    @precondition(lambda self: self._waits())
    @rule()
    def settle(self) -> None:
        assert self._settle() == self.model.settle()

    @precondition(lambda self: self._waits())
    @rule(place=_RECENT, name=st.sampled_from(["go", "stop"]), payload=_OUTPUTS)
    def send_signal(self, place: int, name: str, payload: Any) -> None:
        run = self._run(place)
        # Else some that lie there are taken with it.
        assert self._settle() == self.model.settle()
        query = "select quantumflow.send_signal(%s, %s, %s)"
        found = self.engine.value(query, run.id, name, Jsonb(payload))
        assert found == self.model.send(run.id, name, payload)

    def _settle(self) -> int:
        return int(self.engine.value("select settled from quantumflow.settle()"))

    def _waits(self) -> bool:
        return bool(self.model.runs) and any(step.is_settled for step in self.model.flow.steps)

    @precondition(lambda self: self.model.runs)
    @rule()
    def repair(self) -> None:
        """There is nothing to repair, and so nothing changes."""
        assert self.engine.rows("select * from quantumflow.repair(dry_run => false)") == []

    # Tasks.

    @precondition(lambda self: self.model.runs)
    @rule(quantity=st.sampled_from([1, 2, 10]), lease=_LEASES)
    def claim(self, quantity: int, lease: int) -> None:
        self._claim(quantity, lease)

    def _claim(self, quantity: int, lease: int) -> None:
        before = self._claimable()
        tasks = self.engine.claim(quantity, lease=lease)
        self._notice_lapses()
        self._take(tasks, before, quantity, lease)

    def _claimable(self) -> list[tuple[RunState, Key]]:
        now = self.model.now
        return [(run, key) for run, key, _ in self.model.tasks() if run.is_claimable(key, now)]

    def _take(
        self, tasks: list[Task], before: list[tuple[RunState, Key]], quantity: int, lease: int
    ) -> None:
        """Tasks were handed out, of those that could be before, and of what the call made."""
        now = self.model.now
        assert len(tasks) <= quantity
        for task in tasks:
            key = task.step_slug, task.task_index
            was_lost = self.model.runs[task.run_id].tasks[key].losses > 0
            assert not was_lost or len(tasks) == 1, "what was lost before comes alone"
            self.model.claim(task.run_id, key, task.lease_token, lease)
            self.attempts.append((task.run_id, key, task.lease_token))
        if quantity == 10 and len(tasks) < quantity:
            # It left only what comes alone, and what it has made ready itself; or as many that come
            # alone were before the others.
            left = [run.tasks[key] for run, key in before if run.is_claimable(key, now)]
            alone = [t for r, k, t in self.model.tasks() if t.losses and r.is_claimable(k, now)]
            assert (
                len(tasks) == 1
                or all(task.losses > 0 for task in left)
                or len(tasks) + len(alone) >= quantity
            )
        if quantity == 10 and not tasks:
            for run, key, _ in self.model.tasks():
                assert not run.is_claimable(key, now)
                assert not run.has_lapsed(key, now)

    @precondition(lambda self: self.attempts)
    @rule(
        places=st.lists(_RECENT, max_size=3),
        output=_OUTPUTS,
        is_fitting=st.sampled_from([True, True, True, False]),
        quantity=st.sampled_from([1, 2, 10]),
        lease=_LEASES,
    )
    def exchange(
        self, places: list[int], output: Any, is_fitting: bool, quantity: int, lease: int
    ) -> None:
        """Report some, and get others for them: what becomes ready, and what there was."""
        results: list[tuple[Task, Any]] = []
        # In a batch, one that does not fit would be judged after the others.
        is_fitting = is_fitting or len(places) > 1
        for place in places:
            run_id, key, token = self._attempt(place)
            fitting = self._fitting(run_id, key, output) if is_fitting else output
            results.append((Task(run_id, *key, token, None, 0), fitting))
        wanted = self.model.complete_all(
            [
                (t.run_id, (t.step_slug, t.task_index), t.lease_token, fitting)
                for t, fitting in results
            ]
        )
        before = self._claimable()
        outcomes, tasks = self.engine.exchange(results, quantity, lease=lease)
        assert outcomes == wanted
        self._notice_lapses()
        self._forget_cancelled(before)
        self._take(tasks, before, quantity, lease)

    def _forget_cancelled(self, handed_over: list[tuple[RunState, Key]]) -> None:
        """What was handed over, but then cancelled by a lapse that the call noticed."""
        for run, key in handed_over:
            task = run.tasks[key]
            if task.status == "cancelled":
                ((task.attempts, task.token),) = self.engine.rows(
                    "select attempts, lease_token from quantumflow.step_tasks "
                    "where (run_id, step_slug, task_index) = (%s, %s, %s)",
                    run.id,
                    *key,
                )

    def _fitting(self, run_id: UUID, key: Key, output: Any) -> Any:
        """The output, or what may stand for it."""
        run = self.model.runs.get(run_id)
        if run is None or key not in run.tasks or self.model.fits(run_id, key, output):
            return output
        return [output] * len(run.tasks[key].item or [])

    def _notice_lapses(self) -> None:
        found = self.engine.rows(
            "select run_id, step_slug, task_index, retries, attempt "
            "from quantumflow.task_failures where not reported and kind <> 'condition' "
            "and lease_token is not null "
            "order by cmin::text::int"  # as they were found: those of one call are new
        )
        self.model.lapse(
            (run_id, (slug, index))
            for run_id, slug, index, retries, attempt in found
            if (slug, index, retries, attempt) not in self.model.runs[run_id].failures
        )

    @precondition(lambda self: self.model.runs)
    @rule(output=st.sampled_from([[], ["x", None]]))
    def work(self, output: Any) -> None:
        """Claim what there is, and complete it."""
        before = len(self.attempts)
        self._claim(10, 30)
        for run_id, key, token in self.attempts[before:]:
            self._complete(run_id, key, token, self._fitting(run_id, key, output))

    @precondition(lambda self: self.attempts)
    @rule(place=_RECENT, output=_OUTPUTS, is_fitting=st.booleans())
    def complete(self, place: int, output: Any, is_fitting: bool) -> None:
        run_id, key, token = self._attempt(place)
        fitting = self._fitting(run_id, key, output) if is_fitting else output
        self._complete(run_id, key, token, fitting)

    @precondition(lambda self: self.attempts)
    @rule(place=_RECENT, final=st.sampled_from([False, False, False, True]))
    def fail(self, place: int, final: bool) -> None:
        self._fail(*self._attempt(place), final)

    @precondition(lambda self: any(run.tasks for run in self.model.runs.values()))
    @rule(place=_RECENT, output=_OUTPUTS, is_failure=st.booleans())
    def act_by_hand(self, place: int, output: Any, is_failure: bool) -> None:
        places = [(run.id, key) for run, key, _ in self.model.tasks()]
        run_id, key = places[-1 - place % len(places)]
        if is_failure:
            self._fail(run_id, key, None, False)
        else:
            self._complete(run_id, key, None, output)

    def _complete(self, run_id: UUID, key: Key, token: int | None, output: Any) -> None:
        wanted = self.model.complete(run_id, key, token, output)
        query = "select quantumflow.complete_task(%s, %s, %s, %s, %s)"
        assert self.engine.value(query, run_id, *key, Jsonb(output), token) == wanted

    def _fail(self, run_id: UUID, key: Key, token: int | None, final: bool) -> None:
        wanted = self.model.fail(run_id, key, token, final=final)
        query = "select quantumflow.fail_task(%s, %s, %s, 'it broke', %s, %s)"
        assert self.engine.value(query, run_id, *key, token, not final) == wanted

    @precondition(lambda self: self.attempts)
    @rule(place=_RECENT, lease=_LEASES)
    def extend(self, place: int, lease: int) -> None:
        run_id, key, token = self._attempt(place)
        wanted = self.model.extend(run_id, key, token, lease)
        query = "select state from quantumflow.extend_leases(%s, %s, %s)"
        worker, leased = self.engine.worker_id, timedelta(seconds=lease)
        assert self.engine.value(query, worker, self._reports(run_id, key, token), leased) == wanted

    @precondition(lambda self: self.attempts)
    @rule(place=_RECENT)
    def hold(self, place: int) -> None:
        run_id, key, token = self._attempt(place)
        wanted = self.model.hold(run_id, key, token)
        query = "select quantumflow.hold_task(%s, %s, %s, %s)"
        assert self.engine.value(query, run_id, *key, token) == wanted

    @precondition(lambda self: self.attempts)
    @rule(place=_RECENT)
    def release(self, place: int) -> None:
        run_id, key, token = self._attempt(place)
        wanted = self.model.release(run_id, key, token)
        query = "select quantumflow.release_tasks(%s)"
        assert self.engine.value(query, self._reports(run_id, key, token)) == wanted

    def _reports(self, run_id: UUID, key: Key, token: int) -> Jsonb:
        slug, index = key
        return Jsonb(
            [
                {
                    "run_id": str(run_id),
                    "step_slug": slug,
                    "task_index": index,
                    "lease_token": token,
                }
            ]
        )

    # What is always true.

    @invariant()
    def no_rule_is_broken(self) -> None:
        assert self.engine.problems() == []

    @invariant()
    def the_engine_is_where_the_model_is(self) -> None:
        model, rows = self.model, self.engine.rows
        assert {
            row[0]: row[1:]
            for row in rows(
                "select id, status, remaining_steps, retries, output, gave_up "
                "from quantumflow.workflow_runs"
            )
        } == {
            run.id: (run.status, run.remaining_steps, run.retries, run.output, run.gave_up)
            for run in model.runs.values()
        }
        assert {
            row[:2]: row[2:]
            for row in rows(
                """
                select run_id, step_slug, s.status, s.remaining_deps, f.remaining_tasks, s.output,
                  s.skip_reason
                from quantumflow.step_states s
                join quantumflow._step_facts(null) f using (run_id, step_slug)
                """
            )
        } == {
            (run.id, name): (
                step.status,
                step.remaining_deps,
                step.remaining_tasks,
                step.output,
                step.skip_reason,
            )
            for run in model.runs.values()
            for name, step in run.steps.items()
        }
        self._check_tasks()
        assert sorted(
            rows(
                "select run_id, step_slug, task_index, retries, attempt, kind, lease_token, "
                "reported from quantumflow.task_failures"
            ),
            key=str,
        ) == sorted(
            (
                (run.id, *key, *failure)
                for run in model.runs.values()
                for key, failure in run.failures.items()
            ),
            key=str,
        )

    def _check_tasks(self) -> None:
        found = self.engine.rows(
            "select run_id, step_slug, task_index, status, attempts, losses, lease_token, output, "
            "item_value, extract(epoch from queued_at - %s)::float from quantumflow.step_tasks",
            EPOCH,
        )
        assert {(row[0], row[1:3]): row[3:-1] for row in found} == {
            (run.id, key): (t.status, t.attempts, t.losses, t.token, t.output, t.item)
            for run, key, t in self.model.tasks()
        }
        for run_id, slug, index, *_, queued_at in found:
            task = self.model.runs[run_id].tasks[slug, index]
            latest = max(task.ready_at, task.ready_by)
            assert (
                task.status != "queued"
                or task.ready_at == queued_at
                or task.ready_at - 0.01 < queued_at < latest + 0.01
            )
            task.delay(queued_at, queued_at)


@pytest.fixture(scope="module")
def engine(server: EmbeddedServer, template: str) -> Iterator[Engine]:
    """A session on a database of its own."""
    name = sql.Identifier("machine")
    with psycopg.connect(server.dsn("postgres"), autocommit=True) as admin:
        create = sql.SQL("create database {} template {}")
        admin.execute(create.format(name, sql.Identifier(template)))
        with psycopg.connect(server.dsn("machine"), autocommit=True) as connection:
            allow_test_clock(connection)
            yield Engine(connection)
        admin.execute(sql.SQL("drop database {} with (force)").format(name))


@pytest.mark.timeout(0 if "QUANTUMFLOW_MODEL_EXAMPLES" in os.environ else 300)
def test_any_calls_in_any_order(engine: Engine) -> None:
    Machine.engine = engine
    run_state_machine_as_test(Machine, settings=_SETTINGS)
