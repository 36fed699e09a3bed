-- When it is time next. Two clocks: the calendar of a cron text knows no zones, and where the zone's clock changes is looked at between two
-- of its times. Nothing goes from minute to minute.

create function quantumflow._next_time(p_cron quantumflow._cron, p_time_zone text, p_after timestamptz)
returns timestamptz
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_next_time$
declare
  v_from   timestamptz := p_after;
  v_local  timestamp := quantumflow._latest_shown(p_cron, p_time_zone, p_after);
  v_next   timestamp;
  v_at     timestamptz;
  v_change timestamptz;
begin
  loop
    v_next := quantumflow._next_local(p_cron, v_local);

    v_at := (v_next - quantumflow._offset(p_time_zone, v_from)) at time zone 'UTC';
    v_change := quantumflow._clock_change(p_time_zone, v_from, least(v_at, v_from + interval '2 days'));

    if v_change is null and v_at > v_from + interval '2 days' then
      -- Whatever the clock does later on, until the day before it shows only what it has shown, or what is no such time.
      v_local := v_next - interval '1 day';
      v_from := v_local at time zone p_time_zone;
      continue;
    end if;

    -- If the clock passes over the time, the moment of the change is it.
    if v_change is null or (p_cron.is_fixed and v_next < v_change at time zone p_time_zone) then
      return coalesce(v_change, v_at);
    end if;

    v_from := v_change;

    if not p_cron.is_fixed then
      v_local := (v_change at time zone p_time_zone) - interval '1 us';
    end if;
  end loop;
end
$_next_time$;

comment on function quantumflow._next_time(quantumflow._cron, text, timestamptz) is
'The first time after a moment; null when there is none before the year 10000.

Around a change of clocks: where the hours are fixed, a time that the clock passes over comes at the change, once, whatever falls into the
gap; and one that it shows twice comes the first time only. Where they are not, each minute that the clock shows counts: so what comes every
hour, or every few minutes, comes so all through the change.';

create function quantumflow._latest_shown(p_cron quantumflow._cron, p_time_zone text, p_at timestamptz)
returns timestamp
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_latest_shown$
declare
  v_shown timestamp := p_at at time zone p_time_zone;
  v_set   interval;
begin
  if p_cron.is_fixed then
    v_set := quantumflow._offset(p_time_zone, p_at - interval '1 day') - quantumflow._offset(p_time_zone, p_at);

    if v_set > '0 s' then
      return greatest(
        v_shown,
        (quantumflow._clock_change(p_time_zone, p_at - interval '1 day', p_at) at time zone p_time_zone) + v_set - interval '1 us');
    end if;
  end if;

  return v_shown;
end
$_latest_shown$;

comment on function quantumflow._latest_shown(quantumflow._cron, text, timestamptz) is
'The latest time that a clock has shown by a moment: what it shows, or, where the hours are fixed and it was set back within the last day, what
it showed until then if that is later.';

create function quantumflow._next_local(p_cron quantumflow._cron, p_from timestamp, p_step int default 1)
returns timestamp
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_next_local$
declare
  v_day    date := p_from::date;
  v_hour   int := extract(hour from p_from);
  v_minute int := quantumflow._next_value(p_cron.minutes, extract(minute from p_from)::int, p_step);
begin
  if quantumflow._is_day(p_cron, v_day) then
    if v_hour = any (p_cron.hours) and v_minute is not null then
      return v_day + make_interval(hours => v_hour, mins => v_minute);
    end if;

    v_hour := quantumflow._next_value(p_cron.hours, v_hour, p_step);
  else
    v_hour := null;
  end if;

  if v_hour is null then
    v_day := quantumflow._next_day(p_cron, v_day + p_step, p_step);
    v_hour := quantumflow._next_value(p_cron.hours, p_step * -99, p_step);
  end if;

  return v_day + make_interval(hours => v_hour, mins => quantumflow._next_value(p_cron.minutes, p_step * -99, p_step));
