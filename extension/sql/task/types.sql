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
  headers          jsonb,
  losses           int,
  step_type        text,
  retries          int,
  fresh_since      int,
  version          int
);

comment on type quantumflow.claimed_task is
'A task handed to a worker by claim_tasks: what to do, with what, until when, and the token to report it with.';
comment on column quantumflow.claimed_task.run_id is 'The run.';
comment on column quantumflow.claimed_task.workflow_slug is 'The workflow.';
comment on column quantumflow.claimed_task.step_slug is 'The step; _on_complete or _on_failure for a callback.';
comment on column quantumflow.claimed_task.task_index is 'The position of the item from 0; the iteration of a loop, from 0; 0 for a single step.';
comment on column quantumflow.claimed_task.command is 'The handler to call.';
comment on column quantumflow.claimed_task.args is 'The args of the step, unchanged.';
comment on column quantumflow.claimed_task.input is '{"run", <dependency>: output, ...}, of a loop with "iteration" and "last", or {"item", "index"}, or {"run", "output"} or {"run", "error", "failure"}.';
comment on column quantumflow.claimed_task.attempt is 'Which attempt this is, from 1.';
comment on column quantumflow.claimed_task.max_attempts is 'How many failures end the task.';
comment on column quantumflow.claimed_task.lease_token is 'To be shown with the report.';
comment on column quantumflow.claimed_task.lease_expires_at is 'Until when the claimer holds the task, unless it extends the lease.';
comment on column quantumflow.claimed_task.deadline is 'Until when the lease can be extended: the timeout of the step after the claim.';
comment on column quantumflow.claimed_task.queue is 'The queue it came from.';
comment on column quantumflow.claimed_task.message_id is 'The msg_id of its message.';
comment on column quantumflow.claimed_task.headers is 'The headers of the run.';
comment on column quantumflow.claimed_task.losses is
'How many attempts before this one lost their worker. While there are any, run nothing beside it: it may be what killed them.';
comment on column quantumflow.claimed_task.step_type is 'What the step is, and so what the input holds: single, map, loop or callback.';
comment on column quantumflow.claimed_task.retries is 'How often the run was retried.';
comment on column quantumflow.claimed_task.fresh_since is
'The retry of the run since which it is other work than before, because it had been completed and runs anew; 0 for what has never been
completed. What is done for it elsewhere under a key goes by run, step, index and this.';
comment on column quantumflow.claimed_task.version is 'The version of the workflow that the run is pinned to.';

create type quantumflow.task_outcome as (
  run_id     uuid,
  step_slug  text,
  task_index int,
  outcome    text,
  reason     text,
  detail     text
);

comment on type quantumflow.task_outcome is
'What became of one report: completed, type_violation, retrying, failed, duplicate, stale or run_ended; and why.';
comment on column quantumflow.task_outcome.run_id is 'The run that the report named.';
comment on column quantumflow.task_outcome.step_slug is 'The step.';
comment on column quantumflow.task_outcome.task_index is 'The task.';
comment on column quantumflow.task_outcome.outcome is 'completed, type_violation, retrying, failed, duplicate, stale or run_ended.';
comment on column quantumflow.task_outcome.reason is
'Of type_violation and failed: run_failed; or how the run goes on without the task or the step: tolerated, fallback or step_continues; or, of
failed, callback_failed, which leaves its run as it is. Of duplicate: reported_before.
Of stale: unknown_task, lease_lost, or unknown_key, of a report with a key that means nothing. Of run_ended: run_completed, run_failed, run_cancelled, or task_cancelled. Null of completed and
retrying.';
comment on column quantumflow.task_outcome.detail is
'The reason in words for people; of type_violation and failed, the error_message of the task; of retrying, when the next attempt comes.
Null of completed.';

create type quantumflow.task_exchange as (
  outcome          text,
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
  headers          jsonb,
  losses           int,
  step_type        text,
  reason           text,
  detail           text,
  retries          int,
  fresh_since      int,
  version          int
);

