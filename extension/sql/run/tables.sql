create table quantumflow.workflow_runs (
  id                uuid not null,
  workflow_slug     text collate "C" not null,
  version           int not null,
  input             jsonb not null,
  error_message     text,
  priority          int not null default 0,
  retries           int not null default 0,
  headers           jsonb,
  idempotency_key   text,
  created_at        timestamptz not null,
  started_at        timestamptz not null,
  failed_at         timestamptz,
  cancelled_at      timestamptz,
  paused_at         timestamptz,
  remaining_steps   int not null,
  status            text not null,
  completed_at      timestamptz,
  output            jsonb,
  gave_up           int,
  parent_run_id     uuid,
  parent_step_slug  text collate "C",
  parent_task_index int,
  parent_retries    int,
  root_run_id       uuid,
  depth             int,
  paused_with_parent boolean,
  started_by        text,
  origin            text,
  turn_key        text collate "C",
  announced       boolean,
  constraint workflow_runs_pkey primary key (id),
  -- What is counted never goes below nothing. All else that a row must be is rule 16 of check_state(): see there.
  constraint workflow_runs_remaining_steps_not_negative check (remaining_steps >= 0)
) with (fillfactor = 40, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);

create unique index workflow_runs_idempotency_key_unique
  on quantumflow.workflow_runs (workflow_slug, idempotency_key)
  where idempotency_key is not null;

create unique index workflow_runs_children
  on quantumflow.workflow_runs (parent_run_id, parent_step_slug, parent_task_index, parent_retries)
  where parent_run_id is not null;

-- For prune: ids that do not tell when they were made.
create index workflow_runs_other_ids
  on quantumflow.workflow_runs (id)
  where substr(id::text, 15, 1) <> '7';

comment on table quantumflow.workflow_runs is 'One row per run: one execution of one version of a workflow.';
comment on column quantumflow.workflow_runs.id is 'A version 7 uuid unless the caller chose one: later runs sort later.';
comment on column quantumflow.workflow_runs.workflow_slug is 'The workflow.';
comment on column quantumflow.workflow_runs.version is 'The version the run is pinned to.';
comment on column quantumflow.workflow_runs.input is 'What the run was started with.';
comment on column quantumflow.workflow_runs.error_message is 'Why the run failed or was cancelled.';
comment on column quantumflow.workflow_runs.priority is 'Seconds by which the run''s tasks overtake those of priority 0.';
comment on column quantumflow.workflow_runs.retries is 'How often the run was retried.';
comment on column quantumflow.workflow_runs.headers is 'An object that travels with every message of the run, a traceparent for example.';
comment on column quantumflow.workflow_runs.idempotency_key is 'Unique within the workflow: the same key again is the same run.';
comment on column quantumflow.workflow_runs.created_at is 'When start_flow was called.';
comment on column quantumflow.workflow_runs.started_at is 'From when the first steps may run: created_at, or start_at when that is later.';
comment on column quantumflow.workflow_runs.failed_at is 'When a task failed for good.';
comment on column quantumflow.workflow_runs.cancelled_at is 'When the run was cancelled.';
comment on column quantumflow.workflow_runs.paused_at is 'When the run was paused last.';
comment on column quantumflow.workflow_runs.remaining_steps is 'Steps that are not done yet; 0 completes the run.';
comment on column quantumflow.workflow_runs.status is 'started, paused, completed, failed or cancelled.';
comment on column quantumflow.workflow_runs.completed_at is 'When the last step was done.';
comment on column quantumflow.workflow_runs.output is
'An object with the output of each leaf step, once the run is completed; a map''s output is an array in index order.';
comment on column quantumflow.workflow_runs.gave_up is
'How many steps failed without ending the run, and tasks of maps that were tolerated: a step that was given up counts once, whatever became
of its tasks. Null where no step of the version can be given up. What its children gave up counts too.';
comment on column quantumflow.workflow_runs.parent_run_id is
'The run of which a step started this one, which is its child; null: somebody else started it.';
comment on column quantumflow.workflow_runs.parent_step_slug is 'The step that started it.';
comment on column quantumflow.workflow_runs.parent_task_index is 'The task of that step that waits for it.';
comment on column quantumflow.workflow_runs.parent_retries is
'The parent''s retries when it was started: of the children of a task the one of the greatest is its child now.';
comment on column quantumflow.workflow_runs.paused_with_parent is
'Whether a child is paused because its parent is, and goes on with it; null: it is not paused, or somebody paused it.';
comment on column quantumflow.workflow_runs.root_run_id is 'The run at the top of its tree, which no step started; null of such a run itself.';
comment on column quantumflow.workflow_runs.depth is 'How many runs are above it; null of a run that no step started.';
comment on column quantumflow.workflow_runs.started_by is
'Who started it: the role of SET ROLE, else the one that connected; of a schedule''s run who swept. Null for runs of before version 0.4.0.';
comment on column quantumflow.workflow_runs.origin is
'What started it, if that was quantumflow itself: schedule:, and the schedule''s name. Null for a call of start_flow or start_flows.';

