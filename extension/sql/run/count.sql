create type quantumflow._hour_number as (
  workflow_slug text,
  version       int,
  step_slug     text,
  hour          timestamptz,
  field         text,
  key           text,
  amount        numeric
);

comment on type quantumflow._hour_number is
'What is to be added to a row of step_hours: to one of its columns, or, with a key, to that key of the object in it.';

-- Without a path of its own, so that it is inlined where it is called.
create function quantumflow._bucket(p_seconds numeric)
returns int
language sql
immutable
return ceil(ln(greatest(p_seconds, 0.0001)::double precision / 0.0001) / ln(1.1::double precision))::int;

comment on function quantumflow._bucket(numeric) is
'Where a length of time is counted: buckets grow by a tenth, so that the middle of one is within 5 % of all that is in it.';

create function quantumflow._quantile(p_buckets jsonb[], p_share numeric)
returns interval
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_quantile$
begin
  return (
    select make_interval(secs => 0.0001 * 1.1::double precision ^ (k.bucket - 0.5))
    from (
      select c.bucket, sum(c.n) over (order by c.bucket) as below, sum(c.n) over () as n
      from (
        select b.key::int as bucket, sum(b.value::numeric) as n
        from unnest(p_buckets) u (buckets)
        cross join lateral jsonb_each_text(u.buckets) b
        group by 1
      ) c
    ) k
    where k.below >= p_share * k.n
    order by k.bucket
    limit 1);
end
$_quantile$;

comment on function quantumflow._quantile(jsonb[], numeric) is
'The length of time that a share, 0.5 for half, of what is counted in these objects of step_hours stayed within; null where there is nothing.';

create function quantumflow._numbers_of(p_run_ids uuid[], p_since timestamptz[])
returns setof quantumflow._hour_number
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_numbers_of$
begin
  return query
  with ended as materialized (
    select r.workflow_slug, r.version, r.status, e.step_slug, e.what, e.ended_at, e.kind, e.attempt, e.waited, e.took, e.usage
    from unnest(p_run_ids, p_since) u (run_id, since)
    cross join lateral (
      select l.workflow_slug, l.version, l.status, l.started_at, coalesce(l.completed_at, l.failed_at, l.cancelled_at) as ended_at
      from quantumflow.workflow_runs l
      where l.id = u.run_id
      limit 1
    ) r
    cross join lateral (
      select
        '_run' as step_slug, 'run' as what, r.ended_at, nullif(r.status, 'completed') as kind, null::int as attempt, null::interval as waited,
        r.ended_at - greatest(r.started_at, u.since) as took, null::jsonb as usage
      union all
      select s.step_slug, 'step', s.completed_at, null, null, null, s.completed_at - s.started_at, null
      from quantumflow.step_states s
      where s.run_id = u.run_id
        and s.completed_at > u.since
      union all
      select t.step_slug, 'attempt', t.completed_at, null, t.attempts, t.started_at - t.queued_at, t.completed_at - t.started_at, t.usage
      from quantumflow.step_tasks t
      where t.run_id = u.run_id
        and t.status = 'completed'
        and t.completed_at > u.since
        and t.attempts > 0
      union all
      select f.step_slug, 'attempt', f.ended_at, f.kind, f.attempt, f.started_at - f.due_at, f.ended_at - f.started_at, f.usage
      from quantumflow.task_failures f
      where f.run_id = u.run_id
        and f.ended_at > u.since
      union all
      select d.step_slug, 'attempt', d.completed_at, null, d.attempt, d.started_at - d.due_at, d.completed_at - d.started_at, d.usage
      from quantumflow.undone_tasks d
      where d.run_id = u.run_id
        and d.completed_at > u.since
        and d.attempt > 0
    ) e
  )
  select
    e.workflow_slug, e.version, e.step_slug, date_trunc('hour', e.ended_at, 'UTC'), n.field, n.key, sum(n.amount)
  from ended e
  cross join lateral (
    select
      case when e.waited is not null then greatest(extract(epoch from e.waited)::numeric, 0) end as waited,
      case when e.took is not null then greatest(extract(epoch from e.took)::numeric, 0) end as took
  ) k
  cross join lateral (
    values
      ('n', null, case when e.what = 'run' or e.attempt > 0 then 1 end),
      ('retries', null, case when e.attempt > 1 then 1 end),
      ('failures', e.kind, case when e.kind is not null then 1 end),
      ('waited', quantumflow._bucket(k.waited)::text, case when k.waited is not null then 1 end),
      ('waited_seconds', null, k.waited),
      ('took', quantumflow._bucket(k.took)::text, case when e.what <> 'attempt' and k.took is not null then 1 end),
      ('took_seconds', null, case when e.what <> 'attempt' then k.took end),
      ('worked', quantumflow._bucket(k.took)::text,
        case when e.what = 'attempt' and k.took is not null and e.kind is distinct from 'lost' then 1 end),
      ('worked_seconds', null, case when e.what = 'attempt' and e.kind is distinct from 'lost' then k.took end)
    union all
    select 'usage', u.key, u.value::numeric
    from jsonb_each_text(e.usage) u
  ) n (field, key, amount)
  where n.amount is not null
  group by 1, 2, 3, 4, 5, 6;
