create function quantumflow._now()
returns timestamptz
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_now$
begin
  if coalesce(current_setting('quantumflow.now', true), '') = '' then
    return clock_timestamp();
  end if;

  if exists (select from quantumflow.settings s where s.name = 'test_clock' and s.value = 'on') then
    return current_setting('quantumflow.now')::timestamptz;
  end if;

  return clock_timestamp();
end
$_now$;

comment on function quantumflow._now() is
'The one clock: clock_timestamp(), read once per call into a variable.

A test may set it with "set quantumflow.now = ...", which is honoured only while the row
("test_clock", "on") is in quantumflow.settings, so that no role can expire leases.';
