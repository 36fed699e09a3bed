create view quantumflow.step_dependencies as
select
  s.run_id,
  s.step_slug,
  e.depends_on_step
from quantumflow.step_states s
join quantumflow.workflow_runs r
  on r.id = s.run_id
join quantumflow.workflow_step_edges e
  on (e.workflow_slug, e.version, e.step_slug) = (r.workflow_slug, r.version, s.step_slug);

comment on view quantumflow.step_dependencies is
'The edges of each run, from the version it is pinned to: one row per dependency.';
comment on column quantumflow.step_dependencies.run_id is 'The run.';
comment on column quantumflow.step_dependencies.step_slug is 'The step that waits.';
comment on column quantumflow.step_dependencies.depends_on_step is 'The step it waits for.';

create view quantumflow.workflow_step_states as
select
  s.run_id as workflow_run_id,
  s.step_slug as step_name,
  case s.status when 'created' then 'pending' when 'completed' then 'done' else s.status end as status,
  case
    when w.known_tasks = 1 and s.status <> 'created'
    then (
      select i.input
      from quantumflow._task_inputs i
      where (i.run_id, i.step_slug, i.task_index) = (s.run_id, s.step_slug, 0)
    )
  end as input,
  coalesce(s.output, case when s.status = 'completed' then t.output end) as output,
  s.error_message,
  (
    select max(a.attempts)
    from quantumflow.step_tasks a
    where (a.run_id, a.step_slug) = (s.run_id, s.step_slug)
  ) as attempt,
  t.queued_at as enqueued_at
from quantumflow.step_states s
join quantumflow.workflow_runs r
  on r.id = s.run_id
join quantumflow.workflow_steps w
  on (w.workflow_slug, w.version, w.step_slug) = (r.workflow_slug, r.version, s.step_slug)
left join quantumflow.step_tasks t
  on (t.run_id, t.step_slug, t.task_index) = (s.run_id, s.step_slug, 0);

comment on view quantumflow.workflow_step_states is
'The steps of each run in the words pending, started, done and failed, with inputs and outputs.';
comment on column quantumflow.workflow_step_states.workflow_run_id is 'The run.';
comment on column quantumflow.workflow_step_states.step_name is 'The step.';
comment on column quantumflow.workflow_step_states.status is 'pending, started, done, failed, skipped or cancelled.';
comment on column quantumflow.workflow_step_states.input is
'What a single step''s handler is given; null before it starts, and for a map, whose tasks have an input each.';
comment on column quantumflow.workflow_step_states.output is 'The output of a step that is done, a map''s as an array.';
comment on column quantumflow.workflow_step_states.error_message is 'Why the step failed.';
comment on column quantumflow.workflow_step_states.attempt is 'The most attempts that one of its tasks has had.';
comment on column quantumflow.workflow_step_states.enqueued_at is 'From when its first task could be claimed.';

create view quantumflow.workflow_step_tasks as
select
  t.run_id as workflow_run_id,
  t.step_slug as step_name,
  t.task_index as item_index,
  t.item_value,
  case t.status when 'queued' then 'pending' when 'completed' then 'done' else t.status end as status,
  t.output,
  t.error_message,
  t.attempts as attempt
from quantumflow.step_tasks t;

comment on view quantumflow.workflow_step_tasks is
'The tasks of each run in the words pending, started, done and failed.';
comment on column quantumflow.workflow_step_tasks.workflow_run_id is 'The run.';
comment on column quantumflow.workflow_step_tasks.step_name is 'The step.';
comment on column quantumflow.workflow_step_tasks.item_index is 'The item''s position; 0 for a single step.';
comment on column quantumflow.workflow_step_tasks.item_value is 'A map task''s item.';
comment on column quantumflow.workflow_step_tasks.status is 'pending, started, done, failed, skipped or cancelled.';
comment on column quantumflow.workflow_step_tasks.output is 'What it was completed with.';
comment on column quantumflow.workflow_step_tasks.error_message is 'Its latest failure.';
comment on column quantumflow.workflow_step_tasks.attempt is 'How often it was claimed.';

create view quantumflow.workflow_step_dependencies as
select
  d.run_id as workflow_run_id,
  d.depends_on_step as from_step_name,
  d.step_slug as to_step_name
from quantumflow.step_dependencies d;

comment on view quantumflow.workflow_step_dependencies is
'The edges of each run, from the step that must be done first to the one that waits for it.';
comment on column quantumflow.workflow_step_dependencies.workflow_run_id is 'The run.';
comment on column quantumflow.workflow_step_dependencies.from_step_name is 'The step that must be done first.';
comment on column quantumflow.workflow_step_dependencies.to_step_name is 'The step that waits.';