end
$_numbers_of$;

comment on function quantumflow._numbers_of(uuid[], timestamptz[]) is
'What these runs add to step_hours: what ended later than the moment given for each. Of one snapshot, that of the statement that calls it.';

create function quantumflow._add_to_hours(p_numbers quantumflow._hour_number[])
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_add_to_hours$
begin
  insert into quantumflow.step_hours as h
    (hour, workflow_slug, version, step_slug, command, n, retries, waited_seconds, worked_seconds, took_seconds, failures, waited,
      worked, took, usage)
  select
    k.hour, k.workflow_slug, k.version, k.step_slug, coalesce(w.command, ''),
    coalesce(sum(k.amount) filter (where k.field = 'n'), 0),
    coalesce(sum(k.amount) filter (where k.field = 'retries'), 0),
    coalesce(sum(k.amount) filter (where k.field = 'waited_seconds'), 0),
    coalesce(sum(k.amount) filter (where k.field = 'worked_seconds'), 0),
    coalesce(sum(k.amount) filter (where k.field = 'took_seconds'), 0),
    coalesce(jsonb_object_agg(k.key, k.amount) filter (where k.field = 'failures'), '{}'),
    coalesce(jsonb_object_agg(k.key, k.amount) filter (where k.field = 'waited'), '{}'),
    coalesce(jsonb_object_agg(k.key, k.amount) filter (where k.field = 'worked'), '{}'),
    coalesce(jsonb_object_agg(k.key, k.amount) filter (where k.field = 'took'), '{}'),
    coalesce(jsonb_object_agg(k.key, trim_scale(k.amount)) filter (where k.field = 'usage'), '{}')
  from (
    select a.hour, n.workflow_slug, n.version, n.step_slug, n.field, n.key, sum(n.amount) as amount
    from unnest(p_numbers) n
    cross join lateral (values (n.hour), ('-infinity'::timestamptz)) a (hour)
    group by a.hour, n.workflow_slug, n.version, n.step_slug, n.field, n.key
  ) k
  left join lateral (
    select l.command
    from quantumflow.workflow_steps l
    where (l.workflow_slug, l.version, l.step_slug) = (k.workflow_slug, k.version, k.step_slug)
    limit 1
  ) w on true
  group by k.hour, k.workflow_slug, k.version, k.step_slug, w.command
  on conflict on constraint step_hours_pkey do update
  set
    n = h.n + excluded.n,
    retries = h.retries + excluded.retries,
    waited_seconds = h.waited_seconds + excluded.waited_seconds,
    worked_seconds = h.worked_seconds + excluded.worked_seconds,
    took_seconds = h.took_seconds + excluded.took_seconds,
    failures = quantumflow._added(h.failures, excluded.failures),
    waited = quantumflow._added(h.waited, excluded.waited),
    worked = quantumflow._added(h.worked, excluded.worked),
    took = quantumflow._added(h.took, excluded.took),
    usage = quantumflow._added(h.usage, excluded.usage);
end
$_add_to_hours$;

