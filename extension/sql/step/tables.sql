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
  constraint step_states_pkey primary key (run_id, step_slug),
  constraint step_states_status_known
    check (status in ('created', 'started', 'completed', 'failed', 'skipped', 'cancelled')),
  constraint step_states_remaining_deps_not_negative check (remaining_deps >= 0),
  constraint step_states_remaining_tasks_within_initial check (remaining_tasks between 0 and initial_tasks),
  constraint step_states_waits_for_dependencies check (remaining_deps = 0 or status in ('created', 'skipped', 'cancelled')),
  constraint step_states_started_has_tasks check (status not in ('started', 'completed') or initial_tasks is not null),
  constraint step_states_completed_has_no_open_tasks check (status <> 'completed' or remaining_tasks = 0),
  constraint step_states_completed_has_time check ((status = 'completed') = (completed_at is not null)),
  constraint step_states_failed_has_time check ((status = 'failed') = (failed_at is not null)),
  constraint step_states_skipped_has_reason
    check (skipped_at is null = (skip_reason is null) and (skipped_at is null or status = 'skipped')),
  constraint step_states_skip_reason_known check (skip_reason in ('condition', 'dependency')),
  constraint step_states_failed_tasks_positive check (failed_tasks > 0),
  constraint step_states_iterations_within_maximum check (initial_tasks <= max_iterations)
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
