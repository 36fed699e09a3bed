create table quantumflow.step_tasks (
  run_id        uuid not null,
  step_slug     text collate "C" not null,
  task_index    int not null,
  queue         text not null,
  message_id    bigint not null,
  queued_at     timestamptz not null,
  failed_at     timestamptz,
  item_value    jsonb,
  error_message text,
  attempts      int not null default 0,
  losses        int not null default 0,
  worker_id     uuid,
  lease_token   bigint,
  started_at    timestamptz,
  status        text not null,
  completed_at  timestamptz,
  output        jsonb,
  usage         jsonb,
  limit_key     text,
  gave_up       int,
  constraint step_tasks_pkey primary key (run_id, step_slug, task_index),
  constraint step_tasks_losses_within_attempts check (losses between 0 and attempts),
  constraint step_tasks_completed_has_output check (status <> 'completed' or (output is not null and completed_at is not null))
) with (fillfactor = 33, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);

comment on table quantumflow.step_tasks is
'One row per task: index 0 for a single step, one per item for a map step, one per iteration that is kept for a loop.

A run''s on_complete and on_failure tasks are here too, as steps _on_complete and _on_failure, and its deadline, as _run_timeout.';
comment on column quantumflow.step_tasks.run_id is 'The run.';
comment on column quantumflow.step_tasks.step_slug is 'The step.';
comment on column quantumflow.step_tasks.task_index is 'The item''s position from 0; the iteration, from 0; 0 for a single step; the run''s retries for a callback, and for a deadline.';
comment on column quantumflow.step_tasks.queue is 'The pgmq queue of its message.';
comment on column quantumflow.step_tasks.message_id is
'The msg_id of its message; its vt is the lease. Gone from the queue once the task has ended, or passed on to the next one of its run.';
comment on column quantumflow.step_tasks.queued_at is
'From when it could be claimed: later than its creation after a delay, and after a failure. Of what no worker is given when it is due: the
end of a sleep, the deadline of a wait, infinity where it has none.';
comment on column quantumflow.step_tasks.failed_at is 'When it failed for good.';
comment on column quantumflow.step_tasks.item_value is 'A map task''s item; null for others.';
comment on column quantumflow.step_tasks.error_message is 'Its latest failure, or why it is left to other code.';
comment on column quantumflow.step_tasks.attempts is 'How often the task was claimed.';
comment on column quantumflow.step_tasks.losses is 'How many of the attempts ended with a lost lease; the rest of the ended ones failed.';
comment on column quantumflow.step_tasks.worker_id is 'Who claimed it last.';
comment on column quantumflow.step_tasks.lease_token is
'Proves the latest claim: random, below 2^53. Stays after a report; cleared by a release and when the lease is found lost. Of a task that waits
for the run that it has started nobody knows it.';
comment on column quantumflow.step_tasks.started_at is
'When the latest attempt was claimed, or its child started, or tried again; once it has ended, when its handler began, if its report says for how long that ran.';
comment on column quantumflow.step_tasks.status is 'queued, started, completed, failed, skipped or cancelled.';
comment on column quantumflow.step_tasks.completed_at is 'When it was completed.';
comment on column quantumflow.step_tasks.output is 'What it was completed with, never SQL NULL then; on a type violation the output that offended.';
comment on column quantumflow.step_tasks.usage is 'What the attempt that completed it said that it used, {"tokens": 120}; null if nothing.';
comment on column quantumflow.step_tasks.limit_key is
'By what its limit tells it from others, as JSON, long ones cut; empty for a limit without a key; null: its step has no limit.';
comment on column quantumflow.step_tasks.gave_up is
'What the run whose output it took had given up then, see workflow_runs; null: it took none''s, or that had given up nothing.';

create table quantumflow.task_failures (
  run_id        uuid not null,
  step_slug     text collate "C" not null,
  task_index    int not null,
  retries       int not null,
  attempt       int not null,
  kind          text not null,
  worker_id     uuid,
  lease_token   bigint,
  started_at    timestamptz,
  ended_at      timestamptz not null,
  error_message text,
  error_details jsonb,
  due_at        timestamptz,
  reported      boolean not null,
  usage         jsonb,
  constraint task_failures_pkey primary key (run_id, step_slug, task_index, retries, attempt),
  constraint task_failures_kind_known check (kind in ('error', 'timeout', 'lost', 'condition', 'child', 'loop', 'plan'))
);

