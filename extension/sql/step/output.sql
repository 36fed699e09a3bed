create function quantumflow._step_output(p_run_id uuid, p_step_slug text)
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_step_output$
declare
  v_output jsonb;
begin
  select coalesce(s.output, t.output)
  into v_output
  from quantumflow.step_states s
  left join quantumflow.step_tasks t
    on (t.run_id, t.step_slug, t.task_index) = (s.run_id, s.step_slug, 0)
  where (s.run_id, s.step_slug) = (p_run_id, p_step_slug)
    and s.status = 'completed';

  return v_output;
end
$_step_output$;

comment on function quantumflow._step_output(uuid, text) is
'A completed step''s output, wherever it is stored: a map''s on the step, a single step''s on its task. Null before.';

create function quantumflow._gather_run_outputs(p_finished quantumflow._step_ref[], p_going_on uuid[])
returns quantumflow._ended_run[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_gather_run_outputs$
declare
  v_ended quantumflow._ended_run[];
begin
  select array_agg(
    row(f.run_id, null, f.workflow_slug, f.version)::quantumflow._ended_run
    order by f.run_id)
  into v_ended
  from (
    select distinct e.run_id, e.workflow_slug, e.version
    from unnest(p_finished) e
  ) f
  where f.run_id <> all (p_going_on);

  return quantumflow._gather_outputs(v_ended);
end
$_gather_run_outputs$;

comment on function quantumflow._gather_run_outputs(quantumflow._step_ref[], uuid[]) is
'The runs of finished steps, without those that go on, with their outputs; null where it cannot be one jsonb value.';

create function quantumflow._gather_outputs(p_ended quantumflow._ended_run[])
returns quantumflow._ended_run[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_gather_outputs$
declare
  v_ended quantumflow._ended_run[] := p_ended;
begin
  begin
    return quantumflow._with_outputs(v_ended);
  exception
    when program_limit_exceeded or out_of_memory or internal_error then
      -- Some output is larger than a jsonb value may be: find out whose, one run at a time.
      for n in 1 .. cardinality(v_ended) loop
        begin
          v_ended[n] := (quantumflow._with_outputs(v_ended[n:n]))[1];
        exception
          when program_limit_exceeded or out_of_memory or internal_error then
            if not quantumflow._is_oversized(sqlstate, quantumflow._leaf_bytes(v_ended[n])) then
              raise;
            end if;

            v_ended[n].output := null;
        end;
      end loop;
  end;

  return v_ended;
end
$_gather_outputs$;

comment on function quantumflow._gather_outputs(quantumflow._ended_run[]) is
'Adds the outputs of runs that have no step left; null where one cannot be one jsonb value.';

create function quantumflow._leaf_bytes(p_ended quantumflow._ended_run)
returns bigint
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_leaf_bytes$
begin
  return (
    select sum(quantumflow._output_bytes(p_ended.run_id, w.step_slug))
    from quantumflow.workflow_steps w
    where (w.workflow_slug, w.version) = (p_ended.workflow_slug, p_ended.version)
      and w.leaf
  );
end
$_leaf_bytes$;

comment on function quantumflow._leaf_bytes(quantumflow._ended_run) is
'How large the outputs of a run''s leaf steps are together.';

create function quantumflow._with_outputs(p_ended quantumflow._ended_run[])
returns quantumflow._ended_run[]
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_with_outputs$
begin
  return array(
    select row(k.run_id, o.output, k.workflow_slug, k.version)::quantumflow._ended_run
    from unnest(p_ended) k
    cross join lateral (
      select coalesce(jsonb_object_agg(s.step_slug, coalesce(s.output, t.output)), '{}') as output
      from quantumflow.workflow_steps w
      join quantumflow.step_states s
        on (s.run_id, s.step_slug) = (k.run_id, w.step_slug)
        and s.status = 'completed'
      left join quantumflow.step_tasks t
        on (t.run_id, t.step_slug, t.task_index) = (s.run_id, s.step_slug, 0)
      where (w.workflow_slug, w.version) = (k.workflow_slug, k.version)
        and w.leaf
    ) o);
end
$_with_outputs$;

comment on function quantumflow._with_outputs(quantumflow._ended_run[]) is
'Adds each run''s output: an object with the output of each leaf step, maps as arrays in index order.';

create view quantumflow._task_inputs as
select
  t.run_id,
  t.step_slug,
  t.task_index,
  case
    when w.chunk_size is not null then jsonb_build_object('items', t.item_value, 'index', t.task_index * w.chunk_size)
    when w.gathers then jsonb_build_object('item', t.item_value, 'index', t.task_index)
    when not w.counts then (
      select c.input
      from quantumflow._callback_inputs c
      where (c.run_id, c.step_slug, c.task_index) = (t.run_id, t.step_slug, t.task_index)
    )
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
  r.headers,
  w.step_type,
  r.retries,
  case
    when r.retries > 0
    then coalesce(
      (
        select max(u.undone_by)
        from quantumflow.undone_tasks u
        where (u.run_id, u.step_slug, u.task_index) = (t.run_id, t.step_slug, t.task_index)
      ),
      0)
    else 0
  end as fresh_since,
  r.version
from quantumflow.step_tasks t
join quantumflow.workflow_runs r
  on r.id = t.run_id
join quantumflow.workflow_steps w
  on (w.workflow_slug, w.version, w.step_slug) = (r.workflow_slug, r.version, t.step_slug);

comment on view quantumflow._task_inputs is
'What a task''s handler is given: {"run", <dependency>: output, ...}, or {"item", "index"} for a map task, {"items", "index"}
for one of a map in chunks, with the index of the first item, which fetches the rest on
demand, or {"run", "output"} or {"run", "error", "failure"} for a callback.

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
comment on column quantumflow._task_inputs.step_type is 'What the step is.';
comment on column quantumflow._task_inputs.retries is 'How often the run was retried.';
comment on column quantumflow._task_inputs.fresh_since is
'The latest retry of the run that undid a completion of the task; 0 for a task that has never been completed.';
comment on column quantumflow._task_inputs.version is 'The version that the run is pinned to.';

create function quantumflow._output_bytes(p_run_id uuid, p_step_slug text)
returns bigint
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_output_bytes$
begin
  return (
    select sum(quantumflow._bytes(t.output))
    from quantumflow.step_tasks t
    where (t.run_id, t.step_slug) = (p_run_id, p_step_slug)
  );
end
$_output_bytes$;

comment on function quantumflow._output_bytes(uuid, text) is
'How large the outputs of a step''s tasks are together.';
