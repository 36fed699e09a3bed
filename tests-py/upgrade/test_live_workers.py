"""Workers, waiting clients and calls in the middle ride through an upgrade."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg
import pytest
from psycopg import sql

from quantumflow_client import Client, _connections, _extension, _sql
from support.engine import Engine, Task
from support.server import REPOSITORY
from support.waiting import is_blocked, wait_until, wait_until_blocked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from uuid import UUID

    from quantumflow_client.embedded import EmbeddedServer
    from upgrade.installation import Installation

Connection = psycopg.Connection[Any]
T = TypeVar("T")

pytestmark = pytest.mark.system


@contextlib.contextmanager
def worker(dsn: str, output: Path) -> Iterator[subprocess.Popen[str]]:
    with output.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "upgrade.worker_program", dsn],
            stdout=file,
            stderr=subprocess.PIPE,
            text=True,
            cwd=REPOSITORY / "tests-py",
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()


# What only the new version knows, done by workers that only know the old one.
DECIDING: list[dict[str, Any]] = [
    {"name": "first"},
    {"name": "each", "type": "map", "tolerate": 1},
    {"name": "large", "command": "last", "dependencies": ["first"], "if": "$.first > 100"},
    {"name": "small", "command": "last", "dependencies": ["first"], "if": "$.first <= 100"},
    {"name": "last", "dependencies": ["large", "small"], "join": "any"},
    {"name": "hopeless", "command": "last", "args": "fail", "on_error": "continue"},
    {"name": "guess", "command": "last", "args": "fail", "fallback": 7},
    {
        "name": "sorry",
        "command": "last",
        "dependencies": ["hopeless"],
        "join": "none",
        "if": '$status.hopeless == "failed"',
    },
    {
        "name": "again",
        "type": "loop",
        "command": "last",
        "until": "$.last == 2 && $iteration == 1",
        "max_iterations": 2,
    },
]
DECIDED = {"each": [1, None], "last": 2, "guess": 7, "sorry": 2, "again": 2}


def test_workers_go_on(
    monkeypatch: pytest.MonkeyPatch,
    old: Installation,
    old_connection: Connection,
    connect: Callable[..., Connection],
    tmp_path: Path,
) -> None:
    engine = Engine(old_connection)
    runs, items = 150, 4
    # As 0.3.0's client asks.
    asks = _sql.runs._STATUS
    for added in (", summary => %(summary)s", ", tree => %(tree)s"):
        assert added in asks
        asks = asks.replace(added, "")
    monkeypatch.setattr(_sql.runs, "_STATUS", asks)
    steps: list[dict[str, Any]] = [
        {"name": "first"},
        {"name": "each", "type": "map"},
        {"name": "last", "dependencies": ["first", "each"]},
    ]
    engine.define("load", steps, timeout=3600)
    inputs = [list(range(items))] * runs
    run_ids = engine.start_many("load", inputs)
    total = 2 * runs * (items + 2)

    def completed() -> int:
        query = "select count(*) from quantumflow.step_tasks where status = 'completed'"
        return int(engine.value(query))

    files = [tmp_path / name for name in ("one", "two")]
    with (
        worker(old.dsn, files[0]) as one,
        worker(old.dsn, files[1]) as two,
        Client(old.dsn) as waiting,
        ThreadPoolExecutor() as pool,
    ):
        outputs = pool.submit(lambda: [waiting.wait(run_id, timeout=60) for run_id in run_ids])

        def is_under_way() -> bool:
            for process in (one, two):
                assert process.poll() is None, process.stderr and process.stderr.read()
            return completed() > total / 8

        # Long after every statement was prepared.
        wait_until(is_under_way, timeout=60)
        old.update(connect(old.dsn))
        later = engine.start_many("load", inputs)
        engine.define("load", DECIDING, timeout=3600)
        decided = engine.start_many("load", [[1, "fail"]] * 20)
        assert outputs.result(60) == [{"last": items}] * runs
        assert [waiting.wait(run_id, timeout=60) for run_id in later] == [{"last": items}] * runs
        assert [waiting.wait(run_id, timeout=60) for run_id in decided] == [DECIDED] * 20
        for process in (one, two):
            assert process.poll() is None
            process.send_signal(signal.SIGTERM)
        for process in (one, two):
            _, said = process.communicate(timeout=30)
            assert process.returncode == 0, said

    called = Counter(line for file in files for line in file.read_text("utf-8").splitlines())
    assert len(called) == total + 20 * 10
    assert set(called.values()) == {1}
    assert {json.loads(line)[3] for line in called} == {1}
    assert engine.value("select sum(attempts) from quantumflow.step_tasks") == total + 20 * 10
    assert engine.value("select count(*) from quantumflow.task_failures") == 20 * 3
    assert engine.value("select sum(gave_up) from quantumflow.workflow_runs") == 20 * 3
    assert engine.problems() == []
    assert engine.value("select quantumflow.version()") == _extension.version()


def relations(connection: Connection) -> list[str]:
    """The tables and views of an installation, and its queues."""
    found = connection.execute(
        "select c.oid::regclass::text from pg_class c "
        "where c.relkind in ('r', 'v') and (c.relnamespace = 'quantumflow'::regnamespace "
        "or c.relnamespace = to_regnamespace('pgmq') and c.relname ^@ 'q_') order by 1"
    )
    return [name for (name,) in found]


def test_an_update_that_waits_for_somebody_is_in_nobodys_way(
    old: Installation, old_connection: Connection, connect: Callable[..., Connection]
) -> None:
    """Whoever holds a table, a view or a queue and then wants any other gets it, not a deadlock."""
    looking = connect(old.dsn)
    looking.execute("select quantumflow.setup()")
    impatient = "-c deadlock_timeout=20ms -c lock_timeout=20s"
    for held in relations(looking):
        with (
            ThreadPoolExecutor(1) as pool,
            psycopg.connect(old.dsn, options=impatient) as somebody,
        ):
            somebody.execute(sql.SQL(f"select from {held}"))
            update = pool.submit(old.update, old_connection)
            wait_until_blocked(looking, old_connection.info.backend_pid)
            for wanted in relations(looking):
                somebody.execute(sql.SQL(f"select from {wanted}"))
            old_connection.cancel()
            with pytest.raises(psycopg.errors.QueryCanceled):
                update.result(30)
    old.update(old_connection)


def test_an_update_lets_a_transaction_of_several_calls_go_on(
    old: Installation, old_connection: Connection, connect: Callable[..., Connection]
) -> None:
    looking = Engine(connect(old.dsn))
    looking.define("f", [{"name": "s"}])
    with (
        ThreadPoolExecutor(1) as pool,
        psycopg.connect(old.dsn, options="-c deadlock_timeout=20ms") as connection,
    ):
        somebody = Engine(connection)
        assert somebody.value("select quantumflow.get_flow('f')->>'slug'") == "f"
        update = pool.submit(old.update, old_connection)
        wait_until_blocked(looking.connection, old_connection.info.backend_pid)
        run_id = somebody.start("f")
        assert somebody.problems() == []
        connection.commit()
        update.result(30)
    assert looking.drain() == 1
    assert looking.run_status(run_id) == "completed"


# What somebody may be doing: the call, of a run of two tasks, the first of them held; its answer.
CALLS: dict[str, tuple[Callable[[Engine, UUID, Task], Any], Any]] = {
    "claim": (lambda engine, *_: len(engine.claim(9, queues=["claim"])), 1),
    "complete": (lambda engine, _, task: engine.complete(task, 5), "completed"),
    "fail": (lambda engine, _, task: engine.fail(task), "retrying"),
    "fail_for_good": (lambda engine, _, task: engine.fail(task, retryable=False), "failed"),
    "extend": (lambda engine, _, task: engine.extend([task]), ["held"]),
    "release": (lambda engine, _, task: engine.release([task]), 1),
    "sweep": (lambda engine, *_: sum(engine.sweep().values()), 0),
    "start": (lambda engine, *_: engine.run_status(engine.start("start", [3])), "started"),
    "start_many": (lambda engine, *_: len(engine.start_many("start_many", [[3], [4]])), 2),
    "cancel": (lambda engine, run_id, _: engine.cancel(run_id), "cancelled"),
    "status": (
        lambda engine, run_id, _: engine.value("select quantumflow.status(%s)->>'status'", run_id),
        "started",
    ),
    "list": (
        lambda engine, run_id, _: (
            engine.value("select run_id from quantumflow.list_runs('list')") == run_id
        ),
        True,
    ),
    "run_input": (
        lambda engine, run_id, _: engine.value("select quantumflow.run_input(%s)", run_id),
        [1, 2],
    ),
    # Its snapshot is from before the messages got their commands.
    "check": (
        lambda engine, *_: engine.rows(
            "select * from quantumflow.check_state() where remedy <> 'name the command'"
        ),
        [],
    ),
    "register": (
        lambda engine, *_: engine.rows(
            "select quantumflow.register_worker(gen_random_uuid(), 'w', '{s}', '{register}')"
        ),
        [("",)],
    ),
}


def _persist(engine: Engine, call: Callable[[Engine], T]) -> T:
    """Call, and do as the client does with errors."""
    try:
        return call(engine)
    except psycopg.Error as error:
        if not _connections._is_passing(engine.connection, error):
            raise
    return call(engine)


def _is_settled(answer: Future[Any], looking: Engine, pid: int) -> bool:
    return answer.done() or is_blocked(looking.connection, pid)


def test_calls_that_wait_for_the_upgrade_go_on(
    new_database: Callable[..., str],
    server: EmbeddedServer,
    old_template: Callable[[str, bool], str],
    old_version: str,
    connect: Callable[..., Connection],
) -> None:
    """Each has begun in the old version, waits at a table it needs, or is done, ends in the new."""
    dsn = server.dsn(new_database(old_template(old_version, False)))
    looking = Engine(connect(dsn))
    begun = {}
    for name in CALLS:
        looking.define(name, [{"name": "s", "type": "map"}], queue=name)
        run_id = looking.start(name, [1, 2])
        begun[name] = run_id, looking.claim(1, queues=[name])[0]

    # The connection with the locks is closed first, however the test goes.
    with ThreadPoolExecutor(len(CALLS)) as pool, psycopg.connect(dsn) as admin:
        # As the update does itself: whoever waits for it holds nothing then.
        admin.execute(sql.SQL("lock table " + ", ".join(relations(looking.connection))))
        answers = {}
        for name, (call, _) in CALLS.items():
            engine = Engine(connect(dsn))
            engine.worker_id = looking.worker_id
            answers[name] = pool.submit(_persist, engine, lambda e, c=call, b=begun[name]: c(e, *b))
            wait_until(partial(_is_settled, answers[name], looking, engine.pid))
        admin.execute("alter extension quantumflow update")
        admin.commit()
        found = {name: answer.result(30) for name, answer in answers.items()}
    assert found == {name: expected for name, (_, expected) in CALLS.items()}
    assert looking.problems() == []


@pytest.mark.parametrize("old_version", ["0.3.0"])
@pytest.mark.parametrize(
    "call",
    [
        "claim_tasks(gen_random_uuid())",
        "complete_and_claim(gen_random_uuid(), '[]')",
    ],
)
def test_a_claim_that_waits_for_the_upgrade_fails_as_an_old_worker_expects(
    old: Installation, old_connection: Connection, connect: Callable[..., Connection], call: str
) -> None:
    """0.3.0's worker makes it again then; of any other error of class 42 it stops."""
    engine = Engine(old_connection)
    engine.define("f", [{"name": "s"}])
    waiting, updating = connect(old.dsn), connect(old.dsn, autocommit=False)
    query = sql.SQL(f"select step_slug from quantumflow.{call}")
    with ThreadPoolExecutor(1) as pool:
        try:
            updating.execute(sql.SQL("lock table " + ", ".join(relations(old_connection))))
            answer = pool.submit(lambda: waiting.execute(query).fetchall())
            wait_until_blocked(old_connection, waiting.info.backend_pid)
            old.update(updating)
            updating.commit()
        finally:
            updating.rollback()
        with pytest.raises(psycopg.errors.UndefinedFunction):
            answer.result(30)
    assert waiting.execute(query).fetchall() == []
