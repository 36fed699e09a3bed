create type quantumflow.run_summary as (
  run_id          uuid,
  workflow_slug   text,
  version         int,
  status          text,
  done_steps      int,
  steps           int,
  priority        int,
  retries         int,
  idempotency_key text,
  created_at      timestamptz,
  started_at      timestamptz,
  ended_at        timestamptz,
  error_message   text,
  gave_up         int,
  parent          uuid,
  started_by      text,
  origin          text
);

comment on type quantumflow.run_summary is 'A run in a line, without its input and output.';
comment on column quantumflow.run_summary.run_id is 'The run.';
comment on column quantumflow.run_summary.workflow_slug is 'The workflow.';
comment on column quantumflow.run_summary.version is 'Its version.';
comment on column quantumflow.run_summary.status is 'started, paused, completed, failed or cancelled.';
comment on column quantumflow.run_summary.done_steps is 'Steps that are done.';
comment on column quantumflow.run_summary.steps is 'Steps there are.';
comment on column quantumflow.run_summary.priority is 'Seconds by which it overtakes.';
comment on column quantumflow.run_summary.retries is 'How often it was retried.';
comment on column quantumflow.run_summary.idempotency_key is 'The key it was started with.';
comment on column quantumflow.run_summary.created_at is 'When start_flow was called.';
comment on column quantumflow.run_summary.started_at is 'From when its first steps may run.';
comment on column quantumflow.run_summary.ended_at is 'When it completed, failed or was cancelled.';
comment on column quantumflow.run_summary.error_message is 'Why it failed or was cancelled.';
comment on column quantumflow.run_summary.gave_up is
'How many steps and tasks it went on without; null where no step of its version can be given up.';
comment on column quantumflow.run_summary.parent is 'The run of which a step started it; null: none did.';
comment on column quantumflow.run_summary.started_by is 'Who started it, as in workflow_runs.';
comment on column quantumflow.run_summary.origin is 'What started it, if that was quantumflow itself: schedule:, and the schedule''s name.';

create type quantumflow._run_filter as (
  workflow_slug   text,
  status          text,
  before          uuid,
  gave_up         boolean,
  since           timestamptz,
  until           timestamptz,
  ended_since     timestamptz,
  ended_until     timestamptz,
  input           jsonb,
  headers         jsonb,
  idempotency_key text,
  error           text,
  version         int,
  parent          uuid,
  with_children   boolean
);

comment on type quantumflow._run_filter is 'Which runs are wanted, as list_runs() has it; null: whatever it is.';

create function quantumflow.list_runs(
  workflow_slug   text default null,
  status          text default null,
  max_runs        int default 20,
  before          uuid default null,
  gave_up         boolean default null,
  since           timestamptz default null,
  until           timestamptz default null,
  ended_since     timestamptz default null,
  ended_until     timestamptz default null,
  input           jsonb default null,
  headers         jsonb default null,
  idempotency_key text default null,
  error           text default null,
  version         int default null,
  parent          uuid default null,
  with_children   boolean default false)
returns setof quantumflow.run_summary
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $list_runs$
declare
  v_filter quantumflow._run_filter := row(
    list_runs.workflow_slug, list_runs.status, list_runs.before, list_runs.gave_up, list_runs.since, list_runs.until,
    list_runs.ended_since, list_runs.ended_until, list_runs.input, list_runs.headers, list_runs.idempotency_key, list_runs.error,
    list_runs.version, list_runs.parent, coalesce(list_runs.with_children, false));
begin
  if list_runs.max_runs is null or list_runs.max_runs not between 1 and 10000 then
    raise exception 'max_runs must be between 1 and 10000'
    using
      errcode = 'QF211',
      detail = format('It is %s.', coalesce(list_runs.max_runs::text, 'null')),
      hint = 'Page with before: the last run_id of one page is where the next begins.';
  end if;

  if list_runs.status not in ('started', 'paused', 'completed', 'failed', 'cancelled') then
    raise exception 'status "%" is not one of a run', list_runs.status
    using
      errcode = 'QF212',
      detail = 'A run is started, paused, completed, failed or cancelled.',
      hint = 'Leave status out for all of them.';
  end if;

  perform quantumflow._refuse_bad_window(list_runs.since, list_runs.until);
  perform quantumflow._refuse_bad_window(list_runs.ended_since, list_runs.ended_until);

  return query
  select
    r.id,
    r.workflow_slug,
    r.version,
    r.status,
    s.steps - r.remaining_steps,
    s.steps,
    r.priority,
    r.retries,
    r.idempotency_key,
    r.created_at,
    r.started_at,
    coalesce(r.completed_at, r.failed_at, r.cancelled_at),
    r.error_message,
    r.gave_up,
    r.parent_run_id,
    r.started_by,
    r.origin
  from unnest(quantumflow._find_runs(v_filter, list_runs.max_runs)) with ordinality f (run_id, n)
  cross join lateral (
    select *
    from quantumflow.workflow_runs l
    where l.id = f.run_id
    limit 1
  ) r
  cross join lateral (
    select count(*)::int as steps
    from quantumflow.step_states k
    where k.run_id = r.id
  ) s
  order by f.n;
