create type quantumflow.estimate as (
  expected_at timestamptz,
  p95_at      timestamptz,
  based_on    int,
  note        text
);

comment on type quantumflow.estimate is 'When a run will have ended, as far as its past and that of others tell.';
comment on column quantumflow.estimate.expected_at is
'When it is expected to end; of one that has ended when it did; null while it is paused, and where nothing is known of any step that is left.';
comment on column quantumflow.estimate.p95_at is 'Until when 95 of 100 such runs would have ended, if what their steps take did not hang together.';
comment on column quantumflow.estimate.based_on is 'How often the step of which least is known had completed before; null where nothing is left or known.';
comment on column quantumflow.estimate.note is 'What it does not know.';

create type quantumflow._step_left as (
  place        bigint,
  step_slug    text,
  waits_for    bigint[],
  left_seconds double precision,
  spread       double precision,
  n            bigint,
  is_late      boolean
);

comment on type quantumflow._step_left is
'What is left of a step: its place among those that are left, and those of what it waits for; how long it will take yet, and by how much more in 95 of 100 cases; null: nothing is known of it. is_late: it has taken
longer already than 95 of 100.';

create function quantumflow.eta(run_id uuid)
returns quantumflow.estimate
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $eta$
declare
  v_now      timestamptz := quantumflow._now();
  v_run      quantumflow.workflow_runs;
  v_ended_at timestamptz;
  v_step     quantumflow._step_left;
  v_place    bigint;
  v_ends     double precision[] := '{}';
  v_spreads  double precision[] := '{}';
  v_start    double precision;
  v_end      double precision;
  v_spread   double precision;
  v_last     double precision := 0;
  v_beyond   double precision := 0;
  v_least    bigint;
  v_unknown  text[] := '{}';
  v_late     text[] := '{}';
begin
  select *
  into v_run
  from quantumflow.workflow_runs r
  where r.id = eta.run_id;

  if not found then
    perform quantumflow._raise_unknown_run(eta.run_id);
  end if;

  if v_run.status not in ('started', 'paused') then
    v_ended_at := coalesce(v_run.completed_at, v_run.failed_at, v_run.cancelled_at);
    return row(v_ended_at, v_ended_at, null, 'it is ' || v_run.status)::quantumflow.estimate;
  end if;

  -- Each step after those it waits for. Of those that decide when it starts, the variances add up.
  for v_step in
    select s.*
    from quantumflow._steps_left(v_run, v_now) s
  loop
    v_start := 0;
    v_spread := 0;

    foreach v_place in array v_step.waits_for loop
      if v_ends[v_place] > v_start then
        v_start := v_ends[v_place];
        v_spread := v_spreads[v_place];
      end if;
    end loop;

    v_end := v_start + coalesce(v_step.left_seconds, 0);
    v_spread := v_spread + coalesce(v_step.spread, 0) ^ 2;
    v_ends[v_step.place] := v_end;
    v_spreads[v_step.place] := v_spread;
    v_last := greatest(v_last, v_end);
    v_beyond := greatest(v_beyond, v_end + sqrt(v_spread));
    v_least := least(v_least, v_step.n);

    if v_step.left_seconds is null then
      v_unknown := v_unknown || v_step.step_slug;
    elsif v_step.is_late then
      v_late := v_late || v_step.step_slug;
    end if;
  end loop;

  return row(
    case when v_run.status = 'started' and v_least is not null then v_now + make_interval(secs => v_last) end,
    case when v_run.status = 'started' and v_least is not null then v_now + make_interval(secs => v_beyond) end,
    v_least,
    nullif(
      concat_ws(
        '; ',
        case when v_run.status = 'paused' then 'it is paused' end,
        'nothing is known of ' || quantumflow._some_of(v_unknown),
        'longer than 95 of 100 already: ' || quantumflow._some_of(v_late)),
      ''))::quantumflow.estimate;
end
$eta$;

comment on function quantumflow.eta(uuid) is
'When a run is expected to end: from how long its steps took before, as step_hours has it, along the longest way through what is left of it; of a map that
has begun from how fast its tasks are done, of a task that tells its progress from that, of a sleep from its end.

How long a step took begins when it is ready: so it is as long as it was with the workers that there were. Of what it took in the last 7 days, if it
completed five times then; else ever; else in other versions of the workflow; else of what attempts of its command took anywhere.

Errors: QF201 unknown run.';

