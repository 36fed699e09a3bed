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

create function quantumflow._start_time(
  p_schedule_slug text, p_cron text, p_time_zone text, p_jitter interval, p_due_at timestamptz)
returns timestamptz
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_start_time$
declare
  v_share double precision;
begin
  if p_jitter = '0 s' then
    return p_due_at;
  end if;

  -- From 0 up to 1, and always the same.
  v_share := ('x' || left(md5(quantumflow._schedule_key(p_schedule_slug, p_due_at)), 8))::bit(32)::bigint / 4294967296.0;

  return p_due_at
    + v_share * least(p_jitter, quantumflow._next_time(quantumflow._cron_of(p_cron), p_time_zone, p_due_at) - p_due_at);
end
$_start_time$;

comment on function quantumflow._start_time(text, text, text, interval, timestamptz) is
'When a schedule''s run for a time starts: then, or, with a jitter, some share of it later, before the next time.';

create function quantumflow._schedule_key(p_schedule_slug text, p_due_at timestamptz)
returns text
language sql
immutable
return format('_schedule:%s@%s', p_schedule_slug, quantumflow._utc_text(p_due_at));

comment on function quantumflow._schedule_key(text, timestamptz) is 'The idempotency key of a schedule''s run for a time.';
