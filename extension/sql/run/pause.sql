create function quantumflow.pause_run(run_id uuid, reason text default null)
returns quantumflow.workflow_runs
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $pause_run$
declare
  v_now timestamptz := quantumflow._now();
  v_run quantumflow.workflow_runs := quantumflow._hold_run(pause_run.run_id);
begin
  if v_run.status = 'paused' and v_run.paused_with_parent is null then
    return v_run;
  end if;
  perform quantumflow._refuse_ended_run(v_run, 'paused');

  select *
  into v_run
  from quantumflow._pause_runs(array[v_run.id], null, v_now);

  perform quantumflow._look_below(array[v_run.id], v_now);
  perform quantumflow._record_act('pause_run', v_now, v_run.workflow_slug, v_run.id, p_reason => pause_run.reason);

  return v_run;
end
$pause_run$;

comment on function quantumflow.pause_run(uuid, text) is
'Pauses a run, with all below it: no step of it starts and no task of it is handed out until resume_run.

Tasks that workers have already are not disturbed: they keep their leases, and what they report is recorded. A run that has nothing
left to do ends even while it is paused; its run_timeout goes on, and fails a paused run too. Other times go on as well, and what they
come to is seen at the resume; a signal is kept until then. Pausing it again changes nothing. reason is kept in audit_log.

Errors: QF201 unknown run; QF207 the run has ended.';
