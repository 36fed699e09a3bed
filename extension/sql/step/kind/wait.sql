-- Without a path of its own, so that it is inlined where it is called.
create function quantumflow._lane_of_waits()
returns text
language sql
immutable
return 'wait';

comment on function quantumflow._lane_of_waits() is 'The lane in which the messages of waits are: the command of their steps.';

create function quantumflow._has_signal(p_run_id uuid, p_signals text[])
returns boolean
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_has_signal$
begin
  return exists (
    select
    from unnest(p_signals) u (signal)
    cross join lateral (
      select
      from quantumflow.signals l
      where (l.run_id, l.signal) = (p_run_id, u.signal)
        and l.taken_at is null
      limit 1
    ) g);
end
$_has_signal$;

comment on function quantumflow._has_signal(uuid, text[]) is
'Whether a signal of one of these names lies there that no step has taken. The caller holds the run, or finds out later.';

-- Without a path of its own, so that it is inlined where it is called.
create function quantumflow._shown_at(p_run_id uuid, p_signals text[], p_queued_at timestamptz, p_priority int, p_now timestamptz)
returns timestamptz
language sql
volatile
return case
  when p_signals is not null and quantumflow._has_signal(p_run_id, p_signals) then p_now
  else quantumflow._visible_at(p_queued_at, p_priority, p_now)
end;

comment on function quantumflow._shown_at(uuid, text[], timestamptz, int, timestamptz) is
'When the message of a queued task becomes visible that is shown, or sent, again: of a wait whose signal lies there at once, of any other as
_visible_at says.';
