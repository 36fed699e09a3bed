-- What the past of a version says of its steps. Runs of versions that were tuned from it count too: they have the same steps and commands.

create type quantumflow._learned as (
  step_slug    text,
  attempts     bigint,
  failures     bigint,
  timeouts     bigint,
  worked       jsonb[],
  longest      double precision
);

comment on type quantumflow._learned is
'The attempts at a step, as step_hours counts them; longest: what the longest that completed, or failed otherwise than by its timeout, took at most, in seconds.';

create function quantumflow._relatives(p_workflow_slug text, p_base int)
returns int[]
language sql
stable
begin atomic
  select array_agg(v.version order by v.version)
  from quantumflow.workflow_versions v
  where v.workflow_slug = p_workflow_slug
    and p_base in (v.version, v.tuned_from);
end;

comment on function quantumflow._relatives(text, int) is 'A version, and those that were tuned from it.';

create function quantumflow._learned_of(p_workflow_slug text, p_versions int[])
returns setof quantumflow._learned
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_learned_of$
begin
  return query
  select
    h.step_slug::text,
    sum(h.n)::bigint,
    sum((select coalesce(sum(f.value::numeric), 0) from jsonb_each_text(h.failures) f))::bigint,
    sum(coalesce((h.failures ->> 'timeout')::numeric, 0))::bigint,
    array_agg(case h.step_slug when '_run' then h.took else h.worked end),
    max((select max(0.0001 * 1.1::double precision ^ b.key::int) from jsonb_each_text(h.worked) b))
  from quantumflow.step_hours h
  where h.hour = '-infinity'
    and h.workflow_slug = p_workflow_slug
    and h.version = any (p_versions)
  group by h.step_slug;
end
$_learned_of$;

comment on function quantumflow._learned_of(text, int[]) is 'What step_hours says of the steps of these versions, all hours together; step _run: of the runs.';

create type quantumflow._retried as (
  step_slug     text,
  retried       bigint,
  first_helped  bigint,
  last_tried    bigint,
  last_helped   bigint,
  asks_for_time boolean
);

comment on type quantumflow._retried is
'Of the tasks of a step that failed at least once by an error: how many there are and how many the second attempt completed; how many came to their last attempt
and how many that completed; whether some error speaks of locks or of a rate that somebody limits.';

create function quantumflow._recent_runs(p_workflow_slug text, p_versions int[])
returns uuid[]
language sql
stable
begin atomic
  select coalesce(array_agg(r.id), '{}')
  from (
    select k.id
    from (
      select l.id, l.workflow_slug, l.version, l.status, l.retries
      from quantumflow.workflow_runs l
      order by l.id desc
      limit 5000
    ) k
    where k.workflow_slug = p_workflow_slug
      and k.version = any (p_versions)
      and k.status in ('completed', 'failed')
      and k.retries = 0
    order by k.id desc
    limit 200
  ) r;
end;

comment on function quantumflow._recent_runs(text, int[]) is
'The last 200 runs of these versions that have ended and that nobody retried, among the last 5,000 of all workflows.';

create function quantumflow._retried_of(p_run_ids uuid[])
returns setof quantumflow._retried
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_retried_of$
begin
  return query
  select
    t.step_slug::text,
    count(*),
    count(*) filter (where t.status = 'completed' and t.attempts = 2),
    count(*) filter (where t.attempts >= w.max_attempts),
    count(*) filter (where t.attempts >= w.max_attempts and t.status = 'completed'),
    bool_or(f.asks_for_time)
  from unnest(p_run_ids) u (run_id)
  join quantumflow.workflow_runs r on r.id = u.run_id
  join quantumflow.step_tasks t on t.run_id = r.id
  join quantumflow.workflow_steps w on (w.workflow_slug, w.version, w.step_slug) = (r.workflow_slug, r.version, t.step_slug)
  cross join lateral (
    select
      count(*) filter (where l.kind = 'error') as errors,
      bool_or(l.error_message ~* '(^|[^a-z0-9])(429|locks?|locked|deadlock|rate.?limit|too many requests|retry.?after)([^a-z0-9]|$)') as asks_for_time
    from quantumflow.task_failures l
    where (l.run_id, l.step_slug, l.task_index) = (t.run_id, t.step_slug, t.task_index)
  ) f
  where f.errors > 0
  group by t.step_slug;
