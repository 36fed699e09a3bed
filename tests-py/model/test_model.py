"""Random workflows, worked off in random order, end as the rules say.

QUANTUMFLOW_MODEL_EXAMPLES says how many; by default few, and always the same ones.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import itertools
import os
import random
from typing import TYPE_CHECKING

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql
from psycopg.types.json import Jsonb

from model.flows import flows
from model.rules import Expected, Flow, expect
from model.workers import Notes, Worker
from support.engine import Engine, allow_test_clock, remove_runs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from uuid import UUID

    from quantumflow_client.embedded import EmbeddedServer

# Chance decides how much there is to do.
pytestmark = pytest.mark.timeout(300)

_EXAMPLES = int(os.environ.get("QUANTUMFLOW_MODEL_EXAMPLES", "12"))
_SETTINGS = settings(
    max_examples=_EXAMPLES,
    derandomize="QUANTUMFLOW_MODEL_EXAMPLES" not in os.environ,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
_WORKERS = 4
_numbers = itertools.count(1)

# Seconds between two rounds of the workers: longer than a lease that nobody extends, and than any
# delay before a retry, and shorter than the time to a deadline.
_ROUND = 2 * 3600


@pytest.fixture(scope="module")
def engines(server: EmbeddedServer, template: str) -> Iterator[list[Engine]]:
    """One session to look and one for each worker, on a database of their own."""
    with psycopg.connect(server.dsn("postgres"), autocommit=True) as admin:
        name = sql.Identifier("model")
        admin.execute(
            sql.SQL("create database {} template {}").format(name, sql.Identifier(template))
        )
        with contextlib.ExitStack() as opened:
            yield [
                Engine(opened.enter_context(psycopg.connect(server.dsn("model"), autocommit=True)))
                for _ in range(_WORKERS + 1)
            ]
        admin.execute(sql.SQL("drop database {} with (force)").format(name))


@pytest.fixture(scope="module")
def look(engines: list[Engine]) -> Engine:
    allow_test_clock(engines[0].connection)
    return engines[0]


def _start(look: Engine, flow: Flow, runs: int) -> list[UUID]:
    slug = f"model_{next(_numbers)}"
    look.connection.execute(
        "select from quantumflow.define_flow(%s)", (Jsonb(flow.definition(slug)),)
    )
    remove_runs(look.connection)
    look.set_clock(0)
    return look.start_many(slug, [flow.run_input] * runs)


def _rounds(look: Engine, workers: list[Engine], work: Callable[[], object]) -> None:
    """Let the workers work, then the clock pass, until no message is left."""
    for number in itertools.count():
        assert number < 300, f"messages are left: {look.messages()}"
        for engine in (look, *workers):
            engine.set_clock(number * _ROUND)
        work()
        # A lost lease that ends a run is put back for 100 ms while others claim from that run.
        look.set_clock(number * _ROUND + 1)
        look.sweep()
        assert look.problems() == []
        if look.messages() == 0:
            return


def _check(look: Engine, flow: Flow, expected: Expected, run_id: UUID) -> None:
    """A run that ended by itself must have ended so."""
    assert look.run_status(run_id) == expected.status
    steps = look.step_statuses(run_id)
    tasks = {
        (slug, index): (status, attempts, losses)
        for slug, index, status, attempts, losses in look.rows(
            "select step_slug, task_index, status, attempts, losses "
            "from quantumflow.step_tasks where run_id = %s",
            run_id,
        )
        if not slug.startswith("_")
    }
    if expected.status == "completed":
        assert look.run_output(run_id) == expected.output
        assert steps == expected.steps
        assert tasks == {
            key: (counts.status, counts.attempts, counts.losses)
            for key, counts in expected.tasks.items()
        }
        kinds = look.rows(
            "select kind, count(*) from quantumflow.task_failures "
            "where run_id = %s and step_slug not like '\\_%%' group by kind",
            run_id,
        )
        wanted = {
            "error": sum(counts.errors for counts in expected.tasks.values()),
            "lost": sum(counts.losses for counts in expected.tasks.values()),
            "timeout": sum(counts.timeouts for counts in expected.tasks.values()),
        }
        assert dict(kinds) == {kind: count for kind, count in wanted.items() if count}
    else:
        assert look.run_output(run_id) is None
        # Some step failed that had to; what it left behind is cancelled.
        assert list(steps.values()).count("failed") == 1
        for slug, status in steps.items():
            assert status == "cancelled" or status == expected.steps.get(slug)
        for key, (status, attempts, losses) in tasks.items():
            counts = expected.tasks[key]
            assert status == "cancelled" or (counts.status, counts.attempts, counts.losses) == (
                status,
                attempts,
                losses,
            )
    for slug, status in steps.items():
        if status == "completed":
            output = look.value("select quantumflow.step_output(%s, %s)", run_id, slug)
            assert output == expected.outputs[slug]


def _check_callbacks(
    look: Engine, flow: Flow, expected: Expected, notes: Notes, run_id: UUID, *, cancelled: bool
) -> None:
    called = {task.step_slug for task in notes.callbacks if task.run_id == run_id}
    if cancelled or not flow.has_callbacks:
        assert called == set()
        return
    slug, key = {
        "completed": ("_on_complete", "output"),
        "failed": ("_on_failure", "error"),
    }[expected.status]
    assert called == {slug}
    value = look.value(
        f"select {'output' if key == 'output' else 'error_message'} "
        "from quantumflow.workflow_runs where id = %s",
        run_id,
    )
    inputs = [task.input for task in notes.callbacks if task.run_id == run_id]
    told = {"run": flow.run_input, key: value}
    assert all({name: found[name] for name in ("run", key)} == told for found in inputs)


@_SETTINGS
@given(flow=flows(), seed=st.integers(0, 2**32), cancel_at=st.integers(0, 60))
def test_one_worker_and_every_rule_after_every_call(
    look: Engine, engines: list[Engine], flow: Flow, seed: int, cancel_at: int
) -> None:
    expected = expect(flow)
    (run_id,) = _start(look, flow, 1)
    notes = Notes(flow, expected)
    calls = itertools.count()
    cancelled = []

    def after_each_call() -> None:
        assert look.problems() == []
        if next(calls) == cancel_at and look.run_status(run_id) == "started":
            cancelled.append(look.cancel(run_id))
            assert look.problems() == []

    worker = Worker(engines[1], notes, random.Random(seed), after_each_call)
    _rounds(look, engines[1:2], worker.work)

    if cancelled:
        assert look.run_status(run_id) == "cancelled"
        assert set(look.step_statuses(run_id).values()) <= {"completed", "cancelled"}
    else:
        _check(look, flow, expected, run_id)
    _check_callbacks(look, flow, expected, notes, run_id, cancelled=bool(cancelled))


@_SETTINGS
@given(flow=flows(), seed=st.integers(0, 2**32), cancels=st.booleans())
def test_several_workers_at_once(
    look: Engine, engines: list[Engine], flow: Flow, seed: int, cancels: bool
) -> None:
    expected = expect(flow)
    run_ids = _start(look, flow, 4)
    notes = Notes(flow, expected)
    workers = [
        Worker(engine, notes, random.Random(seed + n)) for n, engine in enumerate(engines[1:])
    ]

    with concurrent.futures.ThreadPoolExecutor(_WORKERS) as pool:

        def work() -> None:
            futures = [pool.submit(worker.work) for worker in workers]
            if cancels and look.run_status(run_ids[0]) == "started":
                look.cancel(run_ids[0])
            while not all(future.done() for future in futures):
                # One snapshot, so it is exact whatever the others are doing.
                assert look.problems() == []
            for future in futures:
                future.result()

        _rounds(look, engines[1:], work)

    for run_id in run_ids:
        cancelled = look.run_status(run_id) == "cancelled"
        assert not cancelled or (cancels and run_id == run_ids[0])
        if not cancelled:
            _check(look, flow, expected, run_id)
        _check_callbacks(look, flow, expected, notes, run_id, cancelled=cancelled)
