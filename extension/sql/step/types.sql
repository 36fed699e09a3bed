create type quantumflow._new_task as (
  run_id        uuid,
  step_slug     text,
  task_index    int,
  item_value    jsonb,
  workflow_slug text,
  version       int,
  gathers       boolean,
  command       text,
  timeout       interval,
  queue         text,
  ready_at      timestamptz,
  vt            timestamptz,
  headers       jsonb,
  is_taken      boolean,
  limit_name    text,
  limit_key     text,
  place         timestamptz,
  flaw          text
);

comment on type quantumflow._new_task is
'A task to be made: from when it may be claimed (ready_at), the vt its message is sent with, earlier by its priority, and whether a worker is to
have it as it is made.

Of a limited step: the limit, and the task''s key. place: where it waits among those of its key, which is noted; null: it does not, since it is not due,
or nobody has set the limit. flaw: why it cannot be made, which fails the step.';

-- Without a path of its own, so that it is inlined where it is called.
create function quantumflow._new_task_of(
  p_run_id        uuid,
  p_step_slug     text,
  p_task_index    int,
  p_item_value    jsonb,
  p_workflow_slug text,
  p_version       int,
  p_gathers       boolean,
  p_command       text,
  p_timeout       interval,
  p_queue         text,
  p_ready_at      timestamptz,
  p_vt            timestamptz,
  p_headers       jsonb,
  p_is_taken      boolean default false,
  p_limit_name    text default null,
  p_limit_key     text default null,
  p_place         timestamptz default null,
  p_flaw          text default null)
returns quantumflow._new_task
language sql
immutable
return row(
  p_run_id, p_step_slug, p_task_index, p_item_value, p_workflow_slug, p_version, p_gathers, p_command,
  p_timeout, p_queue, p_ready_at, p_vt, p_headers, p_is_taken, p_limit_name, p_limit_key, p_place, p_flaw
)::quantumflow._new_task;

comment on function quantumflow._new_task_of(
  uuid, text, int, jsonb, text, int, boolean, text, interval, text, timestamptz, timestamptz, jsonb, boolean, text, text, timestamptz, text) is
'The one place that builds a _new_task, from named arguments.';

create type quantumflow._held_task as (
  ord           int,
  run_id        uuid,
  step_slug     text,
  task_index    int,
  tid           tid,
  queue         text,
  message_id    bigint,
  status        text,
  attempts      int,
  losses        int,
  worker_id     uuid,
  lease_token   bigint,
  started_at    timestamptz,
  queued_at     timestamptz,
  workflow_slug text,
  version       int,
  counts        boolean,
  known_tasks   int,
  timeout       interval,
  run_status    text,
  retries       int,
  seconds       interval,
  usage         jsonb,
  outcome       text,
  if_failed     text,
  limit_key     text
);

comment on type quantumflow._held_task is
'A task whose row this transaction has locked, or is about to write, with what the row and its run said then, and what the call decided
about it.

tid is where the row was then, so that the update need not look for it again. A report that names no task has only its key. seconds and
usage: what the report says of its attempt. if_failed: of one that fails for good, how its run goes on without it: tolerated, fallback or
step_continues; null: not at all. _judge_failures says so. limit_key: of a limited step; null: it is of none, or whoever read it did not ask.';

-- Without a path of its own, so that it is inlined where it is called.
create function quantumflow._held_task_of(
  p_ord           int,
  p_run_id        uuid,
  p_step_slug     text,
  p_task_index    int,
  p_tid           tid,
  p_queue         text,
  p_message_id    bigint,
  p_status        text,
  p_attempts      int,
  p_losses        int,
  p_worker_id     uuid,
  p_lease_token   bigint,
  p_started_at    timestamptz,
  p_queued_at     timestamptz,
  p_workflow_slug text,
  p_version       int,
  p_counts        boolean,
  p_known_tasks   int,
  p_timeout       interval,
  p_run_status    text,
  p_retries       int,
  p_outcome       text,
  p_seconds       interval default null,
  p_usage         jsonb default null,
  p_limit_key     text default null)
