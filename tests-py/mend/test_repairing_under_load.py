"""repair() mends what somebody breaks again and again, while workers work, and breaks nothing."""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING, Any

from mend.crowd import OUTPUT, SETTINGS, STEPS, Crowd, start, work
from support.engine import Engine
from support.waiting import wait_until

if TYPE_CHECKING:
    import psycopg

# Accidents that the engine survives, though what they hit gets stuck until somebody mends it.
_ACCIDENTS = {
    "a message is lost": """
        delete from pgmq.q_quantum_flow_queue where msg_id = (
          select msg_id from pgmq.q_quantum_flow_queue order by random() limit 1)
    """,
    "the message of a task that is worked on is lost": """
        delete from pgmq.q_quantum_flow_queue where msg_id = (
          select m.msg_id from pgmq.q_quantum_flow_queue m
          join quantumflow.step_tasks t on t.message_id = m.msg_id and t.status = 'started'
          order by random() limit 1)
    """,
    "a message is doubled": """
        insert into pgmq.q_quantum_flow_queue (vt, message)
        select vt, message from pgmq.q_quantum_flow_queue order by random() limit 1
    """,
    "a message is nobody's": """
        insert into pgmq.q_quantum_flow_queue (vt, message)
        select now() + interval '1 h', jsonb_build_object(
          'workflow_run_id', run_id, 'step_name', step_slug, 'task_index', task_index + 1000)
        from quantumflow.step_tasks order by random() limit 1
    """,
    "a message comes again": """
        insert into pgmq.q_quantum_flow_queue (vt, message)
        select now() + interval '1 h', jsonb_build_object(
          'workflow_run_id', run_id, 'step_name', step_slug, 'task_index', task_index)
        from quantumflow.step_tasks where status = 'completed' order by random() limit 1
    """,
    "a message sleeps": """
        update pgmq.q_quantum_flow_queue set vt = 'infinity' where msg_id = (
          select msg_id from pgmq.q_quantum_flow_queue where vt <= now() order by random() limit 1)
    """,
    "too many tasks remain": """
        update quantumflow.step_states s set remaining_tasks = s.remaining_tasks + 1
        where (s.run_id, s.step_slug) = (
          select o.run_id, o.step_slug from quantumflow.step_states o
          where o.status = 'started' and o.remaining_tasks < o.initial_tasks
          order by random() limit 1)
          and s.status = 'started' and s.remaining_tasks < s.initial_tasks
    """,
    "too many dependencies remain": """
        update quantumflow.step_states s set remaining_deps = s.remaining_deps + 1
        where (s.run_id, s.step_slug) = (
          select o.run_id, o.step_slug from quantumflow.step_states o
          where o.status = 'created' and o.remaining_deps > 0 order by random() limit 1)
          and s.status = 'created' and s.remaining_deps > 0
    """,
    "too many steps remain": """
        update quantumflow.workflow_runs r set remaining_steps = r.remaining_steps + 1
        where r.id = (
          select o.id from quantumflow.workflow_runs o where o.status = 'started'
          order by random() limit 1)
          and r.status = 'started'
    """,
}


def test_runs_get_to_their_ends_whatever_is_broken(
    connection: psycopg.Connection[Any], crowd: Crowd
) -> None:
    engine = Engine(connection)
    engine.define("load", STEPS, **SETTINGS)
    happened: Counter[str] = Counter()
    done: Counter[str] = Counter()

    def break_something(engine: Engine, chance: random.Random) -> Any:
        accident = chance.choice(list(_ACCIDENTS))
        happened[accident] += engine.connection.execute(_ACCIDENTS[accident].encode()).rowcount
        return False

    def mend(engine: Engine, chance: random.Random) -> Any:
        actions = [row[0] for row in engine.rows("select action from quantumflow.repair(false)")]
        # Somebody may break it once more before it is looked at again, or hold the message.
        assert {action for action in actions if not action.startswith("done")} <= {
            "not done: it is still so"
        }
        done.update(action for action in actions if action.startswith("done"))
        return False

    crowd.add(start)
    crowd.add(break_something, 2)
    crowd.add(work, 3)
    crowd.add(mend, 2)
    crowd.watch(lambda: len(done) >= 8 and all(happened[name] >= 10 for name in _ACCIDENTS))
    crowd.stop()

    engine.rows("select * from quantumflow.repair(false)")
    assert engine.problems() == []
    wait_until(lambda: not work(engine, random.Random(0)) and engine.messages() == 0)
    assert engine.problems() == []
    ends = engine.rows("select distinct status, output from quantumflow.workflow_runs")
    assert ends == [("completed", OUTPUT)]
