create type quantumflow.metric as (
  name   text,
  kind   text,
  labels jsonb,
  value  double precision,
  help   text
);

comment on type quantumflow.metric is 'A number for a monitoring system, as Prometheus has them.';
comment on column quantumflow.metric.name is
'Of what. Of a histogram there are three: NAME_bucket, with a label le, NAME_sum and NAME_count.';
comment on column quantumflow.metric.kind is 'gauge: it is so now. counter: it only grows. histogram: three counters that belong together.';
comment on column quantumflow.metric.labels is 'Of which: an object of texts. Never a run, a key, an input or an error.';
comment on column quantumflow.metric.value is 'The number; times are in seconds.';
comment on column quantumflow.metric.help is 'What it says, the same for each of a name.';

create function quantumflow.metrics()
returns setof quantumflow.metric
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $metrics$
declare
  v_now timestamptz := quantumflow._now();
begin
  return query
  with series as materialized (
    select s.place, s.weight, (s.metric).*
    from (
      select 1 as place, 0::numeric as weight, g as metric
      from quantumflow._gauges_of_all(v_now) g
      union all
      select 2, (g).value::numeric, g
      from quantumflow._gauges_of_queues() g
      union all
      select 2, (g).value::numeric, g
      from quantumflow._gauges_of_steering(v_now) g
      union all
      select 3, (c).value::numeric, c
      from quantumflow._counters() c
      union all
      select 4, h.weight, h.metric
      from quantumflow._histograms() h
    ) s
  ),
  -- The largest first; those of a histogram stay together.
  counted as (
    select
      s.*,
      count(*) over (order by s.place, s.weight desc, regexp_replace(s.name, '_(bucket|sum|count)$', ''), s.labels - 'le') as series
    from series s
  )
  select m.*
  from (
    select c.name, c.kind, c.labels, c.value, c.help
    from counted c
    where c.series <= 4999
    union all
    select
      'quantumflow_series_left_out', 'gauge', '{}'::jsonb, (count(*) filter (where c.series > 4999))::double precision,
      'Series beyond the 5,000 that there are at most, those of the least numbers.'
    from counted c
  ) m
  order by m.name, m.labels - 'le', nullif(m.labels ->> 'le', '+Inf')::numeric;
end
$metrics$;

comment on function quantumflow.metrics() is
'Numbers for a monitoring system: what goes on now, from the queues and the workers, and what has ended, from step_hours, 5,000 at most.

What has ended is counted a minute or two after its run has: see quantumflow_counted_seconds_ago. Counters never fall, whatever is
deleted, but for those of a database that is restored. "quantumflow metrics" prints them as Prometheus reads them. One call at a time is enough: it reads every message in the queues.

Errors: none.';

create function quantumflow._gauges_of_all(p_now timestamptz)
returns setof quantumflow.metric
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_gauges_of_all$
begin
  return query
  select 'quantumflow_info', 'gauge', jsonb_build_object('version', quantumflow.version()), 1::double precision, 'Which version is installed.'
  union all
  select
    'quantumflow_workers', 'gauge', jsonb_build_object('state', s.state), count(w.worker_id)::double precision,
    'Registered workers: alive and busy (no free slot), working, idle, or alive without saying so; silent for a minute without having said that they stop.'
  from unnest(array['busy', 'working', 'idle', 'alive', 'silent']) s (state)
  left join quantumflow.list_workers(false) w
    on w.state = s.state
  group by s.state
  union all
  select
    'quantumflow_slots', 'gauge', jsonb_build_object('state', k.state), coalesce(k.slots, 0)::double precision,
    'How many tasks the live workers can have at once, free and in use.'
  from (
    select sum(greatest(w.slots - w.running, 0)) as free, sum(w.running) as used
    from quantumflow.list_workers(true) w
  ) w
  cross join lateral (values ('free', w.free), ('in use', w.used)) k (state, slots)
  union all
  select
    'quantumflow_runs_open', 'gauge', jsonb_build_object('workflow', r.workflow_slug, 'status', r.status), count(*)::double precision,
    'Runs that have not ended: started or paused.'
  from quantumflow._open_runs() o (run_id)
  cross join lateral (
    select l.workflow_slug, l.status
    from quantumflow.workflow_runs l
    where l.id = o.run_id
    limit 1
  ) r
  group by r.workflow_slug, r.status
  union all
  select
    'quantumflow_counted_seconds_ago', 'gauge', '{}', extract(epoch from p_now - nullif(c.counted_at, '-infinity'))::double precision,
    'How long ago the runs that had ended were last counted; the counters are of that time.'
  from quantumflow._counting c
  where isfinite(c.counted_at)
  union all
  select
    'quantumflow_bytes', 'gauge', jsonb_build_object('what', z.what, 'kind', z.kind), z.bytes::double precision,
    'What a table or queue takes on disk.'
  from quantumflow.list_sizes() z
  union all
  select
    'quantumflow_dead_share', 'gauge', jsonb_build_object('what', z.what, 'kind', z.kind), z.dead_share::double precision,
    'The part of its rows that waits for autovacuum, from 0 to 1.'
  from quantumflow.list_sizes() z
  where z.dead_share is not null
  union all
  select
    'quantumflow_oldest_transaction_seconds', 'gauge', '{}', coalesce(max(extract(epoch from p_now - a.xact_start)), 0)::double precision,
    'How long the oldest transaction has been open, of those that quantumflow''s owner may see: vacuum cannot remove what died since.'
  from pg_stat_activity a
  where a.datname = current_database()
    and a.pid <> pg_backend_pid()
  union all
  select
    'quantumflow_unfinished_ends', 'gauge', '{}', count(*)::double precision,
    'Runs that have ended and left rows that somebody held, to be finished by the next claim or sweep.'
  from quantumflow._unfinished_ends
  union all
  select
    'quantumflow_schedule_missed_total', 'counter', jsonb_build_object('schedule', s.schedule_slug), s.missed::double precision,
    'Times of a schedule that came and went while nothing could be started.'
  from quantumflow.schedules s;
