create function quantumflow.next_times(
  cron      text,
  time_zone text default 'UTC',
  n         int default 5,
  after     timestamptz default null)
returns setof timestamptz
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $next_times$
declare
  v_cron quantumflow._cron := quantumflow._cron_of(next_times.cron);
  v_at   timestamptz := coalesce(next_times.after, quantumflow._now());
begin
  perform quantumflow._refuse_unknown_zone(next_times.time_zone);

  if next_times.n is null or next_times.n not between 1 and 1000 then
    raise exception 'n must be between 1 and 1000'
    using
      errcode = 'QF220',
      detail = format('It is %s.', coalesce(next_times.n::text, 'null')),
      hint = 'Leave it out for 5; for later times call it again with after, the last one.';
  end if;

  if v_at not between '0001-01-02 00:00:00+00' and '9999-12-31 00:00:00+00' then
    raise exception 'after must be a moment of the years 1 to 9999'
    using
      errcode = 'QF220',
      detail = format('It is %s.', v_at),
      hint = 'Leave it out for the times from now on.';
  end if;

  for i in 1 .. next_times.n loop
    v_at := quantumflow._next_time(v_cron, next_times.time_zone, v_at);
    exit when v_at is null;

    return next v_at;
  end loop;
end
$next_times$;

comment on function quantumflow.next_times(text, text, int, timestamptz) is
'The next times of a cron text, to look at before it is scheduled: what schedule_flow would do, without jitter.

cron: minute, hour, day of month, month, weekday, as Vixie''s cron reads them: *, numbers, names (jan, mon), ranges, steps (*/15), lists; 0
and 7 are Sunday; where neither day field begins with an asterisk, one of them is enough. Or @hourly, @daily (@midnight), @weekly,
@monthly, @yearly (@annually).
time_zone: a name such as Europe/Berlin. Where the hour field does not begin with an asterisk, a time that the clock passes over comes at the
moment of the change, and one that it shows twice comes once; else each minute that the clock shows counts.
n: 1 to 1,000. after: now when left out. Fewer come where the year 10000 does first.

Errors: QF220 a cron text, time zone, n or after that is none.';

create function quantumflow._refuse_unknown_zone(p_time_zone text)
returns void
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_refuse_unknown_zone$
begin
  -- AT TIME ZONE takes more: "CET" is an abbreviation to it, without summer time, and "Europe/Berlin+1" a zone one hour behind UTC. What
  -- has no digit can only be a name or an abbreviation; to look for the others in all files of the server takes long.
  if upper(p_time_zone) in ('UTC', 'GMT')
    or (p_time_zone ~ '[0-9]' and exists (select from pg_timezone_names z where lower(z.name) = lower(p_time_zone)))
  then
    return;
  end if;

  if p_time_zone !~ '[0-9]' and not exists (select from pg_timezone_abbrevs a where a.abbrev = upper(p_time_zone)) then
    begin
      perform 'epoch'::timestamptz at time zone p_time_zone;
      return;
    exception
      when invalid_parameter_value then
        null;
    end;
  end if;

  raise exception 'time zone % is not known', quantumflow._shown(to_jsonb(p_time_zone))
  using
    errcode = 'QF220',
    detail = 'It is no name in pg_timezone_names, or an abbreviation, which does not tell when clocks change.',
    hint = 'Name a place, Europe/Berlin for example, or UTC.';
end
$_refuse_unknown_zone$;

comment on function quantumflow._refuse_unknown_zone(text) is
'Refuses what names no time zone.

Errors: QF220.';