end
$list_runs$;

comment on function quantumflow.list_runs(
  text, text, int, uuid, boolean, timestamptz, timestamptz, timestamptz, timestamptz, jsonb, jsonb, text, text, int, uuid, boolean) is
'The latest runs, newest first, of those that no step of another run has started: all of them, or those of which all that is given is so.

max_runs: 1 to 10,000. before: only runs whose id is lower, for the next page. An unknown workflow has no runs.
gave_up: true for those that went on without a step or a task that had failed, false for the others. since, until: when they were created, from the one and
before the other; ended_since, ended_until: when they ended. input, headers: what these contain, {"customer": "c42"}. error: a text that their error_message
contains, whatever the case. parent: the runs that steps of this one have started, its children. with_children: those of all runs too.

A search by ended_since, input, headers or error that is told no since looks at 7 days: those before ended_since, or else before now. A notice says so.

Errors: QF211 bad max_runs; QF212 unknown status; QF224 an until that is not after its since.';

create function quantumflow._refuse_bad_window(p_since timestamptz, p_until timestamptz)
returns void
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_refuse_bad_window$
begin
  if p_until <= p_since then
    raise exception 'there is no time between % and %', p_since, p_until
    using
      errcode = 'QF224',
      detail = 'What until, or ended_until, says is not after what since, or ended_since, does.',
      hint = 'Leave one of them out: since alone means until now.';
  end if;
end
$_refuse_bad_window$;

comment on function quantumflow._refuse_bad_window(timestamptz, timestamptz) is
'Refuses a time that ends before it has begun; null: it has no such end.

Errors: QF224.';

create function quantumflow._find_runs(p_filter quantumflow._run_filter, p_max_runs int)
returns uuid[]
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_find_runs$
declare
  v_filter quantumflow._run_filter := p_filter;
  v_low    uuid := '00000000-0000-0000-0000-000000000000';
  v_high   uuid := 'ffffffff-ffff-ffff-ffff-ffffffffffff';
  v_since  timestamptz := p_filter.since;
  v_until  timestamptz := least(p_filter.until, p_filter.ended_until);
begin
  if v_filter.idempotency_key is not null then
    return array(
      select r.id
      from quantumflow.workflows w
      cross join lateral (
        select l.id, l as run
        from quantumflow.workflow_runs l
        where (l.workflow_slug, l.idempotency_key) = (w.workflow_slug, v_filter.idempotency_key)
        limit 1
      ) r
      where quantumflow._is_meant(r.run, v_filter)
      order by r.id desc
      limit p_max_runs);
  end if;

  if v_filter.parent is not null then
    return array(
      select r.id
      from quantumflow.workflow_runs r
      where r.parent_run_id = v_filter.parent
        and quantumflow._is_meant(r, v_filter)
      order by r.id desc
      limit p_max_runs);
  end if;

  if v_filter.status in ('started', 'paused') then
    return quantumflow._find_open_runs(v_filter, p_max_runs);
  end if;

  if v_filter.since is null and num_nonnulls(v_filter.ended_since, v_filter.input, v_filter.headers, v_filter.error) > 0 then
    v_since := coalesce(v_filter.ended_since, quantumflow._now()) - interval '7 days';
    v_filter := jsonb_populate_record(v_filter, jsonb_build_object('since', v_since));
    raise notice 'looked at runs created since %', date_trunc('second', v_since)
    using hint = 'Say since to look at others.';
  end if;

  -- An id of version 7 tells when its run was created, to a moment, but for a test's clock. For other ids there is an index.
  if abs(extract(epoch from quantumflow._now() - clock_timestamp())) < 30 then
    v_low := case when isfinite(v_since) then quantumflow._first_uuid_v7(v_since - interval '1 min') else v_low end;
    v_high := case when isfinite(v_until) then quantumflow._first_uuid_v7(v_until + interval '1 min') else v_high end;
  end if;

  return array(
    select f.id
    from (
      (
        select r.id
        from quantumflow.workflow_runs r
        where r.id between v_low and least(v_high, v_filter.before)
          and quantumflow._is_meant(r, v_filter)
        order by r.id desc
        limit p_max_runs
      )
      union
      (
        -- By the index alone first: of what is below it PostgreSQL believes that it is nearly all.
        select o.id
        from (
          select i.id
          from quantumflow.workflow_runs i
          where substr(i.id::text, 15, 1) <> '7'
          order by i.id desc
          offset 0
        ) o
        cross join lateral (
          select l as run
          from quantumflow.workflow_runs l
          where l.id = o.id
          limit 1
        ) r
        where quantumflow._is_meant(r.run, v_filter)
        order by o.id desc
        limit p_max_runs
      )
    ) f
    order by f.id desc
    limit p_max_runs);