comment on table quantumflow.task_failures is 'One row per attempt that did not complete, and per step that its condition failed, or its maximum of iterations: what went wrong, where and when.';
comment on column quantumflow.task_failures.run_id is 'The run.';
comment on column quantumflow.task_failures.step_slug is 'The step.';
comment on column quantumflow.task_failures.task_index is 'The task.';
comment on column quantumflow.task_failures.retries is 'The run''s retries at that time.';
comment on column quantumflow.task_failures.attempt is 'The attempt, from 1; 0 of a step that failed before it had a task, or, of a loop, after an iteration that had ended.';
comment on column quantumflow.task_failures.kind is 'timeout: it ended, or its lease did, when its deadline had passed, whoever noticed. Else error: it was reported. lost: its lease ran out. condition: of the step, which therefore has no task, or of the moment until which it was to sleep, or of what a child was to be given, or its output to become, or of a loop, which goes on or ends. loop: it had as many iterations as it may. child: the run that it started failed, was cancelled, or could not be started.';
comment on column quantumflow.task_failures.worker_id is 'Who had claimed it.';
comment on column quantumflow.task_failures.lease_token is 'The token of that claim.';
comment on column quantumflow.task_failures.started_at is
'When it was claimed; when its handler began, if it was reported and its report says for how long that ran.';
comment on column quantumflow.task_failures.ended_at is 'When the failure was reported or noticed.';
comment on column quantumflow.task_failures.error_message is 'What was reported.';
comment on column quantumflow.task_failures.error_details is 'Whatever the reporter added: exception class, traceback.';
comment on column quantumflow.task_failures.due_at is
'From when it could be claimed, so that started_at - due_at is how long it waited; null for attempts of before version 0.4.0.';
comment on column quantumflow.task_failures.reported is 'Whether it was reported, by its worker or by hand, and not found by its lease.';
comment on column quantumflow.task_failures.usage is 'What its report said that it used, {"tokens": 120}; null if nothing.';

create table quantumflow.undone_tasks (
  run_id       uuid not null,
  step_slug    text collate "C" not null,
  task_index   int not null,
  undone_by    int not null,
  attempt      int not null,
  worker_id    uuid,
  due_at       timestamptz not null,
  started_at   timestamptz,
  completed_at timestamptz not null,
  usage        jsonb,
  constraint undone_tasks_pkey primary key (run_id, step_slug, task_index, undone_by),
  constraint undone_tasks_undone_by_a_retry check (undone_by > 0)
);

comment on table quantumflow.undone_tasks is
'One row per completion that a retry has undone, so that the task runs anew: what is left of it, without its output.';
comment on column quantumflow.undone_tasks.run_id is 'The run.';
comment on column quantumflow.undone_tasks.step_slug is 'The step.';
comment on column quantumflow.undone_tasks.task_index is 'The task.';
comment on column quantumflow.undone_tasks.undone_by is 'Which retry of the run undid it, from 1.';
comment on column quantumflow.undone_tasks.attempt is 'The attempt that had completed it.';
comment on column quantumflow.undone_tasks.worker_id is 'Who had claimed it.';
comment on column quantumflow.undone_tasks.due_at is 'From when that attempt could be claimed.';
comment on column quantumflow.undone_tasks.started_at is 'When it was claimed, or its handler began, as in step_tasks.';
comment on column quantumflow.undone_tasks.completed_at is 'When the task was completed.';
comment on column quantumflow.undone_tasks.usage is 'What it said that it used; null if nothing.';

create unlogged table quantumflow.task_progress (
  run_id      uuid not null,
  step_slug   text collate "C" not null,
  task_index  int not null,
  lease_token bigint not null,
  reported_at timestamptz not null,
  done        numeric not null,
  total       numeric,
  note        text,
  constraint task_progress_pkey primary key (run_id, step_slug, task_index)
) with (fillfactor = 50);

comment on table quantumflow.task_progress is
'How far the work at tasks has come, as their workers said last with report_progress. A crash of the server empties it, a standby has none of
it, and what is a day old goes.';
comment on column quantumflow.task_progress.run_id is 'The run.';
comment on column quantumflow.task_progress.step_slug is 'The step.';
comment on column quantumflow.task_progress.task_index is 'The task.';
comment on column quantumflow.task_progress.lease_token is 'Of which attempt: it says nothing of a later one.';
comment on column quantumflow.task_progress.reported_at is 'When that was.';
comment on column quantumflow.task_progress.done is 'How much was done.';
comment on column quantumflow.task_progress.total is 'Of how much; null: it is not known.';
comment on column quantumflow.task_progress.note is 'What else there is to say.';

create table quantumflow._parked (
  workflow_slug text not null collate "C",
  queue         text not null,
  message_id    bigint not null,
  run_id        uuid not null,
  step_slug     text not null collate "C",
  task_index    int not null,
  queued_at     timestamptz not null,
  constraint _parked_pkey primary key (queue, message_id)
);

create index _parked_turns on quantumflow._parked (workflow_slug, queued_at, message_id);

comment on table quantumflow._parked is
'One row per message that a claim has met and hidden for ever (vt infinity), until the resume of its flow brings it back.
What ends otherwise than by being cancelled leaves its row here for the resume: what counts is the task, and the message that it names.';
comment on column quantumflow._parked.workflow_slug is 'The workflow, which is paused.';
comment on column quantumflow._parked.queue is 'The queue of the message.';
comment on column quantumflow._parked.message_id is 'Its msg_id.';
comment on column quantumflow._parked.run_id is 'The run of its task.';
comment on column quantumflow._parked.step_slug is 'The step of its task.';
comment on column quantumflow._parked.task_index is 'The task.';
comment on column quantumflow._parked.queued_at is 'From when the task could be claimed: in this order they come back.';
