create function quantumflow.advance_clock(
  ahead     interval default null,
  until_due boolean default false,
  queues    text[] default null)
returns timestamptz
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $advance_clock$
declare
  v_now  timestamptz := quantumflow._now();
  v_most interval := '36525 days';
  v_then timestamptz;
begin
  if not quantumflow._is_clock_set() then
    raise exception 'the clock of this database cannot be advanced'
    using
      errcode = 'QF505',
      detail = 'It is the time: the setting test_clock is not "on".',
      hint = 'In a database for tests, and in no other, its owner allows it: insert into quantumflow.settings (name, value) values (''test_clock'', ''on'').';
  end if;

  if extract(epoch from advance_clock.ahead) between 0 and extract(epoch from v_most) then
    v_then := v_now + quantumflow._as_seconds(advance_clock.ahead);
  end if;

  if (v_then is null and (advance_clock.ahead is not null or advance_clock.until_due is not true)) or v_then > clock_timestamp() + v_most then
    raise exception 'the clock can only be advanced, and by a hundred years altogether'
    using
      errcode = 'QF504',
      detail = format('It is %s; ahead is %s.', v_now, coalesce(advance_clock.ahead::text, 'null')),
      hint = 'ahead => ''1 day'' is a day; until_due => true, without ahead, up to when something is due next.';
  end if;

  if advance_clock.until_due then
    v_then := least(v_then, quantumflow._next_due(advance_clock.queues, v_now));
  end if;

  if v_then is not null then
    perform quantumflow._move_clock(v_then - v_now);
  end if;

  return v_then;
end
$advance_clock$;

comment on function quantumflow.advance_clock(interval, boolean, text[]) is
'Lets time pass in a database for tests: what sleeps, waits for a deadline, an attempt, or a worker that is gone, or is scheduled, comes due without
anybody waiting for it. Returns what time it is then.

ahead: by how much; 0 tells the time. until_due: no further than when something is due that is not now; null, and nothing has changed, where nothing
will be and there is no ahead. queues: of this only what is due in these queues, and no schedules; null: in all.
The clock is that of this session; of all sessions that have set quantumflow.now to "shared", if this one has. Workers are told then.
Allowed where whoever owns quantumflow has put the row (''test_clock'', ''on'') into quantumflow.settings. Elsewhere there is no other clock.

Errors: QF504 ahead is null without until_due, or back, or too far; QF505 the clock is no test''s.';

create function quantumflow._next_due(p_queues text[], p_now timestamptz)
returns timestamptz
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_next_due$
begin
  return least(
    (
      select min(quantumflow._next_vt(q.queue, p_now))
      from quantumflow._known_queues() q (queue)
      where p_queues is null
        or q.queue = any (p_queues)
    ),
    (
      select min(s.next_at)
      from quantumflow.schedules s
      where s.next_at > p_now
        and p_queues is null
    ));
end
$_next_due$;

comment on function quantumflow._next_due(text[], timestamptz) is
'When the next message becomes visible that is not yet, in some queues, or all; then schedules count as well. Null when none will.';

create function quantumflow._move_clock(p_by interval)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_move_clock$
declare
  v_set text := coalesce(current_setting('quantumflow.now', true), '');
  v_by  numeric := extract(epoch from p_by);
begin
  if v_set = 'shared' then
    insert into quantumflow.settings as s (name, value)
    values ('test_clock_ahead', v_by::text)
    on conflict on constraint settings_pkey do update
    set value = (s.value::numeric + v_by)::text;

    perform pg_notify('quantumflow', q.queue)
    from quantumflow._known_queues() q (queue)
    where quantumflow._limit('notify') = 1;
  elsif v_set = '' or starts_with(v_set, '+') then
    perform set_config('quantumflow.now', '+' || (coalesce(nullif(v_set, ''), '0')::numeric + v_by), false);
  else
    perform set_config('quantumflow.now', (v_set::timestamptz + p_by)::text, false);
  end if;
end
$_move_clock$;

comment on function quantumflow._move_clock(interval) is
'Moves the session''s clock, or that of all who share one; where it stands, it stands at the new time.';