comment on function quantumflow._add_to_hours(quantumflow._hour_number[]) is
'Adds to step_hours, to the hours and to all of them together. The caller holds _counting: nobody else writes there.';

create function quantumflow._added(p_to jsonb, p_numbers jsonb)
returns jsonb
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_added$
begin
  return case
    when p_numbers = '{}' then p_to
    when p_to = '{}' then p_numbers
    else (
      select jsonb_object_agg(k.key, k.amount)
      from (
        select n.key, trim_scale(sum(n.value::numeric)) as amount
        from (
          select *
          from jsonb_each_text(p_to)
          union all
          select *
          from jsonb_each_text(p_numbers)
        ) n
        group by n.key
      ) k
    )
  end;
end
$_added$;

comment on function quantumflow._added(jsonb, jsonb) is 'Two objects of numbers as one, with their sums.';

create function quantumflow._count_runs(p_now timestamptz)
returns int
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_count_runs$
declare
  v_state   quantumflow._counting;
  v_next_to uuid;
  v_left    text[];
begin
  select *
  into v_state
  from quantumflow._counting c
  where c.id = 1;

  if not found then
    perform quantumflow._make_counting();
  elsif v_state.next_to is null and v_state.counted_at > p_now - interval '1 min' and v_state.counted_at <= p_now then
    return 0;
  end if;

  select *
  into v_state
  from quantumflow._counting c
  where c.id = 1
  for no key update skip locked;

  if not found then
    return 0;
  end if;

  -- Ids are made a moment before their runs can be seen, and some are not to be seen until a long transaction commits.
  if v_state.next_to is null then
    v_next_to := quantumflow._first_uuid_v7(clock_timestamp() - interval '10 s');
    v_left := array(select quantumflow._run_writers());
  else
    v_next_to := v_state.next_to;
    v_left := array(select unnest(v_state.writers) intersect select quantumflow._run_writers());
  end if;

  if v_left <> '{}' then
    update quantumflow._counting c
    set
      next_to = v_next_to,
      writers = v_left
    where c.id = 1;

    return 0;
  end if;

  delete from quantumflow.task_progress p
  where p.reported_at < p_now - interval '1 day';

  return quantumflow._count_some(v_state, v_next_to, 2000, p_now);
end
$_count_runs$;

comment on function quantumflow._count_runs(timestamptz) is
'Counts runs that have ended in step_hours, about 2,000 of them, if it is time to, once a minute or as long as there are more, and nobody else
does. Never waits. Returns how many it counted.';

create function quantumflow._count_some(p_state quantumflow._counting, p_next_to uuid, p_max_runs int, p_now timestamptz)
returns int
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_count_some$
declare
  v_fresh   uuid[];
  v_open    uuid[];
  v_retried uuid[];
  v_looked  uuid[];
  v_done    quantumflow._uncounted_runs[];
  v_runs    int;
  v_numbers quantumflow._hour_number[];
