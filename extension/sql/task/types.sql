create type quantumflow.claimed_task as (
  run_id           uuid,
  workflow_slug    text,
  step_slug        text,
  task_index       int,
  command          text,
  args             jsonb,
  input            jsonb,
  attempt          int,
  max_attempts     int,
  lease_token      bigint,
  lease_expires_at timestamptz,
  deadline         timestamptz,
  queue            text,
  message_id       bigint,
  headers          jsonb
);

comment on type quantumflow.claimed_task is
'A task handed to a worker by claim_tasks: what to do, with what, until when, and the token to report it with.';

create type quantumflow.task_outcome as (
  run_id     uuid,
  step_slug  text,
  task_index int,
  outcome    text
);

comment on type quantumflow.task_outcome is
'What became of one report: completed, type_violation, retrying, failed, duplicate, stale or run_ended.';

create type quantumflow.task_lease as (
  run_id           uuid,
  step_slug        text,
  task_index       int,
  state            text,
  lease_expires_at timestamptz
);

comment on type quantumflow.task_lease is
'What became of one lease that extend_leases was asked to extend: held, lost or cancelled, and until when it is held.';

create type quantumflow._new_task as (
  run_id     uuid,
  step_slug  text,
  task_index int,
  item_value jsonb,
  is_map     boolean,
  queue      text,
  ready_at   timestamptz,
  vt         timestamptz,
  headers    jsonb
);

comment on type quantumflow._new_task is
'A task to be made: from when it may be claimed (ready_at), and the vt its message is sent with, earlier by its priority.';

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
  step_type     text,
  timeout       interval,
  run_status    text,
  retries       int,
  outcome       text
);

comment on type quantumflow._held_task is
'A task whose row this transaction has locked, with what the row and its run said then, and what the call decided about it.

tid is where the row is, so that the update need not look for it again. A report that names no task has only its key.';

create type quantumflow._step_ref as (
  run_id        uuid,
  step_slug     text,
  workflow_slug text,
  version       int,
  step_type     text,
  dependents    text[]
);

comment on type quantumflow._step_ref is 'A step of a run, with what its definition says of it.';
