create type quantumflow.path_step as (
  step_slug text,
  ready_at  timestamptz,
  waited    interval,
  worked    interval,
  ended_at  timestamptz,
  share     numeric,
  slack     interval
);

comment on type quantumflow.path_step is 'A step on the path that decided how long a run took.';
comment on column quantumflow.path_step.step_slug is 'The step.';
comment on column quantumflow.path_step.ready_at is 'When its last dependency had ended.';
comment on column quantumflow.path_step.waited is
'The part of its time in which nobody worked on the task that ended it: for a worker, a delay, before another attempt.';
comment on column quantumflow.path_step.worked is 'The part of its time in which the task that ended it, the last one of a map, was worked on, failed attempts included.';
comment on column quantumflow.path_step.ended_at is 'When it ended; null while it goes on, and then the others are as of now.';
comment on column quantumflow.path_step.share is 'Its part of the time of the whole path, from 0 to 1.';
comment on column quantumflow.path_step.slack is
'By how much it could have ended sooner before another dependency of the next step would have decided; null where there is no other.';

create function quantumflow.critical_path(run_id uuid)
returns setof quantumflow.path_step
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $critical_path$
declare
  v_now timestamptz := quantumflow._now();
begin
  perform quantumflow.run_input(critical_path.run_id);

  return query
  select
    p.step_slug,
    p.ready_at,
    p.until - p.ready_at - k.worked,
    k.worked,
    p.ended_at,
    round((extract(epoch from p.until - p.ready_at)
      / nullif(extract(epoch from sum(p.until - p.ready_at) over ()), 0))::numeric, 3),
    p.slack
  from quantumflow._critical_steps(critical_path.run_id, v_now) p
  cross join lateral (
    select quantumflow._worked_on_last(critical_path.run_id, p.step_slug, p.ready_at, p.until) as worked
    offset 0
  ) k
  order by p.ready_at, p.n desc;
end
$critical_path$;

comment on function quantumflow.critical_path(uuid) is
'The steps that decided how long a run took, or takes, in order: from the one that ended last, or has been at work longest, back, each time
by the dependency that ended last. What is not here could have taken longer, and nothing would have ended later.

Of a run that was retried: of what its steps are now. Errors: QF201 unknown run.';

create function quantumflow._critical_steps(p_run_id uuid, p_now timestamptz)
returns table (n int, step_slug text, ready_at timestamptz, ended_at timestamptz, until timestamptz, slack interval)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_critical_steps$
begin
  return query
  with recursive path (n, step_slug, started_at, ended_at, slack) as (
    (
      select 1, s.step_slug::text, s.started_at, coalesce(s.completed_at, s.failed_at), null::interval
      from quantumflow.step_states s
      where s.run_id = p_run_id
        and s.started_at is not null
        and s.status in ('started', 'completed', 'failed')
      order by coalesce(s.completed_at, s.failed_at) desc nulls first, s.started_at, s.step_slug
      limit 1
    )
    union all
    select p.n + 1, d.step_slug::text, d.started_at, d.ended_at, d.ended_at - d.next_at
    from path p
    cross join lateral (
      select
        s.step_slug, s.started_at, coalesce(s.completed_at, s.failed_at) as ended_at,
        lead(coalesce(s.completed_at, s.failed_at)) over (order by coalesce(s.completed_at, s.failed_at) desc, s.step_slug) as next_at
      from quantumflow.step_dependencies e
      join quantumflow.step_states s
        on (s.run_id, s.step_slug) = (e.run_id, e.depends_on_step)
      where (e.run_id, e.step_slug) = (p_run_id, p.step_slug)
        and s.started_at is not null
        and coalesce(s.completed_at, s.failed_at) is not null
      order by ended_at desc, s.step_slug
      limit 1
    ) d
  )
  select p.n, p.step_slug, p.started_at, p.ended_at, coalesce(p.ended_at, p_now), p.slack
  from path p;
end
$_critical_steps$;

comment on function quantumflow._critical_steps(uuid, timestamptz) is
'The steps of the critical path, the last one first (n = 1). until: when it ended, or now.';

create function quantumflow._worked_on_last(p_run_id uuid, p_step_slug text, p_from timestamptz, p_until timestamptz)
returns interval
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_worked_on_last$
begin
  -- Attempts of one task do not overlap.
  return (
    select coalesce(sum(least(coalesce(a.ended_at, p_until), p_until) - greatest(a.began_at, p_from)), '0 s')
    from (
      select t.task_index
      from quantumflow.step_tasks t
      where (t.run_id, t.step_slug) = (p_run_id, p_step_slug)
      order by coalesce(t.completed_at, t.failed_at) desc nulls first, t.started_at, t.task_index
      limit 1
    ) t
    cross join lateral quantumflow._attempts(p_run_id, p_step_slug, t.task_index) a
    where a.began_at < p_until
      and coalesce(a.ended_at, p_until) > p_from);
end
$_worked_on_last$;

comment on function quantumflow._worked_on_last(uuid, text, timestamptz, timestamptz) is
'For how long, of the time given, somebody worked on the task that ended a step, or that is at it longest.';
