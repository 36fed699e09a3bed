"""Worker processes for the tests to kill: python -m crash.worker_program KIND BEHAVIOUR DSN.

KIND is plain, psycopg and the SQL functions, client, the package's own worker, or paying, that
with a handler that writes in ctx.transaction(). BEHAVIOUR is hang, which says "begun" and never
ends its task; hang later, which has done 100 tasks before (client only); die, which kills itself in
its first task; die handed b (client only), which kills itself when it has b, before it begins it;
work, which ends when there is nothing to claim; load (plain only), which goes on until it is
stopped; a point of its transaction at which paying kills itself; or told (client only), which goes
on, and says how its handlers are stopped.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import itertools
import json
import os
import re
import signal
import sys
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

import psycopg

from quantumflow_client import Client, Context
from quantumflow_client._worker import host
from quantumflow_client._worker.claims import Claims
from quantumflow_client._worker.transaction import TaskTransaction
from support.engine import Engine, Task

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

COMMANDS = ["a", "b", "note"]


def say(word: str) -> None:
    """Print a line in one piece, as print() does not when threads print at once."""
    os.write(sys.stdout.fileno(), f"{word}\n".encode())


def _behave(behaviour: str) -> str:
    if behaviour == "hang":
        say("begun")
        signal.pause()
    if behaviour == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    return "done"


def run_plain(behaviour: str, dsn: str) -> None:
    """A worker in a dozen lines, as anybody could write it."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        engine = Engine(connection)
        while tasks := engine.claim(1):
            for task in tasks:
                engine.complete(task, _behave(behaviour))


def run_client(behaviour: str, dsn: str) -> None:
    """The package's worker."""
    if behaviour == "die handed b":
        _die_when_handed("b")
    with Client(dsn) as client:
        for name in COMMANDS:
            client.command(name)(
                _hang_later() if behaviour == "hang later" else lambda: _behave(behaviour)
            )
        client.poll_and_run(concurrency=1, until_idle=True)


def _hang_later() -> Callable[[], str]:
    begun = itertools.count()
    return lambda: _behave("hang" if next(begun) == 100 else "work")


def _die_when_handed(command: str) -> None:
    begin = Claims.begin

    def die(self: Claims, tasks: Any, **options: Any) -> Any:
        if any(task.command == command for task in tasks):
            os.kill(os.getpid(), signal.SIGKILL)
        return begin(self, tasks, **options)

    Claims.begin = die  # type: ignore[method-assign]


class _Deadly(TaskTransaction):
    """A transaction in which the worker dies."""

    point = ""

    def _do(self, what: Any) -> Any:
        name = what.name if isinstance(what, enum.Enum) else call_in(what.statement)
        self._die_at(f"before {name}")
        answer = super()._do(what)
        self._die_at(f"after {name}")
        return answer

    def _die_at(self, point: str) -> None:
        if self.point == point:
            os.kill(os.getpid(), signal.SIGKILL)


def call_in(statement: str) -> str:
    """The function that a statement calls."""
    found = re.search(r"quantumflow\.(\w+)", statement)
    assert found is not None
    return found[1]


def run_paying(behaviour: str, dsn: str) -> None:
    """The package's worker, with a step that pays in its own transaction."""
    _Deadly.point = behaviour

    def pay(ctx: Context) -> int:
        with ctx.transaction() as connection:
            connection.execute("insert into paid values (%s)", (ctx.attempt,))
            if behaviour == "written":
                os.kill(os.getpid(), signal.SIGKILL)
            if behaviour == "hang":
                _behave(behaviour)
        return ctx.attempt

    host.TaskTransaction = _Deadly  # type: ignore[attr-defined]
    with Client(dsn) as client:
        client.command("a")(pay)
        client.command("b")(lambda a: a)
        client.poll_and_run(concurrency=1, until_idle=True)


def run_told(dsn: str) -> None:
    """The package's worker, with handlers that only end when they are told to."""

    def wait(ctx: Context) -> None:
        say("begun")
        while not ctx.cancelled:
            time.sleep(0.01)
        say("told")

    async def wait_async() -> None:
        say("begun")
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            say("told")
            raise

    with Client(dsn) as client:
        client.command("a")(wait)
        client.command("b")(wait_async)
        client.poll_and_run(lease=timedelta(seconds=1))


class Load:
    """Claims and completes batches whatever happens to the connection, and tells what it was told.

    Every other time it completes and claims in one call: what an answer that got lost handed out
    comes back when its lease is over.

    Every output is unique, and each line on the standard output is an answer that did arrive.
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._worker_id = uuid4()
        self._engine: Engine | None = None
        self._outputs = (f"{os.getpid()} {n}" for n in itertools.count())

    def run(self) -> None:
        tasks: list[Task] = []
        for is_claiming in itertools.cycle((True, False)):
            if not tasks:
                tasks = self._persist(lambda engine: engine.claim(20, lease=1.0))
            if tasks:
                results = [(task, next(self._outputs)) for task in tasks]
                tasks = self._report(results, is_claiming=is_claiming)
            else:
                time.sleep(0.01)

    def _report(self, results: list[tuple[Task, Any]], *, is_claiming: bool) -> list[Task]:
        # After a failure it is not known whether the report arrived, so it is sent again.
        tasks: list[Task] = []
        if is_claiming:
            outcomes, tasks = self._persist(lambda e: e.exchange(results, 20, lease=1.0))
        else:
            outcomes = self._persist(lambda engine: engine.complete_all(results))
        for (task, output), outcome in zip(results, outcomes, strict=True):
            line = [str(task.run_id), task.step_slug, task.task_index, output, outcome]
            print(json.dumps(line))
        sys.stdout.flush()
        return tasks

    def _persist(self, call: Callable[[Engine], T]) -> T:
        while True:
            with contextlib.suppress(psycopg.OperationalError):
                if self._engine is None:
                    connection = psycopg.connect(
                        self._dsn, autocommit=True, application_name="load"
                    )
                    self._engine = Engine(connection)
                    self._engine.worker_id = self._worker_id
                return call(self._engine)
            if self._engine is not None:
                self._engine.connection.close()
                self._engine = None
            time.sleep(0.01)


def main(kind: str, behaviour: str, dsn: str) -> None:
    if behaviour == "load":
        Load(dsn).run()
    elif kind == "plain":
        run_plain(behaviour, dsn)
    elif kind == "paying":
        run_paying(behaviour, dsn)
    elif behaviour == "told":
        run_told(dsn)
    else:
        run_client(behaviour, dsn)


if __name__ == "__main__":
    main(*sys.argv[1:])