comment on column quantumflow.workflow_runs.announced is 'True: its end is to be told, see announce_end; null: nobody has asked, nor does its workflow say so.';
comment on column quantumflow.workflow_runs.turn_key is
'By what it is told from the runs beside which it may go on, as JSON, a long one cut; empty where the workflow has no key for that; null: it may go on beside any.';

create table quantumflow._run_turns (
  run_id        uuid not null,
  workflow_slug text collate "C" not null,
  turn_key      text collate "C" not null,
  holds         boolean not null,
  queued_at     timestamptz not null,
  constraint _run_turns_pkey primary key (run_id)
);

create unique index _run_turns_one_at_a_time
  on quantumflow._run_turns (workflow_slug, turn_key)
  where holds;

create index _run_turns_in_order
  on quantumflow._run_turns (workflow_slug, turn_key, queued_at, run_id)
  where not holds;

comment on table quantumflow._run_turns is
'The open runs of workflows whose runs go on one at a time: the one of each key that goes on, and those that wait for it, which are paused.';
comment on column quantumflow._run_turns.run_id is 'The run.';
comment on column quantumflow._run_turns.workflow_slug is 'Its workflow.';
comment on column quantumflow._run_turns.turn_key is 'Its key, as workflow_runs has it.';
comment on column quantumflow._run_turns.holds is 'Whether it is the one that goes on.';
comment on column quantumflow._run_turns.queued_at is 'Since when it waits, or has gone on.';

create table quantumflow._unfinished_ends (
  run_id      uuid not null,
  recorded_at timestamptz not null,
  constraint _unfinished_ends_pkey primary key (run_id)
);

comment on table quantumflow._unfinished_ends is
'Runs that ended while another transaction held some of their rows: what was skipped is finished by the next claim or sweep.';
comment on column quantumflow._unfinished_ends.run_id is 'The run.';
comment on column quantumflow._unfinished_ends.recorded_at is 'When the run ended.';

create table quantumflow._tree_work (
  id          bigint generated always as identity,
  run_id      uuid not null,
  recorded_at timestamptz not null,
  constraint _tree_work_pkey primary key (id)
);

comment on table quantumflow._tree_work is
'Notes to look at a child: whether it is still wanted, and whether its parent knows that it has ended. Somebody held it, or its parent''s
message, when that was to be done; settle() and sweep() do it. A note says no more than that, so that there may be several of a run.';
comment on column quantumflow._tree_work.id is 'In what order they are looked at.';
comment on column quantumflow._tree_work.run_id is 'The child.';
comment on column quantumflow._tree_work.recorded_at is 'When it was noted.';

create table quantumflow._trees (
  root_run_id uuid not null,
  runs        int not null,
  plans       int not null default 0,
  plan_steps  int not null default 0,
  constraint _trees_pkey primary key (root_run_id),
  constraint _trees_has_a_root check (runs >= 1)
) with (fillfactor = 40, autovacuum_vacuum_scale_factor = 0.02);

comment on table quantumflow._trees is 'How many runs trees have had, against max_tree_runs. A run without children has no row.';
comment on column quantumflow._trees.root_run_id is 'The run at the top.';
comment on column quantumflow._trees.runs is 'How many runs it and those below it are, those that a retry has put aside included.';
comment on column quantumflow._trees.plans is 'How often its steps have asked for a plan, against max_plans.';
comment on column quantumflow._trees.plan_steps is 'How many steps the plans had that it has run, against max_plan_steps.';

create table quantumflow.signals (
  run_id       uuid not null,
  number       int not null,
  signal       text collate "C" not null,
  payload      jsonb not null,
  key          text,
  sent_at      timestamptz not null,
  sent_by      text not null,
  on_behalf_of text,
  taken_at     timestamptz,
  step_slug    text collate "C",
  constraint signals_pkey primary key (run_id, number),
  constraint signals_counted_from_one check (number >= 1),
  constraint signals_taken_by_a_step check (taken_at is null = (step_slug is null))
);

create unique index signals_key_unique
  on quantumflow.signals (run_id, signal, key)
  where key is not null;

create index signals_untaken
  on quantumflow.signals (run_id, signal, number)
  where taken_at is null;

comment on table quantumflow.signals is
'What runs were sent: one row a signal, whether or not a step waits for it, until its run is deleted.';
comment on column quantumflow.signals.run_id is 'The run.';
comment on column quantumflow.signals.number is 'Which of the run''s signals it is, from 1: the oldest is taken first.';
comment on column quantumflow.signals.signal is 'Its name, for which steps wait.';
comment on column quantumflow.signals.payload is 'What it says: the output of the step that takes it.';
comment on column quantumflow.signals.key is 'The sender''s own name for it, unique for the signal and the run: so it is kept once, however often it is sent.';
comment on column quantumflow.signals.sent_at is 'When it was sent.';
comment on column quantumflow.signals.sent_by is 'The role of SET ROLE, else the one that connected.';
comment on column quantumflow.signals.on_behalf_of is 'For whom, as the session claims by setting quantumflow.actor. Nobody has checked it.';
comment on column quantumflow.signals.taken_at is 'When a step took it; null if none has.';
comment on column quantumflow.signals.step_slug is 'The step that took it.';