end
$_next_local$;

comment on function quantumflow._next_local(quantumflow._cron, timestamp, int) is
'The first time after the minute of another, by the calendar alone; the last before it with a step of -1. Null when the calendar ends.';

-- Without a path of its own, so that it is inlined where it is called.
create function quantumflow._next_value(p_values int[], p_value int, p_step int)
returns int
language sql
immutable
return (
  select min(v * p_step) * p_step
  from unnest(p_values) v
  where v * p_step > p_value * p_step
);

comment on function quantumflow._next_value(int[], int, int) is
'The first of some values above another; the last below it with a step of -1.';

create function quantumflow._next_day(p_cron quantumflow._cron, p_from date, p_step int)
returns date
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_next_day$
declare
  v_day   date := p_from;
  v_end   date;
  v_found date;
begin
  if quantumflow._is_day(p_cron, p_from) then
    return p_from;
  end if;

  -- A month at a time, the rest of the one that it begins in first.
  while v_day between '0001-01-01' and '9999-12-31' loop
    v_end := date_trunc('month', v_day::timestamp) + case when p_step > 0 then interval '1 month - 1 day' else interval '0' end;

    if extract(month from v_day)::int = any (p_cron.months) then
      v_found := (
        select v_day + min(g) * p_step
        from generate_series(0, abs(v_end - v_day)) g
        where quantumflow._is_day(p_cron, v_day + g * p_step));

      if v_found is not null then
        return v_found;
      end if;
    end if;

    v_day := v_end + p_step;
  end loop;

  return null;
end
$_next_day$;

comment on function quantumflow._next_day(quantumflow._cron, date, int) is
'The first day, from one on, on which it is time; the last up to it with a step of -1. Null when the calendar ends.';

-- Without a path of its own, so that it is inlined where it is called.
create function quantumflow._is_day(p_cron quantumflow._cron, p_day date)
returns boolean
language sql
immutable
return extract(month from p_day)::int = any ((p_cron).months)
  and case
    when (p_cron).is_any_day
    then extract(day from p_day)::int = any ((p_cron).days) or extract(dow from p_day)::int = any ((p_cron).weekdays)
    else extract(day from p_day)::int = any ((p_cron).days) and extract(dow from p_day)::int = any ((p_cron).weekdays)
  end;

comment on function quantumflow._is_day(quantumflow._cron, date) is 'Whether it is time on a day.';

-- Without a path of its own, so that it is inlined where it is called.
create function quantumflow._offset(p_time_zone text, p_at timestamptz)
returns interval
language sql
stable
return (p_at at time zone p_time_zone) - (p_at at time zone 'UTC');

comment on function quantumflow._offset(text, timestamptz) is 'How far the clocks of a zone are ahead of UTC at a moment.';

create function quantumflow._clock_change(p_time_zone text, p_after timestamptz, p_until timestamptz)
returns timestamptz
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_clock_change$
declare
  v_offset interval := quantumflow._offset(p_time_zone, p_after);
  v_before timestamptz := date_trunc('minute', p_after);
  v_after  timestamptz := p_until;
  v_middle timestamptz;
begin
  if quantumflow._offset(p_time_zone, p_until) = v_offset then
    return null;
  end if;

  while v_after > v_before + interval '1 min' loop
    v_middle := v_before + make_interval(mins => (extract(epoch from v_after - v_before) / 120)::int);

    if quantumflow._offset(p_time_zone, v_middle) = v_offset then
      v_before := v_middle;
    else
      v_after := v_middle;
    end if;
  end loop;

  return v_after;
end
$_clock_change$;

comment on function quantumflow._clock_change(text, timestamptz, timestamptz) is
'When the clocks of a zone are changed between two moments, a few days apart, by halves; null when they are not. Clocks are changed at whole
minutes; in these zones they were not before 1972.';