end
$_find_runs$;

comment on function quantumflow._find_runs(quantumflow._run_filter, int) is
'The latest of the runs that are wanted, so many at most: those of a key, and those that go on, by what leads to them; others by when they
were created.';

-- Without a path of its own, so that it is inlined where it is called.
create function quantumflow._find_open_runs(p_filter quantumflow._run_filter, p_max_runs int)
returns uuid[]
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_find_open_runs$
declare
  v_counted_to uuid := quantumflow._counted_to();
begin
  -- Each from the latest on, until there are enough.
  return array(
    select f.id
    from (
      (
        select r.id
        from quantumflow.workflow_runs r
        where r.id > v_counted_to
          and r.status in ('started', 'paused')
          and quantumflow._is_meant(r, p_filter)
        order by r.id desc
        limit p_max_runs
      )
      union
      (
        select r.id
        from (
          select distinct u.run_id
          from quantumflow._uncounted_runs u
          where p_filter.before is null
            or u.run_id < p_filter.before
          order by u.run_id desc
        ) u
        cross join lateral (
          select l.id, l as run
          from quantumflow.workflow_runs l
          where l.id = u.run_id
            and l.status in ('started', 'paused')
          limit 1
        ) r
        where quantumflow._is_meant(r.run, p_filter)
        order by u.run_id desc
        limit p_max_runs
      )
    ) f
    order by f.id desc
    limit p_max_runs);
end
$_find_open_runs$;

comment on function quantumflow._find_open_runs(quantumflow._run_filter, int) is
'The latest runs that are wanted of those that go on: they are among what is not counted yet, see _open_runs.';

create function quantumflow._is_meant(p_run quantumflow.workflow_runs, p_filter quantumflow._run_filter)
returns boolean
language sql
stable
return (p_filter.workflow_slug is null or p_run.workflow_slug = p_filter.workflow_slug)
  and (p_filter.status is null or p_run.status = p_filter.status)
  and (p_filter.before is null or p_run.id < p_filter.before)
  and (p_filter.gave_up is null or p_filter.gave_up = (coalesce(p_run.gave_up, 0) > 0))
  and (p_filter.since is null or p_run.created_at >= p_filter.since)
  and (p_filter.until is null or p_run.created_at < p_filter.until)
  and (p_filter.ended_since is null or coalesce(p_run.completed_at, p_run.failed_at, p_run.cancelled_at) >= p_filter.ended_since)
  and (p_filter.ended_until is null or coalesce(p_run.completed_at, p_run.failed_at, p_run.cancelled_at) < p_filter.ended_until)
  and (p_filter.input is null or p_run.input @> p_filter.input)
  and (p_filter.headers is null or p_run.headers @> p_filter.headers)
  and (p_filter.idempotency_key is null or p_run.idempotency_key = p_filter.idempotency_key)
  and (p_filter.error is null or strpos(lower(p_run.error_message), lower(p_filter.error)) > 0)
  and (p_filter.version is null or p_run.version = p_filter.version)
  and case
    when p_filter.parent is not null then p_run.parent_run_id = p_filter.parent
    else p_filter.with_children or p_run.parent_run_id is null
  end;

comment on function quantumflow._is_meant(quantumflow.workflow_runs, quantumflow._run_filter) is 'Whether a run is one of those that are wanted.';
