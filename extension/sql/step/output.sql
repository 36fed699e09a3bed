create view quantumflow._step_outputs as
select
  s.run_id,
  s.step_slug,
  coalesce(s.output, t.output) as output
from quantumflow.step_states s
left join lateral (
  select l.output
  from quantumflow.step_tasks l
  where (l.run_id, l.step_slug, l.task_index) = (s.run_id, s.step_slug, 0)
  limit 1
) t
  on s.output is null
where s.status = 'completed';

comment on view quantumflow._step_outputs is
'The outputs of completed steps, wherever they are stored: a map''s and a loop''s on the step, a single step''s on its task.';
comment on column quantumflow._step_outputs.run_id is 'The run.';
comment on column quantumflow._step_outputs.step_slug is 'The step.';
comment on column quantumflow._step_outputs.output is 'The output.';

create function quantumflow._step_output(p_run_id uuid, p_step_slug text)
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_step_output$
begin
  return (
    select o.output
    from quantumflow._step_outputs o
    where (o.run_id, o.step_slug) = (p_run_id, p_step_slug)
  );
end
$_step_output$;

comment on function quantumflow._step_output(uuid, text) is
'A completed step''s output. Null before.';

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

create function quantumflow._fresh_since(p_run_id uuid, p_step_slug text, p_task_index int)
returns int
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_fresh_since$
begin
  return coalesce(
    (
      select max(u.undone_by)
      from quantumflow.undone_tasks u
      where (u.run_id, u.step_slug, u.task_index) = (p_run_id, p_step_slug, p_task_index)
    ),
    0);
end
$_fresh_since$;

comment on function quantumflow._fresh_since(uuid, text, int) is
'The latest retry of the run that undid a completion of the task; 0 for a task that has never been completed.';

create function quantumflow._loop_fresh_since(p_run_id uuid, p_step_slug text)
returns int
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_loop_fresh_since$
begin
  return coalesce(
    (
      select max(u.undone_by)
      from quantumflow.undone_tasks u
      where (u.run_id, u.step_slug) = (p_run_id, p_step_slug)
    ),
    0);
end
$_loop_fresh_since$;

comment on function quantumflow._loop_fresh_since(uuid, text) is
'The latest retry of the run that undid iterations of a loop: those that are made after it are other work than before, since each is given
what the one before has put out. 0 if none has.';

create function quantumflow._joined_input(p_run_id uuid, p_run_input jsonb, p_dependencies text[], p_most int)
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_joined_input$
begin
  return (
    select jsonb_object_agg(g.key, g.value) filter (where pg_column_size(g.value) <= p_most)
    from (
      select 'run' as key, p_run_input as value
      union all
      select d.step_slug, o.output
      from (select unnest(p_dependencies) as step_slug) d
      cross join lateral (
        select l.output
        from quantumflow._step_outputs l
        where (l.run_id, l.step_slug) = (p_run_id, d.step_slug)
        limit 1
      ) o
    ) g
    having max(pg_column_size(g.value)) <= p_most
  );
end
$_joined_input$;

comment on function quantumflow._joined_input(uuid, jsonb, text[], int) is
'_task_input of a step that several others lead to.';

create function quantumflow._iteration_input(
  p_run_id       uuid,
  p_step_slug    text,
  p_task_index   int,
  p_run_input    jsonb,
  p_dependencies text[],
  p_most         int)
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_iteration_input$
declare
  v_last jsonb;
begin
  select t.output
  into v_last
  from quantumflow.step_tasks t
  where (t.run_id, t.step_slug, t.task_index) = (p_run_id, p_step_slug, p_task_index - 1);

  if pg_column_size(v_last) > p_most then
    return null;
  end if;

  return quantumflow._joined_input(p_run_id, p_run_input, p_dependencies, p_most)
    || jsonb_build_object('iteration', p_task_index, 'last', coalesce(v_last, 'null'));
end
$_iteration_input$;

comment on function quantumflow._iteration_input(uuid, text, int, jsonb, text[], int) is
'_task_input of an iteration.';

-- Without paths of their own, so that they are inlined where they are called; what is rarely asked for is called, so that others do not pay
-- for its plan.

create function quantumflow._statuses_of(p_run_id uuid, p_step_slugs text[])
returns table (statuses jsonb)
language sql
stable
begin atomic
  select coalesce(jsonb_object_agg(u.slug, s.status), '{}')
  from unnest(p_step_slugs) u (slug)
  cross join lateral (
    select l.status
    from quantumflow.step_states l
    where (l.run_id, l.step_slug) = (p_run_id, u.slug)
    limit 1
  ) s;
end;

comment on function quantumflow._statuses_of(uuid, text[]) is
'What became of steps of a run, by name: what a condition has as $status.';

create function quantumflow._task_input(
  p_run_id       uuid,
  p_step_slug    text,
  p_task_index   int,
  p_item_value   jsonb,
  p_run_input    jsonb,
  p_retries      int,
  p_dependencies text[],
  p_counts       boolean,
  p_gathers      boolean,
  p_repeats      boolean,
  p_chunk_size   int,
  p_most         int)
returns table (input jsonb, fresh_since int)
language sql
stable
begin atomic
  select
    case
      when pg_column_size(case when p_gathers then p_item_value else p_run_input end) > p_most then null
      when p_chunk_size is not null then jsonb_build_object('items', p_item_value, 'index', p_task_index * p_chunk_size)
      when p_gathers then jsonb_build_object('item', p_item_value, 'index', p_task_index)
      when not p_counts then quantumflow._callback_input(p_run_id, p_step_slug)
      when p_repeats then quantumflow._iteration_input(p_run_id, p_step_slug, p_task_index, p_run_input, p_dependencies, p_most)
      when p_dependencies = '{}' then jsonb_build_object('run', p_run_input)
      when cardinality(p_dependencies) > 1 then quantumflow._joined_input(p_run_id, p_run_input, p_dependencies, p_most)
      else (
        select case
          when o.output is null then jsonb_build_object('run', p_run_input)
          when pg_column_size(o.output) <= p_most then jsonb_build_object('run', p_run_input, p_dependencies[1], o.output)
        end
        from (select 1) k
        left join lateral (
          select l.output
          from quantumflow._step_outputs l
          where (l.run_id, l.step_slug) = (p_run_id, p_dependencies[1])
          limit 1
        ) o on true
      )
    end,
    case
      when p_retries = 0 then 0
      when p_repeats then quantumflow._loop_fresh_since(p_run_id, p_step_slug)
      else quantumflow._fresh_since(p_run_id, p_step_slug, p_task_index)
    end
  offset 0;
end;

comment on function quantumflow._task_input(uuid, text, int, jsonb, jsonb, int, text[], boolean, boolean, boolean, int, int) is
'What a task''s handler is given: {"run", <dependency>: output, ...}, of a loop with "iteration" and "last", or {"item", "index"} for a map task, {"items", "index"}
for one of a map in chunks, with the index of the first item, which fetches the rest on
demand, or {"run", "output"} or {"run", "error", "failure"} for a callback.

A dependency that was skipped is absent; one whose output is null is null. Nothing is merged, so no key can hide another.
p_most: the input is null if a part of it is larger, in bytes as it is stored. fresh_since: see _fresh_since.';

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
