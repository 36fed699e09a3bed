create function quantumflow._start_turns(p_most int, p_now timestamptz)
returns int
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_start_turns$
declare
  v_run     quantumflow.workflow_runs;
  v_key     record;
  v_started int := 0;
begin
  for v_key in
    select k.workflow_slug, k.turn_key
    from quantumflow._free_turns() k
    limit p_most
  loop
    -- The next one, if nobody holds it, and it has not been let go since.
    select r.*
    into v_run
    from (
      select t.run_id
      from quantumflow._run_turns t
      where (t.workflow_slug, t.turn_key) = (v_key.workflow_slug, v_key.turn_key)
        and not t.holds
      order by t.queued_at, t.run_id
      limit 1
    ) t
    cross join lateral (
      select l.*
      from quantumflow.workflow_runs l
      where l.id = t.run_id
      for update skip locked
    ) r;

    continue when not found;

    v_started := v_started + quantumflow._start_turn(v_run, p_now);
  end loop;

  return v_started;
end
$_start_turns$;

comment on function quantumflow._start_turns(int, timestamptz) is
'Lets runs go on whose turn has come, at most p_most, and returns how many. Never waits.';

create function quantumflow._free_turns()
returns table (workflow_slug text, turn_key text)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_free_turns$
begin
  -- From one key to the next along the index, however many runs of it wait.
  return query
  with recursive waits as (
    (
      select t.workflow_slug, t.turn_key
      from quantumflow._run_turns t
      where not t.holds
      order by t.workflow_slug, t.turn_key
      limit 1
    )
    union all
    select n.workflow_slug, n.turn_key
    from waits k
    cross join lateral (
      select t.workflow_slug, t.turn_key
      from quantumflow._run_turns t
      where not t.holds
        and (t.workflow_slug, t.turn_key) > (k.workflow_slug, k.turn_key)
      order by t.workflow_slug, t.turn_key
      limit 1
    ) n
  )
  select k.workflow_slug, k.turn_key
  from waits k
  where not exists (
    select
    from quantumflow._run_turns t
    cross join lateral (
      select
      from quantumflow.workflow_runs r
      where r.id = t.run_id
        and r.status in ('started', 'paused')
      limit 1
    ) r
    where (t.workflow_slug, t.turn_key) = (k.workflow_slug, k.turn_key)
      and t.holds
  );
end
$_free_turns$;

comment on function quantumflow._free_turns() is
'The keys of which runs wait for their turn, and none goes on.';

create function quantumflow._start_turn(p_run quantumflow.workflow_runs, p_now timestamptz)
returns int
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_start_turn$
declare
  v_run quantumflow.workflow_runs := p_run;
begin
  if v_run.status <> 'paused' then
    delete from quantumflow._run_turns t
    where t.run_id = v_run.id
      and not t.holds;

    return 0;
  end if;

  -- That of a run that has ended without a word.
  delete from quantumflow._run_turns t
  using quantumflow.workflow_runs r
  where (t.workflow_slug, t.turn_key) = (v_run.workflow_slug, v_run.turn_key)
    and t.holds
    and r.id = t.run_id
    and r.status not in ('started', 'paused');

  update quantumflow._run_turns t
  set holds = true
  where t.run_id = v_run.id;

  update quantumflow.workflow_runs r
  set status = 'started'
  where r.id = v_run.id
  returning *
  into v_run;

  perform quantumflow._start_ready(v_run, p_now);
  perform quantumflow._show_queued(v_run, p_now);

  return 1;
exception
  when unique_violation then
    -- Somebody has started another one.
    return 0;
end
$_start_turn$;

comment on function quantumflow._start_turn(quantumflow.workflow_runs, timestamptz) is
'Lets a run go on whose turn has come, unless another one has been faster: 1 or 0. The caller holds it.';
