create function quantumflow._map_source(p_run_id uuid, p_workflow_slug text, p_version int, p_step_slug text)
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_map_source$
declare
  v_map_over text;
  v_source   jsonb;
begin
  select w.map_over
  into v_map_over
  from quantumflow.workflow_steps w
  where (w.workflow_slug, w.version, w.step_slug) = (p_workflow_slug, p_version, p_step_slug);

  -- What it maps over may have been skipped, or have failed: then there is nothing to map over.
  if v_map_over is null then
    select r.input
    into v_source
    from quantumflow.workflow_runs r
    where r.id = p_run_id;
  else
    v_source := coalesce(quantumflow._step_output(p_run_id, v_map_over), '[]');
  end if;

  return v_source;
end
$_map_source$;

comment on function quantumflow._map_source(uuid, text, int, text) is
'The array a map step maps over: a dependency''s output, an empty one if that has none, or the run''s input.';

create function quantumflow._map_items(p_step quantumflow._step_ref, p_first int, p_last int, p_chunk_size int)
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_map_items$
declare
  v_source jsonb := quantumflow._map_source(p_step.run_id, p_step.workflow_slug, p_step.version, p_step.step_slug);
begin
  if p_first is null then
    return v_source;
  end if;

  return jsonb_path_query_array(
    v_source, '$[$first to $last]',
    jsonb_build_object('first', p_first::bigint * p_chunk_size, 'last', (p_last + 1)::bigint * p_chunk_size - 1));
end
$_map_items$;

comment on function quantumflow._map_items(quantumflow._step_ref, int, int, int) is
'The items of a map that its tasks p_first to p_last have; all of them when p_first is null.';

create function quantumflow._kept_tasks(p_run_id uuid, p_step_slug text)
returns int
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_kept_tasks$
begin
  return (
    select count(*)::int
    from quantumflow.step_tasks t
    where (t.run_id, t.step_slug) = (p_run_id, p_step_slug)
  );
end
$_kept_tasks$;

comment on function quantumflow._kept_tasks(uuid, text) is
'How many tasks a step has before it starts: those that a retry kept, which are completed.';

-- Without a path of its own, so that it is inlined where it is called.
create function quantumflow._counted_apart_from()
returns int
language sql
immutable
return 4000;

comment on function quantumflow._counted_apart_from() is
'From how many tasks on a map is counted in several rows. Counters with less than five calls of a hundred each come to their end soon, and
all at once, and then workers wait as for one.';

create function quantumflow._make_counters(p_steps quantumflow._step_ref[])
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_make_counters$
begin
  insert into quantumflow._map_counters (run_id, step_slug, counter, initial_tasks, remaining_tasks)
  select k.run_id, k.step_slug, n.n, q.tasks, q.tasks
  from unnest(p_steps) k
  cross join lateral (
    select l.remaining_tasks as tasks
    from quantumflow.step_states l
    where (l.run_id, l.step_slug) = (k.run_id, k.step_slug)
    limit 1
  ) s
  cross join lateral (
    select true as may_be
    from quantumflow.workflow_steps l
    where (l.workflow_slug, l.version, l.step_slug) = (k.workflow_slug, k.version, k.step_slug)
      and coalesce(l.tolerate_tasks, l.tolerate_share) is null
    limit 1
  ) w
  cross join generate_series(0, 7) n (n)
  cross join lateral (select s.tasks / 8 + (n.n < s.tasks % 8)::int as tasks) q
  where not k.is_started
    and s.tasks >= quantumflow._counted_apart_from()
    and q.tasks > 0;
end
$_make_counters$;

comment on function quantumflow._make_counters(quantumflow._step_ref[]) is
'Makes the counters of those of the steps just started that are large maps: eight, with an eighth of the tasks each. What tolerates failures
has none, since whether one more is tolerated is known of all of them together.';

create function quantumflow._take_off_counters(p_steps quantumflow._step_progress[])
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_take_off_counters$
begin
  -- What comes to nothing first: what is left of others may be as much as was taken.
  delete from quantumflow._map_counters m
  using unnest(p_steps) k
  cross join lateral unnest(k.counters, k.taken) u (counter, taken)
  cross join lateral (
    select l.ctid as tid
    from quantumflow._map_counters l
    where (l.run_id, l.step_slug, l.counter) = (k.run_id, k.step_slug, u.counter)
      and l.remaining_tasks = u.taken
    limit 1
  ) c
  where k.row_tasks > 0
    and m.run_id is not distinct from k.run_id
    and m.ctid = c.tid;

  update quantumflow._map_counters m
  set remaining_tasks = m.remaining_tasks - u.taken
  from unnest(p_steps) k
  cross join lateral unnest(k.counters, k.taken) u (counter, taken)
  cross join lateral (
    select l.ctid as tid
    from quantumflow._map_counters l
    where (l.run_id, l.step_slug, l.counter) = (k.run_id, k.step_slug, u.counter)
      and l.remaining_tasks > u.taken
    limit 1
  ) c
  where m.run_id is not distinct from k.run_id
    and m.ctid = c.tid;
end
$_take_off_counters$;

comment on function quantumflow._take_off_counters(quantumflow._step_progress[]) is
'Takes completed tasks off the counters that the caller holds, and deletes those that come to nothing.';

create function quantumflow._end_map(
  p_run_id        uuid,
  p_step_slug     text,
  p_workflow_slug text,
  p_version       int,
  p_done_tasks    int,
  p_now           timestamptz)
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
    return quantumflow._fail_steps(
      array[row(
        p_run_id, p_step_slug, p_workflow_slug, p_version, null, 'its outputs exceed what one jsonb array can hold (QF306)'
      )::quantumflow._failed_step],
      p_now) <> '{}';
  end if;

  return v_status = 'completed';
end
$_end_map$;

comment on function quantumflow._end_map(uuid, text, text, int, int, timestamptz) is
'Completes a map, and says whether its run goes on: its output is its tasks'' outputs as an array in index order, nulls kept.

Outputs too large for one jsonb value (256 MB) fail the step instead, with QF306 in error_message, and the run, unless that goes on without.';

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
    select jsonb_agg(case t.status when 'completed' then e.value end order by t.task_index, e.n)
    into v_output
    from quantumflow.step_tasks t
    cross join lateral (select case t.status when 'completed' then t.output else t.item_value end as places) p
    cross join jsonb_array_elements(case jsonb_typeof(p.places) when 'array' then p.places end) with ordinality e (value, n)
    where (t.run_id, t.step_slug) = (p_run_id, p_step_slug);
  else
    select jsonb_agg(case t.status when 'completed' then t.output end order by t.task_index)
    into v_output
    from quantumflow.step_tasks t
    where (t.run_id, t.step_slug) = (p_run_id, p_step_slug);
  end if;

  return v_output;
end
$_gather_map$;

comment on function quantumflow._gather_map(uuid, text) is
'The outputs of a map''s items as an array in index order, nulls kept; null for each item of a task that has failed, whatever that had put out.
Raises 54000 when that is too large for a jsonb value.';
