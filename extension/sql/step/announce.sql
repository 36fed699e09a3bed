-- What is told on channel quantumflow_events: ids only, for who has asked. It is never the only way to know: a notification may be lost, and
-- whoever was away asks.

create function quantumflow._tell_event(p_event jsonb)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_tell_event$
begin
  -- See _notify: once the server's queue is full no transaction that notifies can commit.
  if quantumflow._limit('notify') = 1 and pg_notification_queue_usage() < 0.5 then
    perform pg_notify('quantumflow_events', p_event::text);
  end if;
end
$_tell_event$;

comment on function quantumflow._tell_event(jsonb) is
'Tells whoever listens on channel quantumflow_events, once the transaction commits; nobody where the setting notify is 0, or the server''s queue for
notifications is half full.';

create function quantumflow._tell_of_runs(p_kind text, p_run_ids uuid[])
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_tell_of_runs$
begin
  perform quantumflow._tell_event(jsonb_build_object('kind', p_kind, 'run_id', u.run_id))
  from unnest(p_run_ids) u (run_id);
end
$_tell_of_runs$;

comment on function quantumflow._tell_of_runs(text, uuid[]) is
'Tells of runs, {"kind": ..., "run_id": ...} each. run_ended: to whom their ends are to be announced; tasks_cancelled: to the workers that have
tasks of theirs, which are for nothing now.';
