"""A context of a handler's that nobody claimed: for tests that call the handler themselves."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import psycopg

from quantumflow_client import _json, _sql
from quantumflow_client.context import Context
from quantumflow_client.errors import UnknownStep

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager, AbstractContextManager

    from quantumflow_client._call import Call
    from quantumflow_client._json import Json

_NONE: Mapping[str, Json] = {}


class MadeContext(Context):
    """What `make_context` makes.

    Attributes:
        used: What the handler has said to have used, by name.
        heartbeats: How often it has extended its lease.
        completed: What it has completed its task with, in a transaction of its own: texts of JSON.
        told: What it has told of its progress: how much is done, of how much, and a note.
    """

    used: dict[str, float]
    heartbeats: int
    completed: list[str]
    told: list[tuple[Any, Any, Any]]

    def cancel(self) -> None:
        """Let `cancelled` be true from now on, and `heartbeat` say so."""
        self._is_told = True

    _is_told = False


def make_context(
    *,
    run: Json = None,
    outputs: Mapping[str, Json] = _NONE,
    item: Json = None,
    index: int | None = None,
    args: Json = None,
    headers: Mapping[str, Json] | None = None,
    attempt: int = 1,
    max_attempts: int = 3,
    retries: int = 0,
    run_id: UUID | None = None,
    workflow_slug: str = "flow",
    step_slug: str = "step",
    command: str | None = None,
    timeout: float | timedelta = 60,
    connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any] | None = None,
) -> MadeContext:
    """Make a context, to call a handler with: nothing is asked of a database.

    ctx = make_context(run={"amount": 42}, outputs={"validate": True}, attempt=2)
    assert charge({"amount": 42}, ctx) == {"paid": 42}

    Args:
        run: The run's input.
        outputs: What steps have returned, by name: those in the task's input, and what `output_of`
            finds.
        item: The item, where the step is a map; then `index` is to be given.
        index: Its position.
        args: What the definition says for the step.
        headers: What travels with the run.
        attempt: Which attempt it is.
        max_attempts: How many may fail.
        retries: How often the run was retried.
        run_id: The run; by default some.
        workflow_slug: The workflow.
        step_slug: The step.
        command: Its command; by default `<workflow>.<step>`.
        timeout: How many seconds, or a timedelta, there are until its deadline.
        connection: What `ctx.transaction()` gives, in a transaction, or savepoint, of its own; by
            default that raises RuntimeError.
    """
    is_map = index is not None
    told: Mapping[str, Json] = {"item": item, "index": index} if is_map else {"run": run, **outputs}
    seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
    deadline = datetime.now(timezone.utc) + timedelta(seconds=seconds)
    task = _sql.tasks.Task(
        ref=_sql.tasks.TaskRef(str(run_id or uuid4()), step_slug, index or 0, 1),
        workflow_slug=workflow_slug,
        command=command or f"{workflow_slug}.{step_slug}",
        args=None if args is None else _json.encode(args, "args"),
        input=_json.encode(told, "the input"),
        attempt=attempt,
        max_attempts=max_attempts,
        lease_expires_at=deadline.timestamp(),
        deadline=deadline.timestamp(),
        headers=None if headers is None else _json.encode(headers, "headers"),
        losses=0,
        step_type="map" if is_map else "single",
        retries=retries,
    )
    known = {"run": run, **outputs}
    give_up = time.monotonic() + seconds

    def is_cancelled() -> bool:
        return made._is_told or time.monotonic() >= give_up  # noqa: SLF001 - its own

    def beat() -> bool:
        made.heartbeats += 1
        return not is_cancelled()

    def fetch(call: Call[str | None]) -> str | None:
        if "done" in call.params:
            made.told.append((call.params["done"], call.params["total"], call.params["note"]))
            return "cancelled" if is_cancelled() else "held"
        step = str(call.params.get("step_slug", "run"))
        if step not in known:
            raise UnknownStep(
                f"step {step!r} has no output here", hint="make_context(outputs={...}) gives some."
            )
        return _json.encode(known[step], f"the output of {step!r}")

    def transaction() -> Any:
        return _Transaction(connection, made.completed)

    used: dict[str, float] = {}
    made = MadeContext(
        task,
        cancelled=is_cancelled,
        heartbeat=beat,
        fetch=fetch,
        transaction=transaction,
        used=used,
    )
    made.used, made.heartbeats, made.completed, made.told = used, 0, [], []
    return made


class _Transaction:
    """What is written in it is committed at the end of the block, and rolled back if that raises.

    A worker commits when the handler has returned.
    """

    def __init__(self, connection: Any, completed: list[str]) -> None:
        self._connection = connection
        self._completed = completed
        self._block: AbstractContextManager[Any] | AbstractAsyncContextManager[Any] | None = None

    def complete(self, output: str, _: psycopg.Connection[Any]) -> None:
        """The handler completes its task."""
        self._completed.append(output)

    async def acomplete(self, output: str, _: psycopg.AsyncConnection[Any]) -> None:
        """The same."""
        self._completed.append(output)

    def __enter__(self) -> psycopg.Connection[Any]:
        block: Any = self._begun(psycopg.Connection)
        block.__enter__()
        connection: psycopg.Connection[Any] = self._connection
        return connection

    def __exit__(self, *error: Any) -> None:
        block: Any = self._block
        block.__exit__(*error)

    async def __aenter__(self) -> psycopg.AsyncConnection[Any]:
        block: Any = self._begun(psycopg.AsyncConnection)
        await block.__aenter__()
        connection: psycopg.AsyncConnection[Any] = self._connection
        return connection

    async def __aexit__(self, *error: Any) -> None:
        block: Any = self._block
        await block.__aexit__(*error)

    def _begun(self, kind: type[Any]) -> object:
        if not isinstance(self._connection, kind):
            raise RuntimeError(
                f"this context has no psycopg.{kind.__name__}: make_context(connection=...)"
            )
        block: Any = self._connection.transaction()
        self._block = block
        return block
