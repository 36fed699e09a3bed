create function quantumflow.stop_worker(worker_id uuid)
returns void
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $stop_worker$
begin
  update quantumflow.workers w
  set stopped_at = quantumflow._now()
  where w.worker_id = stop_worker.worker_id;
end
$stop_worker$;

comment on function quantumflow.stop_worker(uuid) is
'Says that a worker has stopped. Its tasks, if it kept any, come back when their leases run out.

Errors: none; an unknown worker_id changes nothing.';
