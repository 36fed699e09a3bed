create type quantumflow._due_times as (
  times  timestamptz[],
  missed bigint,
  next   timestamptz
);

comment on type quantumflow._due_times is
'What a schedule is due: the times to start runs for, in order, one at least, how many were missed before them, and the first after them.';

create function quantumflow._due_times(p_schedule quantumflow.schedules, p_timing quantumflow._timing, p_now timestamptz)
returns quantumflow._due_times
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_due_times$
declare
  v_cron  quantumflow._cron := p_timing.cron;
  v_from  timestamptz := p_schedule.due_at;
  v_times timestamptz[] := array[v_from];
  v_next  timestamptz := quantumflow._next_time(v_cron, p_schedule.time_zone, v_from);
  v_count bigint;
begin
  -- As a rule there is one. Else not all that came since are looked at.
  if v_next <= p_now then
    v_from := greatest(v_from, quantumflow._time_before(v_cron, p_schedule.time_zone, p_now, p_schedule.catch_up + 1));

    if v_from > p_schedule.due_at then
      v_count := quantumflow._count_times(
        v_cron, p_schedule.due_at at time zone p_schedule.time_zone, v_from at time zone p_schedule.time_zone);
      v_times := '{}';
    end if;

    loop
      v_next := quantumflow._next_time(v_cron, p_schedule.time_zone, v_from);
      exit when v_next > p_now;

      v_times := v_times || v_next;
      v_from := v_next;
    end loop;

    -- The last may have a jitter that is not over.
    if cardinality(v_times) > 1 and p_now < quantumflow._start_time(p_timing, v_from) then
      v_next := v_from;
      v_times := trim_array(v_times, 1);
    end if;
  end if;

  v_count := coalesce(v_count, 0) + greatest(cardinality(v_times) - p_schedule.catch_up, 0);

  return row(v_times[greatest(cardinality(v_times) - p_schedule.catch_up, 0) + 1 :], v_count, v_next)::quantumflow._due_times;
end
$_due_times$;

comment on function quantumflow._due_times(quantumflow.schedules, quantumflow._timing, timestamptz) is
'What a schedule is due at a moment, its next time being due: the latest times, as many as catch_up says.';

create function quantumflow._time_before(p_cron quantumflow._cron, p_time_zone text, p_at timestamptz, p_times int)
returns timestamptz
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_time_before$
declare
  v_local timestamp := (p_at at time zone p_time_zone) + interval '1 min';
begin
  for i in 1 .. p_times loop
    v_local := quantumflow._next_local(p_cron, v_local, -1);
  end loop;

  -- Clocks are set by three hours at most.
  return (v_local at time zone p_time_zone) - interval '3 h';
end
$_time_before$;

comment on function quantumflow._time_before(quantumflow._cron, text, timestamptz, int) is
'A moment before which the last few times up to another do not lie, and not far before them.';

create function quantumflow._count_times(p_cron quantumflow._cron, p_from timestamp, p_until timestamp)
returns bigint
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_count_times$
begin
  return (
    select coalesce(sum(
      case
        when d.day > p_from and d.day + interval '1 day' <= p_until then cardinality(p_cron.hours) * cardinality(p_cron.minutes)
        else (
          select count(*)
          from unnest(p_cron.hours) h
          cross join unnest(p_cron.minutes) m
          where d.day + make_interval(hours => h, mins => m) >= p_from
            and d.day + make_interval(hours => h, mins => m) <= p_until)
      end), 0)
    from generate_series(p_from::date::timestamp, p_until, '1 day') d (day)
    where quantumflow._is_day(p_cron, d.day::date)
  );
end
$_count_times$;

comment on function quantumflow._count_times(quantumflow._cron, timestamp, timestamp) is
'How many times there are from one to another, by the calendar alone.';
