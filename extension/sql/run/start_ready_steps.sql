create function quantumflow.start_ready_steps(run_id uuid)
returns int
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $start_ready_steps$
declare
  v_run quantumflow.workflow_runs;
begin
  select *
  into v_run
  from quantumflow.workflow_runs r
  where r.id = start_ready_steps.run_id
  for no key update;

  if not found then
    perform quantumflow._raise_unknown_run(start_ready_steps.run_id);
  end if;

  if v_run.status <> 'started' then
    return 0;
  end if;

  return quantumflow._start_ready(v_run, quantumflow._now());
end
$start_ready_steps$;

comment on function quantumflow.start_ready_steps(uuid) is
'Starts the steps of a run whose dependencies are all done and that have not started. Returns how many it started.

The engine starts steps by itself when they become ready, so this finds something only after a pause or a repair by hand.
Safe to call at any time; does nothing for a run that is paused or over.

Errors: QF201 unknown run.';
