-- How a run goes on without a step that has failed.

create type quantumflow._failed_step as (
  run_id        uuid,
  step_slug     text,
  workflow_slug text,
  version       int,
  if_failed     text,
  error_message text
);

comment on type quantumflow._failed_step is
'A step that has failed, why, and how its run goes on without it: fallback or step_continues.';

-- Without a path of its own, so that it is inlined where it is called.
create function quantumflow._if_failed(p_goes_on boolean, p_fallback jsonb)
returns text
language sql
immutable
return case when p_fallback is not null then 'fallback' when p_goes_on then 'step_continues' end;

comment on function quantumflow._if_failed(boolean, jsonb) is
'How a run goes on without a step that has failed, by what its row in workflow_steps says: fallback or step_continues; null: not at all.';

create function quantumflow._go_on_without(p_failed quantumflow._failed_step[], p_now timestamptz)
returns quantumflow._step_ref[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_go_on_without$
declare
  v_ended quantumflow._step_ref[];
  v_maps  quantumflow._step_ref[];
begin
  with ended as (
    update quantumflow.step_states s
    set
      status = case k.if_failed when 'fallback' then 'completed' else 'failed' end,
      remaining_deps = 0,
      initial_tasks = case k.if_failed when 'fallback' then coalesce(s.initial_tasks, 0) else s.initial_tasks end,
      remaining_tasks = case k.if_failed when 'fallback' then 0 else s.remaining_tasks end,
      output = w.fallback,
      error_message = k.error_message,
      completed_at = case k.if_failed when 'fallback' then p_now end,
      failed_at = case k.if_failed when 'fallback' then null else p_now end
    from unnest(p_failed) k
    cross join lateral (
      select l.ctid as tid
      from quantumflow.step_states l
      where (l.run_id, l.step_slug) = (k.run_id, k.step_slug)
      limit 1
    ) c
    cross join lateral (
      select l.fallback, l.dependents, l.known_tasks
      from quantumflow.workflow_steps l
      where (l.workflow_slug, l.version, l.step_slug) = (k.workflow_slug, k.version, k.step_slug)
      limit 1
    ) w
    where s.status in ('created', 'started')
      and s.run_id is not distinct from k.run_id
      and s.ctid = c.tid
    returning
      row(k.run_id, k.step_slug, k.workflow_slug, k.version, true, w.dependents, true, null)::quantumflow._step_ref as step,
      s.failed_tasks, w.known_tasks, s.started_at
  ),
  counted as (
    update quantumflow.workflow_runs r
    set gave_up = coalesce(r.gave_up, 0) + k.more
    from (
      -- Its tasks that were tolerated are part of it now.
      select (e.step).run_id, sum(1 - coalesce(e.failed_tasks, 0))::int as more
      from ended e
      group by (e.step).run_id
    ) k
    where r.id = k.run_id
  )
  select
    array_agg(e.step order by (e.step).run_id, (e.step).step_slug),
    array_agg(e.step) filter (where e.known_tasks is null and e.started_at is not null)
  into v_ended, v_maps
  from ended e;

  if v_maps is not null then
    perform quantumflow._stop_steps(v_maps, p_now);
  end if;

  return coalesce(v_ended, '{}');
end
$_go_on_without$;

comment on function quantumflow._go_on_without(quantumflow._failed_step[], timestamptz) is
'Ends steps that have failed and without which their runs go on: completed with the fallback, or failed. What is left of their tasks is
cancelled. Returns those that it has ended, to be counted as done. The caller holds the steps and the runs.';

create function quantumflow._given_up(p_run_id uuid)
returns int
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_given_up$
begin
  return (
    select coalesce(
      sum(case
        when s.status in ('completed', 'failed') and s.error_message is not null and (w.goes_on or w.fallback is not null) then 1
        else coalesce(s.failed_tasks, 0)
      end + coalesce(s.unkept_gave_up, 0))::int,
      0) + (
        select coalesce(sum(t.gave_up)::int, 0)
        from quantumflow.step_tasks t
        where t.run_id = p_run_id
          and t.status = 'completed'
      )
    from quantumflow.step_states s
    join quantumflow.workflow_runs r
      on r.id = s.run_id
    join quantumflow.workflow_steps w
      on (w.workflow_slug, w.version, w.step_slug) = (r.workflow_slug, r.version, s.step_slug)
    where s.run_id = p_run_id
  );
end
$_given_up$;

comment on function quantumflow._given_up(uuid) is
'A recount of what a run gave up: steps, each of which counts once, and tasks of maps that were tolerated.';
