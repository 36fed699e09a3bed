-- A schedule that is held, and when its next run starts.

create function quantumflow._hold_schedule(p_schedule_slug text)
returns quantumflow.schedules
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_hold_schedule$
declare
  v_schedule quantumflow.schedules;
begin
  select *
  into v_schedule
  from quantumflow.schedules s
  where s.schedule_slug = p_schedule_slug
  for update;

  if not found then
    raise exception 'schedule % does not exist', coalesce(format('"%s"', p_schedule_slug), 'null')
    using
      errcode = 'QF223',
      detail = 'There is none of that name; names are case-sensitive.',
      hint = 'select * from quantumflow.list_schedules() shows what there is.';
  end if;

  return v_schedule;
end
$_hold_schedule$;

comment on function quantumflow._hold_schedule(text) is
'Locks a schedule, waiting for whoever starts a run of it or changes it.

Errors: QF223 unknown schedule.';

create type quantumflow._timing as (
  schedule_slug text,
  cron          quantumflow._cron,
  time_zone     text,
  jitter        interval
);

comment on type quantumflow._timing is 'What a schedule says of when its runs start, its cron text as it is understood: once a call.';

create type quantumflow._coming as (
  due_at  timestamptz,
  next_at timestamptz
);

comment on type quantumflow._coming is 'A time of a schedule, and when its run starts.';

create function quantumflow._timing_of(p_schedule quantumflow.schedules)
returns quantumflow._timing
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_timing_of$
begin
  return row(
    p_schedule.schedule_slug, quantumflow._cron_of(p_schedule.cron), p_schedule.time_zone, p_schedule.jitter)::quantumflow._timing;
end
$_timing_of$;

comment on function quantumflow._timing_of(quantumflow.schedules) is 'When the runs of a schedule start.';

create function quantumflow._coming(p_timing quantumflow._timing, p_after timestamptz)
returns quantumflow._coming
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_coming$
declare
  v_due_at timestamptz := quantumflow._next_time(p_timing.cron, p_timing.time_zone, p_after);
begin
  return row(v_due_at, quantumflow._start_time(p_timing, v_due_at))::quantumflow._coming;
end
$_coming$;

comment on function quantumflow._coming(quantumflow._timing, timestamptz) is 'What comes next after a moment.';

create function quantumflow._start_time(p_timing quantumflow._timing, p_due_at timestamptz)
returns timestamptz
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_start_time$
declare
  v_share double precision;
begin
  if p_timing.jitter = '0 s' then
    return p_due_at;
  end if;

  -- From 0 up to 1, and always the same.
  v_share := ('x' || left(md5(quantumflow._schedule_key(p_timing.schedule_slug, p_due_at)), 8))::bit(32)::bigint / 4294967296.0;

  return p_due_at
    + v_share * least(p_timing.jitter, quantumflow._next_time(p_timing.cron, p_timing.time_zone, p_due_at) - p_due_at);
end
$_start_time$;

comment on function quantumflow._start_time(quantumflow._timing, timestamptz) is
'When a schedule''s run for a time starts: then, or, with a jitter, some share of it later, before the next time.';

create function quantumflow._schedule_key(p_schedule_slug text, p_due_at timestamptz)
returns text
language sql
immutable
return format('_schedule:%s@%s', p_schedule_slug, quantumflow._utc_text(p_due_at));

comment on function quantumflow._schedule_key(text, timestamptz) is 'The idempotency key of a schedule''s run for a time.';
