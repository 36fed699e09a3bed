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
      select jsonb_object_agg(g.key, g.value)
      from (
        select 'run' as key, r.input as value
        union all
        select o.step_slug, o.output
        from quantumflow._step_outputs o
        where o.run_id = s.run_id
          and o.step_slug = any (w.dependencies)
      ) g
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
comment on column quantumflow.workflow_step_tasks.error_message is 'Its latest failure, or why it is left to other code.';
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

create view quantumflow.attempt_usage as
select
  r.workflow_slug,
  a.run_id,
  a.step_slug,
  w.command,
  a.task_index,
  a.attempt,
  a.outcome,
  a.ended_at,
  u.key as name,
  u.value::numeric as amount
from (
  select t.run_id, t.step_slug, t.task_index, t.attempts as attempt, 'completed' as outcome, t.completed_at as ended_at, t.usage
  from quantumflow.step_tasks t
  where t.usage is not null
  union all
  select f.run_id, f.step_slug, f.task_index, f.attempt, f.kind, f.ended_at, f.usage
  from quantumflow.task_failures f
  where f.usage is not null
  union all
  select d.run_id, d.step_slug, d.task_index, d.attempt, 'undone', d.completed_at, d.usage
  from quantumflow.undone_tasks d
  where d.usage is not null
) a
join quantumflow.workflow_runs r
  on r.id = a.run_id
join quantumflow.workflow_steps w
  on (w.workflow_slug, w.version, w.step_slug) = (r.workflow_slug, r.version, a.step_slug)
cross join jsonb_each(a.usage) u;

comment on view quantumflow.attempt_usage is
'What attempts said that they used, a row a name and attempt, of failed ones and of what a retry has undone too.

To be summed as one likes, by command and name for example. Without a condition
on run_id it reads every task that is kept; what prune has deleted is not here.';
comment on column quantumflow.attempt_usage.workflow_slug is 'The workflow.';
comment on column quantumflow.attempt_usage.run_id is 'The run.';
comment on column quantumflow.attempt_usage.step_slug is 'The step.';
comment on column quantumflow.attempt_usage.command is 'The command that its handler is registered for.';
comment on column quantumflow.attempt_usage.task_index is 'The task.';
comment on column quantumflow.attempt_usage.attempt is 'The attempt, from 1.';
comment on column quantumflow.attempt_usage.outcome is 'completed; undone, if a retry runs it again; or the kind of its failure.';
comment on column quantumflow.attempt_usage.ended_at is 'When it ended.';
comment on column quantumflow.attempt_usage.name is 'What was used.';
comment on column quantumflow.attempt_usage.amount is 'How much of it.';
