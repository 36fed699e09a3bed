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
  worker_id     uuid,
  lease_token   bigint,
  started_at    timestamptz
);

comment on type quantumflow._new_task is
'A task to be made: from when it may be claimed (ready_at), and the vt its message is sent with, earlier by its priority.

One that is handed over as it is made has a worker_id, a lease_token and a started_at, and its vt is the end of its lease.';

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
  outcome       text
);

comment on type quantumflow._held_task is
'A task whose row this transaction has locked, or is about to write, with what the row and its run said then, and what the call decided
about it.

tid is where the row was then, so that the update need not look for it again. A report that names no task has only its key.';

create type quantumflow._taken_task as (
  run_id        uuid,
  workflow_slug text,
  step_slug     text,
  task_index    int,
  queue         text,
  attempt       int,
  losses        int,
  lease_token   bigint,
  timeout       interval
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
  taken     quantumflow._taken_task[]
);

comment on type quantumflow._offer is
'What a worker could start at once, how many tasks it has besides, the tasks it has been given, and in which of its queues nothing was
visible when these were handed over.';

create type quantumflow._step_ref as (
  run_id        uuid,
  step_slug     text,
  workflow_slug text,
  version       int,
  known_tasks   int,
  dependents    text[]
);

comment on type quantumflow._step_ref is 'A step of a run, with what its definition says of it.';

create type quantumflow._step_progress as (
  run_id        uuid,
  step_slug     text,
  tid           tid,
  workflow_slug text,
  version       int,
  known_tasks   int,
  gathers       boolean,
  dependents    text[],
  done_tasks    int,
  ends          boolean
);

comment on type quantumflow._step_progress is
'A step of tasks that this call holds: how many of them it completes, and whether that ends the step.';

-- Without a path of its own, so that it is inlined where it is called.
create function quantumflow._new_token()
returns bigint
language sql
volatile
return uuid_hash_extended(gen_random_uuid(), 0) & 9007199254740991;

comment on function quantumflow._new_token() is
'A lease_token: 53 random bits, which a number in JSON holds exactly. Not of random(), whose course a session can set.';

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
'Of the steps that became ready the maps of nothing, which are done, a task of each step whose queue cannot be used, and the offer of a
worker with the tasks that it was given.';
