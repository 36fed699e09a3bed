create function quantumflow._versions_at_work(p_run_id uuid)
returns setof quantumflow.workflow_versions
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_versions_at_work$
begin
  if p_run_id is not null then
    return query
    select v.*
    from quantumflow.workflow_runs r
    join quantumflow.workflow_versions v
      on (v.workflow_slug, v.version) = (r.workflow_slug, r.version)
    where r.id = p_run_id;

    return;
  end if;

  return query
  select v.*
  from quantumflow.workflow_versions v
  where exists (
      select
      from quantumflow.workflows w
      where (w.workflow_slug, w.current_version) = (v.workflow_slug, v.version)
    )
    or (v.workflow_slug, v.version) in (
      select r.workflow_slug, r.version
      from quantumflow.workflow_runs r
      where r.status in ('started', 'paused')
    );
end
$_versions_at_work$;

comment on function quantumflow._versions_at_work(uuid) is
'The version of a run. Or, with null, those of which there may be more to do: current ones, and of runs that have not ended.';

create function quantumflow._wrong_facts(p_run_id uuid)
returns setof quantumflow.workflow_steps
language plpgsql
stable
set search_path = pg_catalog, pg_temp
-- Not as check_state() has them: each version would be compiled by a new plan.
set plan_cache_mode = force_generic_plan
set enable_nestloop = on
as $_wrong_facts$
begin
  return query
  select c.*
  from quantumflow._versions_at_work(p_run_id) v
  cross join lateral quantumflow._compiled_steps(v.workflow_slug, v.version, v.definition) c
  join quantumflow.workflow_steps s
    on (s.workflow_slug, s.version, s.step_slug) = (c.workflow_slug, c.version, c.step_slug)
  where (s.step_type, s.feeds_map, s.counts, s.known_tasks, s.gathers, s.plain, s.leaf, s.joins, s.otherwise, s.condition, s.after,
      s.prefer_after, s.goes_on, s.fallback, s.tolerate_tasks, s.tolerate_share, s.concludes, s.settled, s.sleep_for, s.sleep_until, s.signals,
      s.tells_signal, s.child_flow, s.child_version, s.child_input, s.child_output, s.max_children, s.repeats,
      s.loop_until, s.loop_while, s.limit_name, s.limit_path, s.plan)
    is distinct from (c.step_type, c.feeds_map, c.counts, c.known_tasks, c.gathers, c.plain, c.leaf, c.joins, c.otherwise, c.condition,
      c.after, c.prefer_after, c.goes_on, c.fallback, c.tolerate_tasks, c.tolerate_share, c.concludes, c.settled, c.sleep_for, c.sleep_until,
      c.signals, c.tells_signal, c.child_flow, c.child_version, c.child_input, c.child_output, c.max_children, c.repeats, c.loop_until, c.loop_while,
      c.limit_name, c.limit_path, c.plan);
end
$_wrong_facts$;

comment on function quantumflow._wrong_facts(uuid) is
'The steps whose row tells the engine something else than their definition does, as they should be: of _versions_at_work. Only what a step is, not its
settings: these an operator may have changed for the runs of a version.';

create function quantumflow._correct_facts()
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_correct_facts$
begin
  update quantumflow.workflow_steps s
  set
    step_type = w.step_type,
    feeds_map = w.feeds_map,
    counts = w.counts,
    known_tasks = w.known_tasks,
    gathers = w.gathers,
    plain = w.plain,
    leaf = w.leaf,
    joins = w.joins,
    otherwise = w.otherwise,
    condition = w.condition,
    after = w.after,
    prefer_after = w.prefer_after,
    goes_on = w.goes_on,
    fallback = w.fallback,
    tolerate_tasks = w.tolerate_tasks,
    tolerate_share = w.tolerate_share,
    concludes = w.concludes,
    settled = w.settled,
    sleep_for = w.sleep_for,
    sleep_until = w.sleep_until,
    signals = w.signals,
    tells_signal = w.tells_signal,
    child_flow = w.child_flow,
    child_version = w.child_version,
    child_input = w.child_input,
    child_output = w.child_output,
    max_children = w.max_children,
    repeats = w.repeats,
    loop_until = w.loop_until,
    loop_while = w.loop_while,
    max_iterations = case when w.repeats then coalesce(s.max_iterations, w.max_iterations) end,
    loop_delay = case when w.repeats then coalesce(s.loop_delay, w.loop_delay) end,
    keep = case when w.repeats then coalesce(s.keep, w.keep) end,
    limit_name = w.limit_name,
    limit_path = w.limit_path,
    plan = w.plan
  from quantumflow._wrong_facts(null) w
  where (s.workflow_slug, s.version, s.step_slug) = (w.workflow_slug, w.version, w.step_slug);
end
$_correct_facts$;

comment on function quantumflow._correct_facts() is
'Writes what steps are as their definitions say.';
