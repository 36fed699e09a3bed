create function quantumflow._examine_schedules(p_now timestamptz)
returns setof quantumflow.finding
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_examine_schedules$
begin
  return query
  select
    format('schedule %s', s.schedule_slug),
    'warning',
    case
      when s.problem is not null
      then format('its run for %s could not start: %s', date_trunc('second', s.due_at), s.problem)
      when s.next_at < p_now - interval '1 min'
      then format('it was due at %s, and nobody has started it', date_trunc('second', s.next_at))
      else format('it has missed %s times, the last of them seen at %s', s.missed, date_trunc('second', s.missed_at))
    end,
    case
      when s.problem is not null
      then format('It is tried every minute. Set it right, or: select quantumflow.unschedule_flow(%L).', s.schedule_slug)
      when s.next_at < p_now - interval '1 min'
      then 'Let a worker run, or call quantumflow.sweep() every few seconds.'
      else 'Nothing swept, or it could not start, while they came. To make up for more of them: schedule_flow(..., catch_up => n).'
    end
  from quantumflow.schedules s
  where s.paused_at is null
    and not quantumflow._is_copy()
    and (
      s.problem is not null
      or s.next_at < p_now - interval '1 min'
      or s.missed_at > p_now - interval '1 day'
    )
  order by s.schedule_slug;
end
$_examine_schedules$;

comment on function quantumflow._examine_schedules(timestamptz) is
'doctor(): schedules that could not start their run, were due a minute ago, or missed times within the last day.';
