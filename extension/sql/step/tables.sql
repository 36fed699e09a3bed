create table quantumflow.step_states (
  run_id          uuid not null,
  step_slug       text collate "C" not null,
  error_message   text,
  created_at      timestamptz not null,
  failed_at       timestamptz,
  initial_tasks   int,
  remaining_deps  int not null,
  started_at      timestamptz,
  remaining_tasks int,
  status          text not null,
  completed_at    timestamptz,
  output          jsonb,
  skipped_at      timestamptz,
  skip_reason     text,
  failed_tasks    int,
  fresh_since     int,
  next_child      int,
  max_iterations  int,
  unkept_gave_up  int,
  constraint step_states_pkey primary key (run_id, step_slug),
  constraint step_states_remaining_deps_not_negative check (remaining_deps >= 0),
  constraint step_states_remaining_tasks_within_initial check (remaining_tasks between 0 and initial_tasks),
  constraint step_states_completed_has_no_open_tasks check (status <> 'completed' or remaining_tasks = 0)
) with (fillfactor = 35, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);

comment on table quantumflow.step_states is 'One row per step of a run, from the run''s start.';
comment on column quantumflow.step_states.run_id is 'The run.';
comment on column quantumflow.step_states.step_slug is 'The step.';
comment on column quantumflow.step_states.error_message is 'Why the step failed; on a completed step, why its output is its fallback.';
comment on column quantumflow.step_states.created_at is 'When the run started.';
comment on column quantumflow.step_states.failed_at is 'When a task of it failed for good.';
comment on column quantumflow.step_states.initial_tasks is
'How many tasks the step has; null while a map''s size is unknown. Of a loop how many iterations were made, those that are not kept too.';
comment on column quantumflow.step_states.remaining_deps is 'Dependencies that are not done yet; 0 makes the step ready.';
comment on column quantumflow.step_states.started_at is 'When the last dependency was done and the tasks were queued.';
comment on column quantumflow.step_states.remaining_tasks is
'Tasks that are not done yet; 0 completes the step. Null while a map''s size is unknown. Of a map of 4,000 tasks or more what is done is
counted in _map_counters first, and taken off here by the eighth of the map: how many are done at the moment is in status().';
comment on column quantumflow.step_states.status is 'created, started, completed, failed, skipped or cancelled.';
comment on column quantumflow.step_states.completed_at is 'When the last task was done.';
comment on column quantumflow.step_states.output is
'A map''s outputs as an array in index order, once completed; a loop''s last; of any step the fallback that stands for its output. Else null
for a single step, whose output is on its task.';
comment on column quantumflow.step_states.skipped_at is 'When the step was skipped.';
comment on column quantumflow.step_states.skip_reason is
'Why it was skipped. condition: its condition was false. dependency: too few of its dependencies had completed.';
comment on column quantumflow.step_states.failed_tasks is 'How many of its tasks have failed and were tolerated; null for none.';
comment on column quantumflow.step_states.next_child is
'Of a map of children from which task on some may still have to wait until others are done; null: from the first on.';
comment on column quantumflow.step_states.fresh_since is
'The retry of the run, from 1, that runs this step anew: children that its tasks started before are nobody''s any more. Null where there was none.';
comment on column quantumflow.step_states.max_iterations is
'How many iterations a loop may have had, where a retry has granted it more than its definition does; null: as many as that says.';
comment on column quantumflow.step_states.unkept_gave_up is
'What the runs of a loop''s iterations that are not kept any more went on without, as gave_up of a run; null: nothing.';

create table quantumflow._map_counters (
  run_id          uuid not null,
  step_slug       text collate "C" not null,
  counter         int not null,
  initial_tasks   int not null,
  remaining_tasks int not null,
  constraint _map_counters_pkey primary key (run_id, step_slug, counter),
  constraint _map_counters_remaining_within_initial check (remaining_tasks between 1 and initial_tasks)
) with (fillfactor = 30, autovacuum_vacuum_scale_factor = 0.02);

comment on table quantumflow._map_counters is
'The counters of large maps: of each several, so that workers that report tasks of the same map at the same time do not wait for each other.

A task that is done is taken off any of them. One that has come to nothing is deleted, and its initial_tasks are taken off
remaining_tasks of step_states; so what is not done yet is that number, less what these have counted.';
comment on column quantumflow._map_counters.run_id is 'The run.';
comment on column quantumflow._map_counters.step_slug is 'The map.';
comment on column quantumflow._map_counters.counter is 'Which of the map''s counters it is, from 0.';
comment on column quantumflow._map_counters.initial_tasks is 'How many tasks it counts.';
comment on column quantumflow._map_counters.remaining_tasks is 'How many of them are not done yet.';

create table quantumflow.limits (
  limit_name text collate "C" not null,
  at_once    int,
  per_second numeric,
  changed_at timestamptz not null,
  constraint limits_pkey primary key (limit_name),
  constraint limits_name_well_formed check (limit_name ~ '^[A-Za-z][A-Za-z0-9_.-]{0,127}$'),
  constraint limits_at_once_within check (at_once between 0 and 10000),
  constraint limits_per_second_within check (per_second between 0.0001 and 100000)
);

