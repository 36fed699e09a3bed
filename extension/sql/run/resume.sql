create function quantumflow.resume_run(run_id uuid, reason text default null)
returns quantumflow.workflow_runs
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $resume_run$
declare
  v_now timestamptz := quantumflow._now();
  v_run quantumflow.workflow_runs;
begin
  perform quantumflow._require_read_committed('resume a run');

  v_run := quantumflow._hold_run(resume_run.run_id);
  if v_run.status = 'started' then
    return v_run;
  end if;
  perform quantumflow._refuse_ended_run(v_run, 'resumed');
  perform quantumflow._refuse_waiting(v_run);
  perform quantumflow._refuse_unwanted(v_run, 'resumed');

  perform quantumflow._resume(v_run, v_now);
  perform quantumflow._look_below(array[v_run.id], v_now);

  -- One whose parent is paused does not go on without it.
  if v_run.parent_run_id is not null then
    perform quantumflow._note_children(quantumflow._busy_after_a_look(array[v_run.id], v_now), v_now);
  end if;

  perform quantumflow._record_act('resume_run', v_now, v_run.workflow_slug, v_run.id, p_reason => resume_run.reason);

  select *
  into v_run
  from quantumflow.workflow_runs r
  where r.id = v_run.id;

  return v_run;
end
$resume_run$;

comment on function quantumflow.resume_run(uuid, text) is
'Lets a paused run go on, with all below it that was paused by that: its tasks can be claimed again, from their old places in the queue, delays
that were running kept, and the steps that became ready meanwhile start. Resuming a run that is not paused changes nothing. reason is kept in audit_log.

Errors: QF201 unknown run; QF207 the run has ended; QF225 it waits for its turn; QF227 it is a child that its parent does not wait for any more;
QF401 the queue of a step that would start is gone; 0A000 unless the transaction is read committed.';
