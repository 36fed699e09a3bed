"""make_context: a handler is called like any function, with a context that nobody claimed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from quantumflow_client.errors import UnknownStep
from quantumflow_client.testing import make_context

if TYPE_CHECKING:
    import psycopg

    from quantumflow_client import Context


def test_a_context_has_what_it_was_made_of() -> None:
    ctx = make_context(
        run={"a": 1}, outputs={"b": 2}, args=[3], headers={"h": 4}, attempt=2, step_slug="charge"
    )
    assert (ctx.input, ctx.args, ctx.headers) == ({"run": {"a": 1}, "b": 2}, [3], {"h": 4})
    assert (ctx.attempt, ctx.max_attempts, ctx.command) == (2, 3, "flow.charge")
    assert (ctx.run_input, ctx.output_of("b")) == ({"a": 1}, 2)
    assert ctx.idempotency_key.endswith("/charge/0")
    with pytest.raises(UnknownStep, match="'c'"):
        ctx.output_of("c")


def test_a_maps_task_is_handed_its_item_and_may_fetch_the_rest() -> None:
    ctx = make_context(run=1, outputs={"all": [5, 6]}, item=6, index=1)
    assert (ctx.input, ctx.task_index, ctx.is_map_task) == ({"item": 6, "index": 1}, 1, True)
    assert (ctx.run_input, ctx.output_of("all")) == (1, [5, 6])


def test_a_handler_is_told_to_stop_and_what_it_does_is_kept() -> None:
    def handler(ctx: Context) -> bool:
        ctx.usage(tokens=3)
        return ctx.heartbeat()

    ctx = make_context()
    assert ctx.progress(1, 2, "half")
    assert ctx.told == [(1, 2, "half")]
    assert handler(ctx)
    ctx.cancel()
    assert not handler(ctx)
    assert ctx.cancelled
    assert (ctx.used, ctx.heartbeats) == ({"tokens": 6}, 2)
    assert make_context(timeout=0).cancelled


def test_its_transaction_is_one_of_the_tests(connection: psycopg.Connection[Any]) -> None:
    def handler(ctx: Context) -> None:
        with ctx.transaction() as own:
            own.execute("create table written ()")
            ctx.complete(1, connection=own)

    with pytest.raises(RuntimeError, match=r"make_context\(connection=\.\.\.\)"):
        handler(make_context())
    with connection.transaction(force_rollback=True):
        ctx = make_context(connection=connection)
        handler(ctx)
        assert ctx.completed == ["1"]
        assert connection.execute("select from written").rowcount == 0
