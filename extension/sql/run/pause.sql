create function quantumflow.pause_run(run_id uuid, reason text default null)
returns quantumflow.workflow_runs
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $pause_run$
declare
  v_now   timestamptz := quantumflow._now();
  v_run   quantumflow.workflow_runs := quantumflow._hold_run(pause_run.run_id);
  v_batch record;
begin
  if v_run.status = 'paused' then
    return v_run;
  end if;
  perform quantumflow._refuse_ended_run(v_run, 'paused');

  update quantumflow.workflow_runs r
  set
    status = 'paused',
    paused_at = v_now
  where r.id = v_run.id
  returning *
  into v_run;

  -- A message that a claim holds now is parked by the next claim that reads it.
  for v_batch in
    select t.queue, array_agg(t.message_id order by t.message_id) as msg_ids
    from quantumflow.step_tasks t
    cross join lateral (
      select
      from quantumflow.workflow_steps l
      where (l.workflow_slug, l.version, l.step_slug) = (v_run.workflow_slug, v_run.version, t.step_slug)
        and l.counts
      limit 1
    ) w
    where t.run_id = v_run.id
      and t.status = 'queued'
    group by t.queue
    order by t.queue
  loop
    perform quantumflow._extend_vt(
      v_batch.queue, v_batch.msg_ids, array_fill('infinity'::timestamptz, array[cardinality(v_batch.msg_ids)]));
  end loop;

  perform quantumflow._leave_waiting_room(v_run.id, v_now);
  perform quantumflow._record_act('pause_run', v_now, v_run.workflow_slug, v_run.id, p_reason => pause_run.reason);

  return v_run;
end
$pause_run$;

comment on function quantumflow.pause_run(uuid, text) is
'Pauses a run: no step of it starts and no task of it is handed out until resume_run.

Tasks that workers have already are not disturbed: they keep their leases, and what they report is recorded. A run that has nothing
left to do ends even while it is paused; its run_timeout goes on, and fails a paused run too. Other times go on as well, and what they
come to is seen at the resume; a signal is kept until then. Pausing it again changes nothing. reason is kept in audit_log.

Errors: QF201 unknown run; QF207 the run has ended.';
