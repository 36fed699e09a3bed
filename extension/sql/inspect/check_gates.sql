create function quantumflow._check_gates(p_run_id uuid)
returns setof quantumflow.state_problem
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_check_gates$
begin
  return query
  with facts as materialized (
    select
      s.run_id, s.step_slug, s.status, s.skip_reason, s.output, s.error_message, w.condition, w.joins, w.fallback, w.dependencies,
      s.status <> 'skipped' as is_given_up
    from quantumflow.step_states s
    join quantumflow.workflow_runs r
      on r.id = s.run_id
    join quantumflow.workflow_steps w
      on (w.workflow_slug, w.version, w.step_slug) = (r.workflow_slug, r.version, s.step_slug)
    where (p_run_id is null or s.run_id = p_run_id)
      and (s.status <> 'completed' or s.error_message is not null or s.failed_tasks > 0)
      and (
        s.status = 'skipped'
        or (s.status = 'completed' and s.error_message is not null)
        or (s.status = 'failed' and (w.goes_on or w.fallback is not null))
        or s.failed_tasks > 0
      )
  )
  select 10, f.run_id, f.step_slug, null::int, null::text, null::bigint,
    case f.skip_reason
      when 'condition' then 'the step is skipped for its condition, and has none'
      when 'dependency' then 'the step is skipped for its dependencies, of which enough have completed'
      else 'the step is skipped without a reason'
    end,
    null::text
  from facts f
  where f.status = 'skipped'
    and case f.skip_reason
      when 'condition' then f.condition is null
      when 'dependency' then coalesce(
        (
          select case f.joins
            when 'all' then bool_and(d.status = 'completed')
            when 'any' then bool_or(d.status = 'completed')
            else true
          end
          from quantumflow.step_states d
          where d.run_id = f.run_id
            and d.step_slug = any (f.dependencies)
        ),
        true)
      else true
    end
  union all
  select 5, f.run_id, f.step_slug, null, null, null, 'the step has fallen back, and its output is not its fallback', null
  from facts f
  where f.status = 'completed'
    and f.error_message is not null
    and f.output is distinct from f.fallback
  union all
  select 15, r.id, null, null, null, null,
    format('gave_up is %s and %s steps and tasks were given up', coalesce(r.gave_up::text, 'null'), g.given_up), 'recount'
  from quantumflow.workflow_runs r
  cross join lateral (
    select case
      when r.gave_up is not null or r.id in (select f.run_id from facts f where f.is_given_up) then quantumflow._given_up(r.id)
      else 0
    end as given_up
    offset 0
  ) g
  where (p_run_id is null or r.id = p_run_id)
    and coalesce(r.gave_up, 0) <> g.given_up;
end
$_check_gates$;

comment on function quantumflow._check_gates(uuid) is
'Rules 5, 10 and 15 of check_state: steps that were skipped, and those and their tasks without which runs have gone on.';

create function quantumflow._check_taskless(p_run_id uuid)
returns setof quantumflow.state_problem
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_check_taskless$
begin
  return query
  select 11, s.run_id, s.step_slug::text, null::int, null::text, null::bigint,
    'the step is completed without a completed task, and is no empty map and has not fallen back', null::text
  from quantumflow.step_states s
  where (p_run_id is null or s.run_id = p_run_id)
    and s.status = 'completed'
    and s.error_message is null
    and s.initial_tasks > coalesce(s.failed_tasks, 0)
    and not exists (
      select
      from quantumflow.step_tasks t
      where (t.run_id, t.step_slug, t.status) = (s.run_id, s.step_slug, 'completed')
    );
end
$_check_taskless$;

comment on function quantumflow._check_taskless(uuid) is 'Rule 11 of check_state: what a step is completed by.';