create function quantumflow._steps_left(p_run quantumflow.workflow_runs, p_now timestamptz)
returns setof quantumflow._step_left
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_steps_left$
begin
  return query
  with recursive open_steps as materialized (
    select
      s.step_slug, s.status, s.started_at, s.initial_tasks, w.settled and w.signals is null as sleeps, w.known_tasks,
      w.dependencies || w.after as waits_for
    from quantumflow.step_states s
    join quantumflow.workflow_steps w
      on (w.workflow_slug, w.version, w.step_slug) = (p_run.workflow_slug, p_run.version, s.step_slug)
    where s.run_id = p_run.id
      and s.status in ('created', 'started')
  ),
  edges as materialized (
    select o.step_slug, d.slug as depends_on
    from open_steps o
    cross join lateral unnest(o.waits_for) d (slug)
    join open_steps l
      on l.step_slug = d.slug
  ),
  -- Over distinct pairs of a step and a depth, as where cycles are looked for: over paths it would not end.
  depths (step_slug, depth) as (
    select o.step_slug, 0
    from open_steps o
    where o.step_slug not in (select e.step_slug from edges e)
    union
    select e.step_slug, d.depth + 1
    from depths d
    join edges e
      on e.depends_on = d.step_slug
  ),
  placed as materialized (
    select d.step_slug, row_number() over (order by max(d.depth), d.step_slug) as place
    from depths d
    group by d.step_slug
  )
  select
    d.place, o.step_slug::text,
    coalesce(a.places, '{}'),
    coalesce(k.seconds, case when p.p50 is not null then greatest(
      case when e.elapsed <= p.p50 then p.p50 when e.elapsed <= p.p95 then p.p95 else e.elapsed end - e.elapsed, 0) end),
    case when k.seconds is null then greatest(p.p95 - greatest(p.p50, e.elapsed), 0) else 0 end,
    coalesce(p.n, case when k.seconds is not null then 0 end),
    k.seconds is null and e.elapsed > p.p95
  from open_steps o
  join placed d
    on d.step_slug = o.step_slug
  left join (
    select x.step_slug, array_agg(l.place) as places
    from edges x
    join placed l
      on l.step_slug = x.depends_on
    group by x.step_slug
  ) a
    on a.step_slug = o.step_slug
  left join quantumflow._times_of_steps(p_run.workflow_slug, p_run.version, p_now) p
    on p.step_slug = o.step_slug
  cross join lateral (
    select case when o.status = 'started' then extract(epoch from p_now - o.started_at)::double precision else 0 end as elapsed
  ) e
  cross join lateral (
    select case
      when o.status = 'started' then quantumflow._seconds_left(p_run.id, o.step_slug, o.initial_tasks, o.sleeps, o.known_tasks is null, p_now)
    end as seconds
    offset 0
  ) k
  order by d.place;
end
$_steps_left$;

comment on function quantumflow._steps_left(quantumflow.workflow_runs, timestamptz) is
'eta(): the steps that have not ended, each after those that it waits for.';

create function quantumflow._seconds_left(
  p_run_id    uuid,
  p_step_slug text,
  p_tasks     int,
  p_sleeps    boolean,
  p_is_map    boolean,
  p_now       timestamptz)
returns double precision
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_seconds_left$
declare
  v_task     quantumflow.step_tasks;
  v_progress jsonb;
begin
  if p_is_map then
    return (
      select extract(epoch from p_now - min(t.started_at))::double precision
        * (p_tasks - count(*) filter (where t.status = 'completed')) / nullif(count(*) filter (where t.status = 'completed'), 0)
      from quantumflow.step_tasks t
      where (t.run_id, t.step_slug) = (p_run_id, p_step_slug));
  end if;

  select *
  into v_task
  from quantumflow.step_tasks t
  where (t.run_id, t.step_slug, t.task_index) = (p_run_id, p_step_slug, 0);

  if p_sleeps then
    return greatest(extract(epoch from nullif(v_task.queued_at, 'infinity') - p_now), 0)::double precision;
  end if;

  if v_task.status <> 'started' then
    return null;
  end if;

  v_progress := quantumflow._told_progress(p_run_id, p_step_slug);

  return (
    extract(epoch from (v_progress ->> 'at')::timestamptz - v_task.started_at)
    * ((v_progress -> 'total')::numeric - (v_progress -> 'done')::numeric) / nullif((v_progress -> 'done')::numeric, 0)
    - extract(epoch from p_now - (v_progress ->> 'at')::timestamptz))::double precision;
end
$_seconds_left$;

comment on function quantumflow._seconds_left(uuid, text, int, boolean, boolean, timestamptz) is
'eta(): how long a step that has started will take yet, as it tells itself: a map by its tasks, a sleep by its end, a task by its progress; else
null.';

create function quantumflow._times_of_steps(p_workflow_slug text, p_version int, p_now timestamptz)
returns table (step_slug text, p50 double precision, p95 double precision, n bigint)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_times_of_steps$
begin
  return query
  with known as materialized (
    select h.step_slug, 1 as place, array_agg(h.took) as took
    from quantumflow.step_hours h
    where h.hour >= p_now - interval '7 days'
      and (h.workflow_slug, h.version) = (p_workflow_slug, p_version)
      and h.took <> '{}'
    group by h.step_slug
    union all
    select h.step_slug, case when h.version = p_version then 2 else 3 end, array_agg(h.took)
    from quantumflow.step_hours h
    where h.hour = '-infinity'
      and h.workflow_slug = p_workflow_slug
      and h.took <> '{}'
    group by 1, 2
    union all
    select w.step_slug, 4, array_agg(h.worked)
    from quantumflow.workflow_steps w
    join quantumflow.step_hours h
      on h.command = w.command
      and h.hour = '-infinity'
      and h.worked <> '{}'
    where (w.workflow_slug, w.version) = (p_workflow_slug, p_version)
    group by w.step_slug
  )
  select distinct on (k.step_slug)
    k.step_slug::text,
    extract(epoch from quantumflow._quantile(k.took, 0.5))::double precision,
    extract(epoch from quantumflow._quantile(k.took, 0.95))::double precision,
    c.n
  from known k
  cross join lateral (
    select sum(b.value::numeric)::bigint as n
    from unnest(k.took) u (took)
    cross join lateral jsonb_each_text(u.took) b
  ) c
  where k.place > 1
    or c.n >= 5
  order by k.step_slug, k.place;
end
$_times_of_steps$;

comment on function quantumflow._times_of_steps(text, int, timestamptz) is
'eta(): how long the steps of a version took, half of the times at most and 95 of 100, and of how many times.';