comment on type quantumflow.task_exchange is
'A row of complete_and_claim: with an outcome it is the answer to a result, as a task_outcome; without, a task, as a claimed_task.';
comment on column quantumflow.task_exchange.outcome is 'What became of a result; null where the row is a task that is handed out.';
comment on column quantumflow.task_exchange.run_id is 'The run.';
comment on column quantumflow.task_exchange.workflow_slug is 'The workflow.';
comment on column quantumflow.task_exchange.step_slug is 'The step; _on_complete or _on_failure for a callback.';
comment on column quantumflow.task_exchange.task_index is 'The position of the item from 0; the iteration of a loop, from 0; 0 for a single step.';
comment on column quantumflow.task_exchange.command is 'The handler to call.';
comment on column quantumflow.task_exchange.args is 'The args of the step, unchanged.';
comment on column quantumflow.task_exchange.input is '{"run", <dependency>: output, ...}, of a loop with "iteration" and "last", or {"item", "index"}, or {"run", "output"} or {"run", "error", "failure"}.';
comment on column quantumflow.task_exchange.attempt is 'Which attempt this is, from 1.';
comment on column quantumflow.task_exchange.max_attempts is 'How many failures end the task.';
comment on column quantumflow.task_exchange.lease_token is 'To be shown with the report.';
comment on column quantumflow.task_exchange.lease_expires_at is 'Until when the claimer holds the task, unless it extends the lease.';
comment on column quantumflow.task_exchange.deadline is 'Until when the lease can be extended: the timeout of the step after the claim.';
comment on column quantumflow.task_exchange.queue is 'The queue it came from.';
comment on column quantumflow.task_exchange.message_id is 'The msg_id of its message.';
comment on column quantumflow.task_exchange.headers is 'The headers of the run.';
comment on column quantumflow.task_exchange.losses is
'How many attempts before this one lost their worker. While there are any, run nothing beside it: it may be what killed them.';
comment on column quantumflow.task_exchange.step_type is 'What the step is, and so what the input holds: single, map or callback.';
comment on column quantumflow.task_exchange.retries is 'How often the run was retried.';
comment on column quantumflow.task_exchange.fresh_since is
'The retry of the run since which it is other work than before, because it had been completed and runs anew; 0 for what has never been
completed. What is done for it elsewhere under a key goes by run, step, index and this.';
comment on column quantumflow.task_exchange.version is 'The version of the workflow that the run is pinned to.';
comment on column quantumflow.task_exchange.reason is 'Why the result has this outcome, as in task_outcome; null where the row is a task.';
comment on column quantumflow.task_exchange.detail is 'The reason in words for people, as in task_outcome; null where the row is a task.';

create type quantumflow.task_lease as (
  run_id           uuid,
  step_slug        text,
  task_index       int,
  state            text,
  lease_expires_at timestamptz,
  detail           text
);

comment on type quantumflow.task_lease is
'What became of one lease that extend_leases was asked to extend: held, lost or cancelled, and until when it is held.';
comment on column quantumflow.task_lease.run_id is 'The run.';
comment on column quantumflow.task_lease.step_slug is 'The step.';
comment on column quantumflow.task_lease.task_index is 'The task.';
comment on column quantumflow.task_lease.state is 'held, lost or cancelled.';
comment on column quantumflow.task_lease.lease_expires_at is 'Until when it is held, unless its rows were busy; null when it is not.';
comment on column quantumflow.task_lease.detail is 'Why a row that has a key which nobody knows is not held; else null.';

create type quantumflow._recorded as (
  ords         int[],
  run_ids      uuid[],
  step_slugs   text[],
  task_indexes int[],
  queues       text[],
  message_ids  bigint[],
  claimed_at   timestamptz[]
);

comment on type quantumflow._recorded is
'Tasks that their results have completed, each at its place in all of the arrays: which result it was, the task, its message, and when
it was claimed.';

create type quantumflow._reported as (
  recorded quantumflow._recorded,
  held     quantumflow._held_task[],
  progress quantumflow._progress
);

comment on type quantumflow._reported is
'What became of results: those that one update has recorded, the others with what each came to, and the steps of both.';

create type quantumflow._due_task as (
  held            quantumflow._held_task,
  signals         text[],
  tells_signal    boolean,
  sleep_until     text,
  feeds_map       boolean,
  begins_at       timestamptz,
  step_started_at timestamptz,
  turn            int,
  is_busy         boolean,
  signal          text,
  payload         jsonb,
  verdict         text,
  output          jsonb,
  kind            text,
  error_message   text,
  later_at        timestamptz,
  child_flow      text,
  fresh_since     int,
  child_id        uuid,
  child_status    text,
  child_gave_up   int,
  input           jsonb,
  plan            jsonb,
  definition      jsonb
);

comment on type quantumflow._due_task is
'A task whose message is due, with what its step says, and what it comes to. turn: of the waits of one run, which one it is by their start. is_busy:
there is a signal for it, but somebody else''s turn is first. signal, payload: what it has taken. verdict: completes, with an output; fails, of a kind,
with an error_message; later, at later_at; drops: it is of a time before its run was retried. Of a task that waits for a run, child_flow says of
which workflow, fresh_since the retry since which its step runs anew, child_id and child_status which run it is, child_gave_up what that went on without; its verdict may also be asks:
its child is still to be looked at; starts: one, with input, of a plan with its definition; adopts the one that there is; retries it; again: it has failed, and is
tried again.';
