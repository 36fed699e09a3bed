"""A history of so many runs over two weeks, inserted by statements, and what goes on beside it.

Two flows, `invoice` (one step) and `order` (three, in a second version since the middle). Of a
hundred runs two have failed, after three attempts each, and one was cancelled. The queue was once
as long as all of that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uuid import UUID

    from support.engine import Engine

ORDER = ("validate", "charge", "ship")

_RUNS = """
insert into quantumflow.workflow_runs
  (id, workflow_slug, version, input, headers, created_at, started_at, remaining_steps, status,
   output, completed_at, failed_at, cancelled_at, error_message, started_by, origin)
select
  quantumflow._uuid_v7_of((extract(epoch from k.at) * 1000000)::bigint), k.slug,
  case when k.slug = 'order' and k.at > now() - interval '7 days' then 2 else 1 end,
  jsonb_build_object('customer', 'c' || k.n %% 5000), null, k.at, k.at,
  case k.status when 'completed' then 0 else 1 end, k.status,
  case k.status when 'completed' then jsonb_build_object(k.last, 1) end,
  case k.status when 'completed' then k.at + interval '90 s' end,
  case k.status when 'failed' then k.at + interval '90 s' end,
  case k.status when 'cancelled' then k.at + interval '90 s' end,
  case k.status when 'failed' then format('step %%s failed: HTTP 503 of %%s', k.last, k.n %% 7) end,
  'web', null
from (
  select
    n, now() - interval '14 days' + interval '14 days' * (n::float8 / (%s + 1)) as at,
    case n %% 10 when 0 then 'order' else 'invoice' end as slug,
    case n %% 10 when 0 then 'ship' else 'only' end as last,
    case
      when n %% 50 = 7 then 'failed'
      when n %% 100 = 3 then 'cancelled'
      else 'completed'
    end as status
  from generate_series(1, %s) n
) k
"""

_STEPS = """
insert into quantumflow.step_states
  (run_id, step_slug, created_at, initial_tasks, remaining_deps, started_at, remaining_tasks,
   status, completed_at, failed_at)
select
  r.id, s.slug, r.created_at, 1, 0, r.created_at,
  case s.status when 'completed' then 0 else 1 end, s.status,
  case s.status when 'completed' then r.created_at + interval '90 s' end,
  case s.status when 'failed' then r.created_at + interval '90 s' end
from quantumflow.workflow_runs r
cross join lateral (
  select w.step_slug as slug,
    case when w.step_slug in ('only', 'ship') then r.status else 'completed' end as status
  from quantumflow.workflow_steps w
  where (w.workflow_slug, w.version) = (r.workflow_slug, r.version)
) s
"""

_TASKS = """
insert into quantumflow.step_tasks
  (run_id, step_slug, task_index, queue, message_id, queued_at, attempts, worker_id, lease_token,
   started_at, status, completed_at, failed_at, error_message, output)
select
  s.run_id, s.step_slug, 0, 'quantum_flow_queue', 0, s.created_at,
  case s.status when 'failed' then 3 else 1 end, '11111111-1111-1111-1111-111111111111', 1,
  s.started_at + interval '30 s', s.status, s.completed_at, s.failed_at,
  case s.status when 'failed' then 'HTTP 503' end,
  case s.status when 'completed' then '1'::jsonb end
from quantumflow.step_states s
"""

_FAILURES = """
insert into quantumflow.task_failures
  (run_id, step_slug, task_index, retries, attempt, kind, worker_id, started_at, ended_at,
   error_message, due_at, reported)
select
  t.run_id, t.step_slug, 0, 0, n, 'error', t.worker_id, t.started_at, t.failed_at, 'HTTP 503',
  t.queued_at, true
from quantumflow.step_tasks t
cross join generate_series(1, 3) n
where t.status = 'failed'
"""

_ONCE_LONG = """
insert into pgmq.q_quantum_flow_queue (vt, message)
select now() - interval '1 day', jsonb_build_object(
  'workflow_run_id', gen_random_uuid(), 'step_name', 'only', 'task_index', 0, 'is_map_task', false)
from generate_series(1, %s)
"""


def fill(engine: Engine, runs: int, *, still_open: int) -> dict[str, UUID]:
    """So many runs that have ended, counted, and so many that go on; answers some of their ids.

    A tenth of those that go on is with a worker, one of them has failed once, and one is paused.
    """
    engine.define("invoice", [{"name": "only", "max_attempts": 3, "retry_delay": 3600}])
    chain = [
        {"name": slug, "dependencies": list(ORDER[n - 1 : n]), "max_attempts": 3}
        for n, slug in enumerate(ORDER)
    ]
    engine.define("order", chain)
    first = engine.start("order")
    engine.define("order", [*chain[:2], {**chain[2], "max_attempts": 5}])
    engine.cancel(first)
    engine.value("select quantumflow.delete_run(%s)", first)

    engine.value(_RUNS + "returning null", runs, runs)
    for statement in (_STEPS, _TASKS, _FAILURES):
        engine.connection.execute(statement.encode())
    engine.value(_ONCE_LONG + "returning null", runs)
    engine.connection.execute("delete from pgmq.q_quantum_flow_queue")
    engine.connection.execute("vacuum (analyze)")

    engine.start_many("invoice", [{"customer": "c1"}] * (still_open - 2))
    paused, run = engine.start("order"), engine.start("order")
    engine.value("select quantumflow.pause_run(%s, 'tried by hand')", paused)
    worker = "select quantumflow.register_worker(%s, 'one', %s, '{quantum_flow_queue}')"
    engine.value(worker, engine.worker_id, ["only", *ORDER])
    tasks = engine.claim(still_open // 10)
    engine.fail(tasks[0])
    count(engine)
    engine.connection.execute("analyze")
    one = """
        select id from quantumflow.workflow_runs
        where status = %s and workflow_slug = 'invoice' offset %s limit 1
        """
    return {
        "run": run,
        "old": engine.value(one, "completed", runs // 2),
        "failed": engine.value(one, "failed", 0),
    }


LAST = "update quantumflow._counting set next_to = quantumflow._uuid_v7(), writers = '{}'"
"""Lets counting go up to the run that was started last."""


def count(engine: Engine) -> None:
    """Let all that has ended be counted, as sweeps do in time."""
    engine.value("select quantumflow._make_counting()")
    engine.connection.execute(LAST)
    while engine.value("select next_to is not null from quantumflow._counting"):
        engine.value("select quantumflow._count_runs(now())")