begin
  -- One statement, and so one snapshot: a retry that it does not see has undone nothing of what it counts, and is itself seen the next time.
  with fresh as materialized (
    select *
    from quantumflow._fresh_runs(p_state.counted_to, p_next_to, p_max_runs)
  ),
  noted as materialized (
    select i.run_id
    from quantumflow._uncounted_runs i
    where i.run_id > coalesce(p_state.looked_to, '00000000-0000-0000-0000-000000000000')
    order by i.run_id
    limit p_max_runs
  ),
  looked as materialized (
    select n.run_id, u.since, u.entries
    from (select distinct l.run_id from noted l) n
    cross join lateral quantumflow._since_when(n.run_id, p_state.counted_to) u
    where u.since is not null
      and quantumflow._is_over(n.run_id)
  ),
  ended as (
    select f.run_id, '-infinity'::timestamptz as since
    from fresh f
    where not f.is_open
      and not f.is_noted
    union all
    select l.run_id, l.since
    from looked l
  )
  select
    (select array_agg(f.run_id order by f.run_id) from fresh f),
    (select array_agg(f.run_id) from fresh f where f.is_open and not f.is_noted),
    (select array_agg(f.run_id) from fresh f where f.is_noted),
    (select array_agg(n.run_id order by n.run_id) from noted n),
    (select array_agg(e) from looked l cross join lateral unnest(l.entries) e),
    (select count(*) from ended),
    (
      select array_agg(n)
      from (select array_agg(e.run_id) as run_ids, array_agg(e.since) as since from ended e) a
      cross join lateral quantumflow._numbers_of(a.run_ids, a.since) n
    )
  into v_fresh, v_open, v_retried, v_looked, v_done, v_runs, v_numbers;

  perform quantumflow._add_to_hours(v_numbers);

  delete from quantumflow._uncounted_runs u
  using unnest(v_done) d
  where (u.run_id, u.retried_at) = (d.run_id, d.retried_at);

  update quantumflow._uncounted_runs u
  set since = '-infinity'
  where u.run_id = any (v_retried)
    and u.since is null;

  insert into quantumflow._uncounted_runs (run_id, retried_at, since)
  select u.run_id, '-infinity', '-infinity'
  from unnest(v_open) u (run_id);

  update quantumflow._counting c
  set
    counted_to = coalesce(v_fresh[cardinality(v_fresh)], p_next_to),
    counted_at = p_now,
    next_to = case when v_fresh is not null then p_next_to end,
    writers = null,
    looked_to = case when cardinality(v_looked) = p_max_runs then v_looked[p_max_runs] end
  where c.id = 1;

  return v_runs;
end
$_count_some$;

comment on function quantumflow._count_some(quantumflow._counting, uuid, int, timestamptz) is
'Counts the runs whose turn it is, as many as that, and of those that went on when it was, or were retried, as many again. Those that go on
are noted. How many it counted. The caller holds the row.';

create function quantumflow._fresh_runs(p_counted_to uuid, p_next_to uuid, p_max_runs int)
returns table (run_id uuid, is_open boolean, is_noted boolean)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_fresh_runs$
begin
  return query
  select k.id, not quantumflow._is_over(k.id), exists (select from quantumflow._uncounted_runs u where u.run_id = k.id)
  from (
    select r.id, sum(s.tasks) over (order by r.id) - s.tasks as tasks_before
    from (
      select l.id
      from quantumflow.workflow_runs l
      where l.id > p_counted_to
        and l.id <= p_next_to
        and substr(l.id::text, 15, 1) = '7'
      order by l.id
      limit p_max_runs
    ) r
    cross join lateral (
      select coalesce(sum(l.initial_tasks), 0) as tasks
      from quantumflow.step_states l
      where l.run_id = r.id
    ) s
  ) k
  where k.tasks_before < 50 * p_max_runs;
end
$_fresh_runs$;

comment on function quantumflow._fresh_runs(uuid, uuid, int) is
'The runs whose turn it is to be counted, in order of their ids, as many as have about 50 tasks each; whether they go on, and whether they are noted.';

create function quantumflow._is_over(p_run_id uuid)
returns boolean
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_is_over$
begin
  return not exists (
    select
    from quantumflow.workflow_runs r
    where r.id = p_run_id
      and (
        r.status in ('started', 'paused')
        or quantumflow._open_callback(r.id) is not null
        or exists (select from quantumflow._unfinished_ends e where e.run_id = r.id)
      )
  );
end
$_is_over$;

comment on function quantumflow._is_over(uuid) is 'Whether nothing of a run goes on any more, its callback included, or it is gone.';

create function quantumflow._since_when(p_run_id uuid, p_counted_to uuid)
returns table (since timestamptz, entries quantumflow._uncounted_runs[])
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_since_when$
begin
  -- What was not counted before it was retried is whole: it is looked at when its turn comes.
  return query
  select
    min(case
      when u.since is not null then u.since
      when u.run_id <= p_counted_to or substr(u.run_id::text, 15, 1) <> '7' then u.retried_at
    end),
    array_agg(u)
  from quantumflow._uncounted_runs u
  where u.run_id = p_run_id;
end
$_since_when$;

comment on function quantumflow._since_when(uuid, uuid) is
'What of a run that is noted is to be counted: what ended later than that; null: nothing, its turn has not come. entries: those that say so.';