end
$_retried_of$;

comment on function quantumflow._retried_of(uuid[]) is 'How retries of tasks went in these runs, by step.';

create type quantumflow._fitted as (
  step_slug     text,
  per_call      double precision,
  per_item      double precision,
  items         double precision,
  sizes         bigint
);

comment on type quantumflow._fitted is
'What the tasks of a map take: so many seconds a call, and so many an item of it; how many items a run has, and of how many sizes the tasks were.';

create function quantumflow._fitted_of(p_run_ids uuid[])
returns setof quantumflow._fitted
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_fitted_of$
begin
  -- The least of each size: what a task waits for, or is disturbed by, only makes it longer.
  return query
  with task as materialized (
    select t.run_id, t.step_slug, jsonb_array_length(t.item_value) as size, extract(epoch from t.completed_at - t.started_at)::double precision as seconds
    from unnest(p_run_ids) u (run_id)
    join quantumflow.workflow_runs r on r.id = u.run_id
    join quantumflow.step_tasks t on t.run_id = r.id
    join quantumflow.workflow_steps w on (w.workflow_slug, w.version, w.step_slug) = (r.workflow_slug, r.version, t.step_slug)
    where w.chunk_size is not null
      and t.status = 'completed'
      and t.attempts > 0
      and jsonb_typeof(t.item_value) = 'array'
  )
  select
    s.step_slug::text,
    greatest(regr_intercept(s.seconds, s.size), 0.0001),
    greatest(regr_slope(s.seconds, s.size), 0.000001),
    (
      select percentile_cont(0.5) within group (order by i.items)
      from (select sum(t.size) as items from task t where t.step_slug = s.step_slug group by t.run_id) i
    ),
    count(*)
  from (
    select t.step_slug, t.size, min(t.seconds) as seconds
    from task t
    group by t.step_slug, t.size
  ) s
  group by s.step_slug
  having count(*) >= 2;
end
$_fitted_of$;

comment on function quantumflow._fitted_of(uuid[]) is
'A straight line through the shortest time of each size of task, for each map of these runs that has chunks of at least two sizes (least squares).';

create function quantumflow._auto_maps(p_workflow_slug text, p_version int)
returns setof text
language sql
stable
begin atomic
  select s.value ->> 'name'
  from quantumflow.workflow_versions v
  cross join lateral jsonb_array_elements(v.definition -> 'steps') s (value)
  where (v.workflow_slug, v.version) = (p_workflow_slug, p_version)
    and s.value ->> 'chunk_size' = 'auto';
end;

comment on function quantumflow._auto_maps(text, int) is 'The maps of a version whose chunk_size is "auto".';

create type quantumflow._step_time as (
  step_slug text,
  tasks     int,
  seconds   double precision
);

comment on type quantumflow._step_time is 'How many tasks a step has in a run, and what the median one takes, in seconds.';

create function quantumflow._times_of(p_run_ids uuid[])
returns setof quantumflow._step_time
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_times_of$
begin
  return query
  select
    t.step_slug::text, ceil(count(*)::numeric / cardinality(p_run_ids))::int,
    percentile_cont(0.5) within group (order by extract(epoch from t.completed_at - t.started_at)::double precision)
  from unnest(p_run_ids) u (run_id)
  join quantumflow.step_tasks t on t.run_id = u.run_id
  where t.status = 'completed'
    and t.attempts > 0
  group by t.step_slug;
end
$_times_of$;

comment on function quantumflow._times_of(uuid[]) is 'The tasks of these runs, by step.';
