create function quantumflow._is_clock_set()
returns boolean
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_is_clock_set$
begin
  return exists (select from quantumflow.settings s where s.name = 'test_clock' and s.value = 'on');
end
$_is_clock_set$;

comment on function quantumflow._is_clock_set() is 'Whether sessions may set the clock: in databases for tests.';

create function quantumflow._set_now()
returns timestamptz
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_set_now$
declare
  v_set text := current_setting('quantumflow.now');
begin
  if not quantumflow._is_clock_set() then
    return clock_timestamp();
  elsif v_set = 'shared' then
    return clock_timestamp() + make_interval(
      secs => coalesce((select s.value::double precision from quantumflow.settings s where s.name = 'test_clock_ahead'), 0));
  elsif starts_with(v_set, '+') then
    return clock_timestamp() + make_interval(secs => v_set::double precision);
  end if;

  return v_set::timestamptz;
end
$_set_now$;

comment on function quantumflow._set_now() is
'The time that a session has set, where that is allowed; else the time. Set is "+" and seconds, by which it is ahead of the time; or "shared": by
as many as all of these sessions are; or a time, which stands still. advance_clock() moves each of them.';

-- Without a path of its own, so that it is inlined where it is called.
create function quantumflow._now()
returns timestamptz
language sql
volatile
return case
  when coalesce(current_setting('quantumflow.now', true), '') = '' then clock_timestamp()
  else quantumflow._set_now()
end;

comment on function quantumflow._now() is
'The one clock: clock_timestamp(), read once per call into a variable.

A test may set it with "set quantumflow.now = ...", or advance_clock(), which is honoured only while the row
("test_clock", "on") is in quantumflow.settings, so that no role can expire leases.';

-- Without a path of its own, so that it is inlined where it is called.
create function quantumflow._as_seconds(p_interval interval)
returns interval
language sql
immutable
return make_interval(secs => extract(epoch from p_interval)::double precision);

comment on function quantumflow._as_seconds(interval) is
'An interval in seconds alone: a day has 24 hours, a month 30 days, a year 365.25.

An interval of a caller''s is added to a clock as this, and its extract(epoch) is held within bounds. As it is it compares otherwise
than it adds: 1,000 months less 30,000 days compare as nothing, and are 435 days.';

create function quantumflow._utc_text(p_at timestamptz)
returns text
language sql
immutable
return to_char(p_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"');

comment on function quantumflow._utc_text(timestamptz) is 'A moment to the second, in UTC, as ISO 8601 has it.';
