"""A worker that begins recalls what was left to other code, and nothing that somebody claimed."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from psycopg.types.json import Jsonb

from races.stopping import Call
from support.engine import Engine, allow_test_clock

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.system

# Where the look at a task begins, it waits as long as somebody has the table.
SLOW = """
create table gate ();
grant select on gate to public;
create or replace function quantumflow._as_number(p_text text, p_digits int)
returns bigint
language plpgsql
immutable
as $$
begin
  if current_setting('test.is_slow', true) = 'on' then
    perform from public.gate;
  end if;
  return p_text::bigint;
end
$$
"""


def _register(engine: Engine) -> None:
    engine.rows(
        "select quantumflow.register_worker(%s, 'old code', '{a}', '{quantum_flow_queue}')", uuid4()
    )


def test_what_comes_back_and_is_claimed_meanwhile_keeps_its_lease(
    new_engine: Callable[[], Engine],
) -> None:
    engine, registering, holder, watcher = (new_engine() for _ in range(4))
    allow_test_clock(engine.connection)
    engine.define("left", [{"name": "a", "type": "map"}], timeout=3600)
    engine.set_clock(0)
    engine.start("left", [1, 2])
    left = [task.report(reason="of another version") for task in engine.claim(2)]
    engine.value("select quantumflow.release_tasks(%s)", Jsonb(left))
    engine.connection.execute(SLOW)

    registering.set_clock(0)
    registering.connection.execute("set test.is_slow = 'on'")
    with holder.connection.transaction():
        holder.connection.execute("lock table gate")
        call = Call(registering, _register)
        assert call.settle(watcher), "it looks at what is hidden for a tenth of a second"
        engine.set_clock(1)
        (task,) = engine.claim(1, lease=30)
    call.result()

    losses = engine.rows("select status, losses from quantumflow.step_tasks order by task_index")
    other = new_engine()
    other.set_clock(2)
    assert [t.task_index for t in other.claim(9)] == [1 - task.task_index], "the other one"
    assert losses == [("started", 0), ("queued", 0)]
    assert engine.complete(task) == "completed"
    assert engine.problems() == []
