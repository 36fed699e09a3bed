create function quantumflow.retry_runs(filter jsonb, max_runs int default 1000, dry_run boolean default true, reason text default null)
returns setof quantumflow.run_act
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $retry_runs$
begin
  return query
  select *
  from quantumflow._act_on_runs('retried', '{failed,cancelled}', retry_runs.filter, retry_runs.max_runs, retry_runs.dry_run, retry_runs.reason);
end
$retry_runs$;

comment on function quantumflow.retry_runs(jsonb, int, boolean, text) is
'Runs again what failed and cancelled runs did not finish, as retry_run does.

filter: which runs, by the arguments of list_runs: {"workflow_slug": "order", "status": "failed", "error": "503", "since": "2030-01-28"}; {"all": true} for all. dry_run: true, the
default, changes nothing and says what would be done. max_runs: 1 to 10,000, the newest first. Each run is steered as a whole or not at all: one in somebody''s hands at this moment is
passed over, and one that is refused says why in what. So call it again until fewer come back than were asked for, or none was done. reason is kept in audit_log, which has an entry for each.

A report of one of these runs waits until the call has been committed: a thousand runs take a second or so.

Errors: QF211 bad max_runs; QF212 unknown status; QF219 a filter that is empty, or has a key or a value that is none; 0A000 unless the transaction is read committed.';
