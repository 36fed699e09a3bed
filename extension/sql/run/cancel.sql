create function quantumflow.cancel_run(run_id uuid, reason text default null)
returns quantumflow.workflow_runs
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $cancel_run$
declare
  v_now timestamptz := quantumflow._now();
  -- Only the run is waited for. Whoever holds its tasks may be waiting for the run too.
  v_run quantumflow.workflow_runs := quantumflow._hold_run(cancel_run.run_id);
begin
  if v_run.status = 'cancelled' then
    return v_run;
  end if;
  perform quantumflow._refuse_ended_run(v_run, 'cancelled');

  v_run := quantumflow._cancel(v_run, cancel_run.reason, v_now);
  perform quantumflow._record_act('cancel_run', v_now, v_run.workflow_slug, v_run.id, p_reason => cancel_run.reason);

  return v_run;
end
$cancel_run$;

comment on function quantumflow.cancel_run(uuid, text) is
'Cancels a run: nothing of it starts any more, its messages go, and what its workers still report changes nothing.

reason is kept as the run''s error_message, cut to max_error_bytes. Cancelling it again changes nothing. No callback is called.
A worker that is executing a task learns of it when it next extends the lease.

Errors: QF201 unknown run; QF207 the run has completed or failed.';

create function quantumflow._cancel(p_run quantumflow.workflow_runs, p_reason text, p_now timestamptz)
returns quantumflow.workflow_runs
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_cancel$
declare
  v_run quantumflow.workflow_runs;
begin
  select *
  into v_run
  from quantumflow._cancel_runs(array[p_run.id], p_reason, p_now);

  if v_run.parent_run_id is not null then
    perform quantumflow._wake_parents(array[v_run.id], p_now);
    perform quantumflow._settle_parents(array[v_run.id], p_now);
  end if;

  return v_run;
end
$_cancel$;

comment on function quantumflow._cancel(quantumflow.workflow_runs, text, timestamptz) is
'Cancels a run that goes on, which the caller holds FOR UPDATE; the run then.';
