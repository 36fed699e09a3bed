create function quantumflow.announce_end(run_id uuid)
returns text
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $announce_end$
declare
  v_status text;
begin
  -- Waits for whoever reports: either that one sees the mark, or this sees the end.
  update quantumflow.workflow_runs r
  set announced = true
  where r.id = announce_end.run_id
    and r.status in ('started', 'paused')
    and r.announced is null;

  select r.status
  into v_status
  from quantumflow.workflow_runs r
  where r.id = announce_end.run_id;

  if not found then
    perform quantumflow._raise_unknown_run(announce_end.run_id);
  end if;

  return v_status;
end
$announce_end$;

comment on function quantumflow.announce_end(uuid) is
'Asks that the end of a run be told, and returns its status. If that is started or paused, {"kind": "run_ended", "run_id": ...} is sent on channel
quantumflow_events when it has ended: listen first, then call this, and nothing is missed. Whoever was away calls it again. Where notifications do not
arrive (a pooler in transaction mode, the setting notify, a full queue of the server''s) ask now and then, too.

Errors: QF201 unknown run.';