end
$_gauges_of_all$;

comment on function quantumflow._gauges_of_all(timestamptz) is 'metrics(): the workers, the runs that go on, sizes, what else there is once.';

create function quantumflow._gauges_of_queues()
returns setof quantumflow.metric
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_gauges_of_queues$
begin
  return query
  with queues as materialized (
    select q.*, jsonb_build_object('queue', q.queue, 'command', q.command) as labels
    from quantumflow.list_queues() q
  )
  select
    'quantumflow_tasks', 'gauge', q.labels || jsonb_build_object('state', k.state), k.tasks::double precision,
    'Tasks that have not ended: due, so that they can be claimed; later, for their time or their run; retrying, after a failure; running.'
  from queues q
  cross join lateral (
    values ('due', q.due), ('later', q.later), ('retrying', q.retrying), ('running', q.running)
  ) k (state, tasks)
  union all
  select
    'quantumflow_oldest_due_seconds', 'gauge', q.labels, coalesce(extract(epoch from q.oldest_due), 0)::double precision,
    'How long the task that has been due longest has been so.'
  from queues q
  union all
  select
    'quantumflow_command_workers', 'gauge', q.labels, q.workers::double precision,
    'Live workers that serve the queue and have the command.'
  from queues q
  union all
  select
    'quantumflow_command_free_slots', 'gauge', q.labels, q.free_slots::double precision,
    'How many tasks more these could have at once, all their commands together.'
  from queues q
  where q.free_slots is not null;
end
$_gauges_of_queues$;

comment on function quantumflow._gauges_of_queues() is 'metrics(): what waits and runs, by queue and command.';

create function quantumflow._gauges_of_steering(p_now timestamptz)
returns setof quantumflow.metric
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_gauges_of_steering$
begin
  return query
  with pause as materialized (
    select p.*, jsonb_build_object('of', p.kind, 'name', p.name) as labels
    from quantumflow.list_pauses() p
  )
  select
    'quantumflow_paused_seconds', 'gauge', p.labels, extract(epoch from p_now - p.paused_at)::double precision,
    'How long a queue, a flow (workflow) or a command has been paused.'
  from pause p
  union all
  select
    'quantumflow_paused_tasks', 'gauge', p.labels, p.waiting::double precision,
    'Tasks that are due and wait for its resume; of a flow those that claims have met.'
  from pause p
  union all
  select
    'quantumflow_limited_tasks', 'gauge', jsonb_build_object('limit', l.limit_name, 'state', k.state), k.tasks::double precision,
    'Tasks of limited steps, all keys of a limit together: running, with workers; waiting, for their turn or for a worker.'
  from (
    select l.limit_name, sum(l.running) as running, sum(l.waiting) as waiting
    from quantumflow.list_limits() l
    group by l.limit_name
  ) l
  cross join lateral (values ('running', l.running), ('waiting', l.waiting)) k (state, tasks);
end
$_gauges_of_steering$;

comment on function quantumflow._gauges_of_steering(timestamptz) is 'metrics(): what is paused, and what limits hold back.';