comment on table quantumflow.limits is
'What limits are set, by set_limit(). A limit that a step names, and that is not here, holds nothing back.';
comment on column quantumflow.limits.limit_name is 'The name by which steps know it.';
comment on column quantumflow.limits.at_once is
'How many tasks of one key may be with workers at once, 0 to 10,000; null: any number.';
comment on column quantumflow.limits.per_second is 'How many tasks of one key may begin in a second, 0.0001 to 100,000; null: any number.';
comment on column quantumflow.limits.changed_at is 'When it was set last.';

create table quantumflow._limit_slots (
  limit_name  text collate "C" not null,
  limit_key   text collate "C" not null,
  slot        int not null,
  run_id      uuid,
  step_slug   text collate "C",
  task_index  int,
  lease_token bigint,
  taken_at    timestamptz,
  constraint _limit_slots_pkey primary key (limit_name, limit_key, slot),
  constraint _limit_slots_count_from_one check (slot >= 1)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);

comment on table quantumflow._limit_slots is
'The slots of each key of a limit, each naming the lease that has it. A slot is free where that is not the live lease of its task: so nothing
has to give it back, and none can be lost. Made as they are needed, and swept away when nobody has used them for an hour.';
comment on column quantumflow._limit_slots.limit_name is 'The limit.';
comment on column quantumflow._limit_slots.limit_key is 'The key, as _limit_key() writes it; empty for a limit without one.';
comment on column quantumflow._limit_slots.slot is '1, 2, 3 and so on: those above at_once are taken by nobody any more.';
comment on column quantumflow._limit_slots.run_id is 'The run of the task that had it last.';
comment on column quantumflow._limit_slots.step_slug is 'Its step.';
comment on column quantumflow._limit_slots.task_index is 'Its index.';
comment on column quantumflow._limit_slots.lease_token is 'The lease; null: it has been given back.';
comment on column quantumflow._limit_slots.taken_at is 'When it was taken last.';

create table quantumflow._limit_turns (
  limit_name text collate "C" not null,
  limit_key  text collate "C" not null,
  next_at    timestamptz not null,
  constraint _limit_turns_pkey primary key (limit_name, limit_key)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);

comment on table quantumflow._limit_turns is
'Of each key of a limit that says how many may begin in a second, when the next one may.';
comment on column quantumflow._limit_turns.limit_name is 'The limit.';
comment on column quantumflow._limit_turns.limit_key is 'The key, as in _limit_slots.';
comment on column quantumflow._limit_turns.next_at is 'The first moment that nobody has been given.';

create table quantumflow._limit_waits (
  run_id     uuid not null,
  step_slug  text collate "C" not null,
  task_index int not null,
  limit_name text collate "C" not null,
  limit_key  text collate "C" not null,
  queue      text collate "C" not null,
  command    text collate "C" not null,
  message_id bigint not null,
  place      timestamptz not null,
  priority   int not null,
  let_go_at  timestamptz,
  turn_at    timestamptz,
  constraint _limit_waits_pkey primary key (run_id, step_slug, task_index)
) with (autovacuum_vacuum_scale_factor = 0.02);

create index _limit_waits_in_turn on quantumflow._limit_waits (limit_name, limit_key, queue, command, let_go_at, place, message_id);

comment on table quantumflow._limit_waits is
'The queued tasks of limited steps, each until it is claimed: those whose message sleeps until it is their turn, and those that have been let go,
so that a claim may find a slot for them.';
comment on column quantumflow._limit_waits.run_id is 'The run.';
comment on column quantumflow._limit_waits.step_slug is 'The step.';
comment on column quantumflow._limit_waits.task_index is 'The task.';
comment on column quantumflow._limit_waits.limit_name is 'The limit.';
comment on column quantumflow._limit_waits.limit_key is 'The key, as in _limit_slots.';
comment on column quantumflow._limit_waits.queue is 'The queue of its message.';
comment on column quantumflow._limit_waits.command is 'The command of its step.';
comment on column quantumflow._limit_waits.message_id is 'The msg_id of its message.';
comment on column quantumflow._limit_waits.place is 'Its place among those of its key: since when it has waited, earlier by its priority.';
comment on column quantumflow._limit_waits.priority is 'By how many seconds.';
comment on column quantumflow._limit_waits.let_go_at is 'Since when its message is visible; null: it sleeps.';
comment on column quantumflow._limit_waits.turn_at is 'The moment that it was given, of a limit that says how many may begin in a second; null: none.';

create table quantumflow._limit_sweeps (
  limit_name text collate "C" not null,
  limit_key  text collate "C" not null,
  constraint _limit_sweeps_pkey primary key (limit_name, limit_key)
);

comment on table quantumflow._limit_sweeps is
'Where the last sweep of limits stopped, in one row, if it did not come to all keys of which tasks wait: the next one begins there.';
comment on column quantumflow._limit_sweeps.limit_name is 'The limit of the last key that was swept.';
comment on column quantumflow._limit_sweeps.limit_key is 'The key.';