returns quantumflow._held_task
language sql
immutable
return row(
  p_ord, p_run_id, p_step_slug, p_task_index, p_tid, p_queue, p_message_id, p_status, p_attempts,
  p_losses, p_worker_id, p_lease_token, p_started_at, p_queued_at, p_workflow_slug, p_version,
  p_counts, p_known_tasks, p_timeout, p_run_status, p_retries, p_seconds, p_usage, p_outcome, null, p_limit_key
)::quantumflow._held_task;

comment on function quantumflow._held_task_of(int, uuid, text, int, tid, text, bigint, text, int, int, uuid, bigint, timestamptz, timestamptz, text, int, boolean, int, interval, text, int, text, interval, jsonb, text) is
'The one place that builds a _held_task, from named arguments.';

create type quantumflow._taken_task as (
  run_id      uuid,
  step_slug   text,
  task_index  int,
  queue       text,
  attempt     int,
  losses      int,
  lease_token bigint
);

comment on type quantumflow._taken_task is 'A task that this transaction has claimed, or handed over.';

create type quantumflow._offer as (
  worker_id uuid,
  free      int,
  queues    text[],
  lease     interval,
  commands  text[],
  held      int,
  quiet     text[],
  taken     quantumflow._taken_task[],
  not_flows text[]
);

comment on type quantumflow._offer is
'What a worker could start at once, how many tasks it has besides, the tasks it has been given, and in which of its queues nothing of
its commands was visible when these were handed over. not_flows: the flows of which it is to have nothing; null, nearly always: none.';

create type quantumflow._step_ref as (
  run_id        uuid,
  step_slug     text,
  workflow_slug text,
  version       int,
  is_started    boolean,
  dependents    text[],
  plain         boolean,
  output        jsonb
);

comment on type quantumflow._step_ref is
'A step of a run: whether its row says that it has started, what waits for it, and whether it starts without passing the gate; of one that
is done, and concludes its run if that ends, the output, unless it may be too large.';

create type quantumflow._step_progress as (
  run_id        uuid,
  step_slug     text,
  workflow_slug text,
  version       int,
  known_tasks   int,
  gathers       boolean,
  dependents    text[],
  done_tasks    int,
  some_fail     boolean,
  is_apart      boolean,
  counters      int[],
  taken         int[],
  row_tasks     int,
  ends          boolean,
  is_over       boolean,
  output        jsonb
);

comment on type quantumflow._step_progress is
'A step of tasks that this call holds: how many of them it completes, whether some fail, whether it ends by that, and whether it had ended
before, without them.

is_apart: it is counted in _map_counters; taken is then taken off its counters, and row_tasks off its own row. output: that of one that may
conclude its run, as in _step_ref.';

create type quantumflow._progress as (
  steps      quantumflow._step_progress[],
  some_end   boolean,
  some_over  boolean,
  has_maps   boolean,
  has_apart  boolean,
  has_shapes boolean,
  has_limits boolean
);

comment on type quantumflow._progress is
'The steps of the tasks that a call holds, by key; whether it ends one, and whether one is over; whether one may have other tasks, as a map;
whether one is counted apart; and whether one asks for outputs of a shape.';

create type quantumflow._counted as (
  done  quantumflow._step_ref[],
  again quantumflow._step_ref[]
);

comment on type quantumflow._counted is
'Of the steps that tasks were taken off, those that have none left, and the loops that go on and get their next iteration.';

create type quantumflow._ended_run as (
  run_id        uuid,
  output        jsonb,
  workflow_slug text,
  version       int
);

comment on type quantumflow._ended_run is 'A run that has no step left, and what it leaves.';

create type quantumflow._readied as (
  taskless quantumflow._step_ref[],
  stranded quantumflow._new_task[],
  offer    quantumflow._offer
);

comment on type quantumflow._readied is
'Of the steps that became ready those that have ended without a task, a task of each step whose queue cannot be used, and the offer of a
worker with the tasks that it was given.';