create table quantumflow.step_hours (
  hour           timestamptz not null,
  workflow_slug  text collate "C" not null,
  version        int not null,
  step_slug      text collate "C" not null,
  command        text collate "C" not null,
  n              bigint not null,
  retries        bigint not null,
  waited_seconds numeric not null,
  worked_seconds numeric not null,
  took_seconds   numeric not null,
  failures       jsonb not null,
  waited         jsonb not null,
  worked         jsonb not null,
  took           jsonb not null,
  usage          jsonb not null,
  constraint step_hours_pkey primary key (hour, workflow_slug, version, step_slug, command),
  constraint step_hours_counts_not_negative check (n >= 0 and retries >= 0)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);

comment on table quantumflow.step_hours is
'How the attempts at each step went, and the runs, by the hour in which they ended: a row for each step and hour in which anything did.

Sweeps count each attempt once, when its run has ended, a minute or two later. It stays when runs are deleted; prune() forgets single
hours after four times as long. stats() and metrics() read it.';
comment on column quantumflow.step_hours.hour is
'The hour, from its beginning, in UTC; -infinity: all hours together, which is never less than it was.';
comment on column quantumflow.step_hours.workflow_slug is 'The workflow.';
comment on column quantumflow.step_hours.version is 'The version.';
comment on column quantumflow.step_hours.step_slug is 'The step; _run: the runs themselves.';
comment on column quantumflow.step_hours.command is 'The command of the step; empty for the runs themselves.';
comment on column quantumflow.step_hours.n is 'How many attempts ended, completed or failed; how many runs.';
comment on column quantumflow.step_hours.retries is 'How many of the attempts were not the first at their task since its run was started or retried.';
comment on column quantumflow.step_hours.waited_seconds is 'How long they waited, all together, from when they were due to when they began.';
comment on column quantumflow.step_hours.worked_seconds is 'How long they were worked on, all together, those that were lost left out.';
comment on column quantumflow.step_hours.took_seconds is
'How long the step took, from when it was ready, all the times that it completed together; a run from its start, or its last retry, to its end.';
comment on column quantumflow.step_hours.failures is
'How many attempts failed, by kind: {"error": 2}; by condition also steps that never had a task. How many runs did not complete, by how they ended.';
comment on column quantumflow.step_hours.waited is
'How many attempts waited how long: {"73": 5} says that five did for between 0.0001 * 1.1^72 and 0.0001 * 1.1^73 seconds.';
comment on column quantumflow.step_hours.worked is 'How many were worked on for how long, likewise.';
comment on column quantumflow.step_hours.took is 'How many times the step, or a run, took how long, likewise.';
comment on column quantumflow.step_hours.usage is 'What attempts said that they used, summed: {"tokens": 120}.';

create table quantumflow._counting (
  id         int not null,
  counted_to uuid not null,
  counted_at timestamptz not null,
  next_to    uuid,
  writers    text[],
  looked_to  uuid,
  constraint _counting_pkey primary key (id),
  constraint _counting_is_one check (id = 1)
);

comment on table quantumflow._counting is 'How far the runs are counted in step_hours: one row, which is held by whoever counts.';
comment on column quantumflow._counting.id is 'Always 1.';
comment on column quantumflow._counting.counted_to is
'Every run of a lower version 7 id, and of this one, has been counted, or is in _uncounted_runs.';
comment on column quantumflow._counting.counted_at is 'When all that was to be counted had been.';
comment on column quantumflow._counting.next_to is 'How far it is to go next; null: there was nothing left.';
comment on column quantumflow._counting.writers is
'The transactions that were open when that was decided, and may have started runs of lower ids: they are waited for.';
comment on column quantumflow._counting.looked_to is 'The run of _uncounted_runs that was looked at last.';

create table quantumflow._uncounted_runs (
  run_id     uuid not null,
  retried_at timestamptz not null,
  since      timestamptz,
  constraint _uncounted_runs_pkey primary key (run_id, retried_at)
);

comment on table quantumflow._uncounted_runs is
'Runs that are to be counted in step_hours once they have ended: those that went on when their turn came, that were retried, or whose id does
not tell when they were started.';
comment on column quantumflow._uncounted_runs.run_id is 'The run; it may be gone by now.';
comment on column quantumflow._uncounted_runs.retried_at is 'When it was retried; -infinity: it was not, that is why it is here.';
comment on column quantumflow._uncounted_runs.since is
'Attempts that ended after this are to be counted; null: nobody has looked yet whether those before the retry had been.';

create table quantumflow._unkept_runs (
  run_id uuid not null,
  constraint _unkept_runs_pkey primary key (run_id)
);

comment on table quantumflow._unkept_runs is
'Runs that iterations of loops had started which are not kept any more: settle() deletes them, since who drops an iteration holds its parent.';
comment on column quantumflow._unkept_runs.run_id is 'The run.';