create function quantumflow._count_deleted(p_run_ids uuid[])
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_count_deleted$
declare
  v_counted_to uuid := (select c.counted_to from quantumflow._counting c where c.id = 1);
  v_run_ids    uuid[];
  v_since      timestamptz[];
begin
  if v_counted_to is not null and not exists (
    select
    from unnest(p_run_ids) u (run_id)
    where (u.run_id > v_counted_to and substr(u.run_id::text, 15, 1) = '7')
      or exists (select from quantumflow._uncounted_runs n where n.run_id = u.run_id)
  )
  then
    return;
  end if;

  -- Whoever counts has this row; to be read again when that is over.
  perform quantumflow._make_counting();

  select c.counted_to
  into v_counted_to
  from quantumflow._counting c
  where c.id = 1
  for no key update;

  select array_agg(u.run_id), array_agg(case when k.is_new then '-infinity' else n.since end)
  into v_run_ids, v_since
  from unnest(p_run_ids) u (run_id)
  cross join lateral (select u.run_id > v_counted_to and substr(u.run_id::text, 15, 1) = '7' as is_new) k
  cross join lateral quantumflow._since_when(u.run_id, v_counted_to) n
  where k.is_new
    or n.since is not null;

  perform quantumflow._add_to_hours(array(select n from quantumflow._numbers_of(v_run_ids, v_since) n));

  delete from quantumflow._uncounted_runs n
  where n.run_id = any (p_run_ids);
end
$_count_deleted$;

comment on function quantumflow._count_deleted(uuid[]) is
'Counts in step_hours what is about to be deleted and has not been counted. The caller holds the runs, with all that is theirs.';

create function quantumflow._hold_counting()
returns boolean
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_hold_counting$
begin
  if not exists (select from quantumflow._counting c where c.id = 1) then
    perform quantumflow._make_counting();
  end if;

  perform
  from quantumflow._counting c
  where c.id = 1
  for no key update skip locked;

  return found;
end
$_hold_counting$;

comment on function quantumflow._hold_counting() is
'Tries to lock what says up to which run is counted, without waiting, so that runs can be deleted without waiting for it; false when somebody holds it.';

create function quantumflow._make_counting()
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_make_counting$
begin
  insert into quantumflow._counting (id, counted_to, counted_at)
  values (1, '00000000-0000-0000-0000-000000000000', '-infinity')
  on conflict on constraint _counting_pkey do nothing;

  -- Those of before version 0.4.0 were not noted when they were started.
  if found then
    insert into quantumflow._uncounted_runs (run_id, retried_at, since)
    select r.id, '-infinity', '-infinity'
    from quantumflow.workflow_runs r
    where substr(r.id::text, 15, 1) <> '7'
    on conflict on constraint _uncounted_runs_pkey do nothing;
  end if;
end
$_make_counting$;

comment on function quantumflow._make_counting() is
'Makes the row that says how far the runs are counted, where it is not there yet, and notes those whose ids do not tell when they were started.';

-- Without a path of its own, so that it is inlined where it is called.
create function quantumflow._counted_to()
returns uuid
language sql
stable
return coalesce((select c.counted_to from quantumflow._counting c where c.id = 1), '00000000-0000-0000-0000-000000000000');

comment on function quantumflow._counted_to() is
'The last run up to which all are counted that have ended, but for what _uncounted_runs names.';

create function quantumflow._open_runs()
returns setof uuid
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_open_runs$
declare
  v_counted_to uuid := quantumflow._counted_to();
begin
  return query
  select r.id
  from quantumflow.workflow_runs r
  where r.id > v_counted_to
    and r.status in ('started', 'paused')
  union
  select r.id
  from (select distinct u.run_id from quantumflow._uncounted_runs u) u
  cross join lateral (
    select l.id
    from quantumflow.workflow_runs l
    where l.id = u.run_id
      and l.status in ('started', 'paused')
    limit 1
  ) r;
end
$_open_runs$;

comment on function quantumflow._open_runs() is
'The runs that go on, without a look at all that have ended: what has not been counted yet, or is noted because it went on then.';