create function quantumflow._counters()
returns setof quantumflow.metric
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_counters$
begin
  return query
  with hours as materialized (
    select
      h.workflow_slug::text as workflow, h.step_slug, h.command::text as command, h.n, h.retries, h.failures, h.usage,
      h.n - coalesce((select sum(f.value::numeric) from jsonb_each_text(h.failures - 'condition') f), 0) as completed
    from quantumflow.step_hours h
    where h.hour = '-infinity'
  )
  select
    'quantumflow_runs_ended_total', 'counter', jsonb_build_object('workflow', h.workflow, 'status', k.status), sum(k.runs)::double precision,
    'Runs that have ended, by how: completed, failed or cancelled.'
  from hours h
  cross join lateral (
    select 'completed' as status, h.completed as runs
    union all
    select f.key, f.value::numeric
    from jsonb_each_text(h.failures) f
  ) k
  where h.step_slug = '_run'
  group by h.workflow, k.status
  union all
  select
    'quantumflow_attempts_total', 'counter',
    jsonb_build_object('workflow', h.workflow, 'command', h.command, 'outcome', k.outcome), sum(k.attempts)::double precision,
    'Attempts at tasks that have ended, by how: completed, error, timeout, lost; condition: steps that failed before they had a task.'
  from hours h
  cross join lateral (
    select 'completed' as outcome, h.completed as attempts
    union all
    select f.key, f.value::numeric
    from jsonb_each_text(h.failures) f
  ) k
  where h.step_slug <> '_run'
  group by h.workflow, h.command, k.outcome
  union all
  select
    'quantumflow_retries_total', 'counter', jsonb_build_object('workflow', h.workflow, 'command', h.command), sum(h.retries)::double precision,
    'Attempts that were not the first at their task.'
  from hours h
  where h.step_slug <> '_run'
  group by h.workflow, h.command
  union all
  select
    'quantumflow_usage_total', 'counter', jsonb_build_object('command', h.command, 'of', u.key), sum(u.value::numeric)::double precision,
    'What attempts said that they used, of tokens for example.'
  from hours h
  cross join lateral jsonb_each_text(h.usage) u
  group by h.command, u.key;
end
$_counters$;

comment on function quantumflow._counters() is 'metrics(): what has ended, all hours together.';

create function quantumflow._histograms()
returns table (weight numeric, metric quantumflow.metric)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_histograms$
declare
  c_bounds constant double precision[] := array[
    0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 14400, 86400, 'infinity'];
begin
  return query
  with series as materialized (
    select k.name, k.help, k.labels, k.buckets, k.seconds
    from quantumflow.step_hours h
    cross join lateral (
      values
        ('quantumflow_attempt_waited_seconds', h.waited, h.waited_seconds, jsonb_build_object('command', h.command), h.step_slug <> '_run',
          'From when a task was due to when it was begun, by attempt.'),
        ('quantumflow_attempt_worked_seconds', h.worked, h.worked_seconds, jsonb_build_object('command', h.command), h.step_slug <> '_run',
          'For how long an attempt was worked on, those that were lost left out.'),
        ('quantumflow_run_seconds', h.took, h.took_seconds, jsonb_build_object('workflow', h.workflow_slug), h.step_slug = '_run',
          'From the start of a run, or its last retry, to its end.')
    ) k (name, buckets, seconds, labels, is_of_it, help)
    where h.hour = '-infinity'
      and k.is_of_it
      and k.buckets <> '{}'
  ),
  sums as materialized (
    select s.name, s.help, s.labels, sum(s.seconds) as seconds
    from series s
    group by 1, 2, 3
  ),
  -- A bucket is below a bound that its middle is below.
  counted as materialized (
    select s.name, s.labels, width_bucket(0.0001 * 1.1::double precision ^ (b.key::int - 0.5), c_bounds) + 1 as place, sum(b.value::numeric) as n
    from series s
    cross join lateral jsonb_each_text(s.buckets) b
    group by 1, 2, 3
  ),
  below as materialized (
    select s.name, s.labels, b.bound, b.place, sum(coalesce(c.n, 0)) over (partition by s.name, s.labels order by b.place) as n
    from sums s
    cross join unnest(c_bounds) with ordinality b (bound, place)
    left join counted c
      on (c.name, c.labels, c.place) = (s.name, s.labels, b.place)
  )
  select b.n, row(m.name, 'histogram', m.labels, m.value, s.help)::quantumflow.metric
  from sums s
  join below b
    on (b.name, b.labels) = (s.name, s.labels)
    and b.bound = 'infinity'
  cross join lateral (
    select s.name || '_bucket', s.labels || jsonb_build_object('le', case l.bound when 'infinity' then '+Inf' else l.bound::text end), l.n::double precision
    from below l
    where (l.name, l.labels) = (s.name, s.labels)
    union all
    values
      (s.name || '_sum', s.labels, s.seconds::double precision),
      (s.name || '_count', s.labels, b.n::double precision)
  ) m (name, labels, value);
end
$_histograms$;

comment on function quantumflow._histograms() is
'metrics(): how long attempts waited and were worked on, and runs took, all hours together. weight: how many there were.';
