create view quantumflow._task_inputs as
select
  t.run_id,
  t.step_slug,
  t.task_index,
  case
    when w.chunk_size is not null then jsonb_build_object('items', t.item_value, 'index', t.task_index * w.chunk_size)
    when w.step_type = 'map' then jsonb_build_object('item', t.item_value, 'index', t.task_index)
    when t.step_slug = '_on_complete' then jsonb_build_object('run', r.input, 'output', r.output)
    when t.step_slug = '_on_failure' then jsonb_build_object('run', r.input, 'error', r.error_message)
    when w.dependencies = '{}' then jsonb_build_object('run', r.input)
    else (
      select jsonb_object_agg(g.key, g.value)
      from (
        select 'run' as key, r.input as value
        union all
        select d.step_slug, coalesce(s.output, o.output)
        from (select unnest(w.dependencies) as step_slug) d
        cross join lateral (
          select l.output
          from quantumflow.step_states l
          where (l.run_id, l.step_slug) = (t.run_id, d.step_slug)
            and l.status = 'completed'
          limit 1
        ) s
        left join lateral (
          select l.output
          from quantumflow.step_tasks l
          where (l.run_id, l.step_slug, l.task_index) = (t.run_id, d.step_slug, 0)
          limit 1
        ) o
          on s.output is null
      ) g
    )
  end as input,
  t.status,
  t.message_id,
  w.command,
  w.args,
  w.max_attempts,
  r.headers
from quantumflow.step_tasks t
join quantumflow.workflow_runs r
  on r.id = t.run_id
join quantumflow.workflow_steps w
  on (w.workflow_slug, w.version, w.step_slug) = (r.workflow_slug, r.version, t.step_slug);

comment on view quantumflow._task_inputs is
'What a task''s handler is given: {"run", <dependency>: output, ...}, or {"item", "index"} for a map task, {"items", "index"}
for one of a map in chunks, with the index of the first item, which fetches the rest on
demand, or {"run", "output"} or {"run", "error"} for a callback.

A dependency that was skipped is absent; one whose output is null is null. Nothing is merged, so no key can hide another.';
comment on column quantumflow._task_inputs.run_id is 'The run.';
comment on column quantumflow._task_inputs.step_slug is 'The step.';
comment on column quantumflow._task_inputs.task_index is 'The task.';
comment on column quantumflow._task_inputs.input is 'The input.';
comment on column quantumflow._task_inputs.status is 'The task''s status.';
comment on column quantumflow._task_inputs.message_id is 'The task''s message.';
comment on column quantumflow._task_inputs.command is 'The handler to call.';
comment on column quantumflow._task_inputs.args is 'The args of the step.';
comment on column quantumflow._task_inputs.max_attempts is 'How many failures end the task.';
comment on column quantumflow._task_inputs.headers is 'The headers of the run.';
