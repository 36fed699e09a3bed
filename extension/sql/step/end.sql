create function quantumflow._count_done_tasks(p_steps quantumflow._step_progress[], p_now timestamptz)
returns quantumflow._step_ref[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_count_done_tasks$
declare
  v_step quantumflow._step_progress;
  v_done quantumflow._step_ref[];
begin
  -- Counters once per call and step, in the order in which the steps were locked.
  with counted as (
    update quantumflow.step_states s
    set
      remaining_tasks = s.remaining_tasks - k.done_tasks,
      status = case when k.ends then 'completed' else s.status end,
      completed_at = case when k.ends then p_now end
    from unnest(p_steps) k
    where k.done_tasks > 0
      and not (k.ends and k.gathers)
      and s.run_id is not distinct from k.run_id
      and s.ctid = k.tid
    returning k.*
  )
  select coalesce(
    array_agg(
      row(c.run_id, c.step_slug, c.workflow_slug, c.version, true, c.dependents)::quantumflow._step_ref
    ) filter (where c.ends),
    '{}')
  into v_done
  from counted c;

  -- A loop, because each array is gathered, and may prove too large, by itself.
  for v_step in
    select k.*
    from unnest(p_steps) k
    where k.ends
      and k.gathers
  loop
    if quantumflow._end_map(v_step.run_id, v_step.step_slug, v_step.done_tasks, p_now) then
      v_done := v_done || row(
        v_step.run_id, v_step.step_slug, v_step.workflow_slug, v_step.version, true, v_step.dependents
      )::quantumflow._step_ref;
    end if;
  end loop;

  return v_done;
end
$_count_done_tasks$;

comment on function quantumflow._count_done_tasks(quantumflow._step_progress[], timestamptz) is
'Takes completed tasks off their steps'' counters, finishes the steps that have none left, and returns those.';

create function quantumflow._end_map(p_run_id uuid, p_step_slug text, p_done_tasks int, p_now timestamptz)
returns boolean
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_end_map$
declare
  v_output jsonb;
  v_status text;
begin
  begin
    v_output := quantumflow._gather_map(p_run_id, p_step_slug);
  exception
    when program_limit_exceeded or out_of_memory or internal_error then
      if not quantumflow._is_oversized(sqlstate, quantumflow._output_bytes(p_run_id, p_step_slug)) then
        raise;
      end if;

      v_output := null;
  end;

  update quantumflow.step_states s
  set
    remaining_tasks = s.remaining_tasks - p_done_tasks,
    status = case when v_output is null or s.status <> 'started' then s.status else 'completed' end,
    completed_at = case when v_output is not null and s.status = 'started' then p_now end,
    output = case when s.status = 'started' then v_output end
  where (s.run_id, s.step_slug) = (p_run_id, p_step_slug)
  returning s.status
  into v_status;

  if v_output is null then
    -- Raising instead would wedge whoever reports last, for ever.
    perform quantumflow._fail_step(
      p_run_id, p_step_slug, null, null, 'its outputs exceed what one jsonb array can hold (QF306)', p_now);
  end if;

  return v_status = 'completed';
end
$_end_map$;

comment on function quantumflow._end_map(uuid, text, int, timestamptz) is
'Completes a map, and says whether it is: its output is its tasks'' outputs as an array in index order, nulls kept.

Outputs too large for one jsonb value (256 MB) fail the step and the run instead, with QF306 in error_message.';

create function quantumflow._gather_map(p_run_id uuid, p_step_slug text)
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_gather_map$
declare
  v_in_chunks boolean;
  v_output    jsonb;
begin
  select w.chunk_size is not null
  into v_in_chunks
  from quantumflow.workflow_runs r
  join quantumflow.workflow_steps w
    on (w.workflow_slug, w.version, w.step_slug) = (r.workflow_slug, r.version, p_step_slug)
  where r.id = p_run_id;

  if v_in_chunks then
    select jsonb_agg(e.output order by t.task_index, e.n)
    into v_output
    from quantumflow.step_tasks t
    cross join jsonb_array_elements(case jsonb_typeof(t.output) when 'array' then t.output end) with ordinality e (output, n)
    where (t.run_id, t.step_slug) = (p_run_id, p_step_slug);
  else
    select jsonb_agg(t.output order by t.task_index)
    into v_output
    from quantumflow.step_tasks t
    where (t.run_id, t.step_slug) = (p_run_id, p_step_slug);
  end if;

  return v_output;
end
$_gather_map$;

comment on function quantumflow._gather_map(uuid, text) is
'The outputs of a map''s items as an array in index order, nulls kept. Raises 54000 when that is too large for a jsonb value.';
