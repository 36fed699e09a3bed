create function quantumflow._check_definitions(p_run_id uuid)
returns setof quantumflow.state_problem
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_check_definitions$
begin
  return query
  select 0, null::uuid, p.step_slug, null::int, null::text, null::bigint, p.problem, null::text
  from (
    select null::text, format('the current version %s of workflow "%s" does not exist', w.current_version, w.workflow_slug)
    from quantumflow.workflows w
    where w.current_version <> 0
      and not exists (
        select
        from quantumflow.workflow_versions v
        where (v.workflow_slug, v.version) = (w.workflow_slug, w.current_version)
      )
    union all
    select null, format('version %s of workflow "%s" belongs to no workflow', v.version, v.workflow_slug)
    from quantumflow.workflow_versions v
    where not exists (select from quantumflow.workflows w where w.workflow_slug = v.workflow_slug)
    union all
    select null, format('schedule "%s" starts workflow "%s", which does not exist', s.schedule_slug, s.workflow_slug)
    from quantumflow.schedules s
    where not exists (select from quantumflow.workflows w where w.workflow_slug = s.workflow_slug)
    union all
    select s.step_slug, format('the step belongs to no version, not to %s of workflow "%s"', s.version, s.workflow_slug)
    from quantumflow.workflow_steps s
    where not exists (
      select
      from quantumflow.workflow_versions v
      where (v.workflow_slug, v.version) = (s.workflow_slug, s.version)
    )
    union all
    select
      coalesce(s.step_slug, e.step_slug),
      format(
        'what it waits for in version %s of workflow "%s" is one thing in workflow_steps and another in workflow_step_edges',
        coalesce(s.version, e.version), coalesce(s.workflow_slug, e.workflow_slug))
    from quantumflow.workflow_steps s
    full join (
      select
        l.workflow_slug, l.version, l.step_slug,
        array_agg(l.depends_on_step order by l.depends_on_step) filter (where not l.order_only) as dependencies,
        array_agg(l.depends_on_step order by l.depends_on_step) filter (where l.order_only) as after
      from quantumflow.workflow_step_edges l
      group by l.workflow_slug, l.version, l.step_slug
    ) e
      on (e.workflow_slug, e.version, e.step_slug) = (s.workflow_slug, s.version, s.step_slug)
    where s.step_slug is null
      or array(select u.slug from unnest(s.dependencies) u (slug) order by u.slug) <> coalesce(e.dependencies, '{}')
      or array(select u.slug from unnest(s.after) u (slug) order by u.slug) <> coalesce(e.after, '{}')
  ) p (step_slug, problem)
  where p_run_id is null;

  begin
    return query
    select 0, null::uuid, w.step_slug::text, null::int, null::text, null::bigint,
      format('its row in version %s of workflow "%s" does not say what the definition does', w.version, w.workflow_slug),
      'compile it again'
    from quantumflow._wrong_facts(p_run_id) w;
  exception
    -- Somebody has written to the definitions, past the functions that check them.
    when data_exception then
      return query
      select 0, null::uuid, null::text, null::int, null::text, null::bigint,
        'a stored definition cannot be read: ' || sqlerrm, null::text;
  end;
end
$_check_definitions$;

comment on function quantumflow._check_definitions(uuid) is 'Rule 0 of check_state: the definitions; of one run only that its steps are what its version says.';

create function quantumflow._check_references(p_run_id uuid)
returns setof quantumflow.state_problem
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_check_references$
begin
  return query
  select 0, r.id, null::text, null::int, null::text, null::bigint,
    format('its workflow "%s" has no version %s', r.workflow_slug, r.version), null::text
  from quantumflow.workflow_runs r
  where (p_run_id is null or r.id = p_run_id)
    and not exists (
      select
      from quantumflow.workflow_versions v
      where (v.workflow_slug, v.version) = (r.workflow_slug, r.version)
    )
  union all
  select 0, r.id, w.step_slug, null, null, null, 'the run has no row for this step of its version', null
  from quantumflow.workflow_runs r
  join quantumflow.workflow_steps w
    on (w.workflow_slug, w.version) = (r.workflow_slug, r.version)
    and w.counts
  where (p_run_id is null or r.id = p_run_id)
    and not exists (
      select
      from quantumflow.step_states s
      where (s.run_id, s.step_slug) = (r.id, w.step_slug)
    )
  union all
  select 0, k.run_id, k.step_slug, k.task_index, k.queue, k.message_id, k.problem, null
  from (
    select
      s.run_id, s.step_slug, null::int as task_index, null::text as queue, null::bigint as message_id,
      'the step belongs to no run, or not to its version' as problem
    from quantumflow.step_states s
    union all
    select c.run_id, c.step_slug, null, null, null, format('counter %s belongs to no step', c.counter)
    from quantumflow._map_counters c
    union all
    select t.run_id, t.step_slug, t.task_index, t.queue, t.message_id, 'the task belongs to no step and is no callback'
    from quantumflow.step_tasks t
    union all
    select f.run_id, f.step_slug, f.task_index, null, null, format('the failure of attempt %s belongs to no step', f.attempt)
    from quantumflow.task_failures f
    union all
    select u.run_id, u.step_slug, u.task_index, null, null, format('the completion that retry %s undid belongs to no step', u.undone_by)
    from quantumflow.undone_tasks u
    union all
    select g.run_id, g.step_slug, null, null, null, format('signal %s was taken by no step of its run', g.number)
    from quantumflow.signals g
    where g.step_slug is not null
  ) k
  where (p_run_id is null or k.run_id = p_run_id)
    and not exists (
      select
      from quantumflow.workflow_runs r
      join quantumflow.workflow_steps w
        on (w.workflow_slug, w.version) = (r.workflow_slug, r.version)
      where r.id = k.run_id
        and w.step_slug = k.step_slug
    )
  union all
  select 0, g.run_id, null, null, null, null, format('signal %s belongs to no run', g.number), null
  from quantumflow.signals g
  where (p_run_id is null or g.run_id = p_run_id)
    and g.step_slug is null
    and not exists (select from quantumflow.workflow_runs r where r.id = g.run_id)
  union all
  select 0, e.run_id, null, null, null, null, 'the unfinished end belongs to no run', 'forget it'
  from quantumflow._unfinished_ends e
  where (p_run_id is null or e.run_id = p_run_id)
    and not exists (select from quantumflow.workflow_runs r where r.id = e.run_id);
end
$_check_references$;

comment on function quantumflow._check_references(uuid) is 'Rule 0 of check_state: what belongs to runs.';
