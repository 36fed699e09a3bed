create function quantumflow.run_now(run_id uuid, step_slug text, task_index int default 0)
returns text
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $run_now$
declare
  v_now     timestamptz := quantumflow._now();
  v_task    quantumflow.step_tasks;
  v_run     quantumflow.workflow_runs;
  v_step    quantumflow.workflow_steps;
  v_outcome text;
begin
  select *
  into v_task
  from quantumflow.step_tasks t
  where (t.run_id, t.step_slug, t.task_index) = (run_now.run_id, run_now.step_slug, run_now.task_index)
  for update;

  -- Shared: whoever pauses the run, or ends it, waits for this.
  select *
  into v_run
  from quantumflow.workflow_runs r
  where r.id = run_now.run_id
  for key share;

  perform quantumflow._refuse_unknown_task(v_run, v_task.run_id is not null, run_now.run_id, run_now.step_slug, run_now.task_index);

  select *
  into v_step
  from quantumflow.workflow_steps w
  where (w.workflow_slug, w.version, w.step_slug) = (v_run.workflow_slug, v_run.version, v_task.step_slug);

  v_outcome := case
    when v_task.status = 'started' then 'running'
    when v_task.status <> 'queued' then 'ended'
    when v_step.settled then 'waits'
    when v_task.queued_at <= v_now and not coalesce(starts_with(v_task.error_message, 'left to other code'), false) then 'was_due'
    else 'due'
  end;

  if v_outcome = 'due' then
    perform quantumflow._end_delay(v_task, v_run, v_step, v_now);
    perform quantumflow._record_act('run_now', v_now, v_run.workflow_slug, v_run.id, v_task.step_slug, v_task.task_index,
      p_detail => jsonb_build_object('queued_at', v_task.queued_at));
  end if;

  return v_outcome;
end
$run_now$;

comment on function quantumflow.run_now(uuid, text, int) is
'Lets a task that waits for its time be handed out now: one that was to be tried again later, or to start after a delay, or was left to other code.

Returns what became of it: due: it waits for its turn now, or, if its run, flow, queue or command is paused, for the resume. was_due: it had nothing to wait for. running: a worker has it.
waits: it sleeps, or waits for a signal, which is for complete_task or send_signal to end. ended: it is completed, failed or cancelled; see retry_run. Only
"due" changes anything, and audit_log has the time that it waited for. Waits for who claims, reports or settles the task.

Errors: QF201 unknown run; QF307 the run has no such step, or the step no such task.';

create function quantumflow._refuse_unknown_task(
  p_run quantumflow.workflow_runs, p_is_there boolean, p_run_id uuid, p_step_slug text, p_task_index int)
returns void
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_refuse_unknown_task$
begin
  if p_run.id is null then
    perform quantumflow._raise_unknown_run(p_run_id);
  end if;

  if not p_is_there then
    raise exception 'run % has no task % of step %',
      p_run.id, coalesce(p_task_index::text, 'null'), coalesce(format('"%s"', p_step_slug), 'null')
    using
      errcode = 'QF307',
      detail = 'There is no such step, or it has not started, or not so many tasks.',
      hint = format('select * from quantumflow.why(%L) shows what the run waits for.', p_run.id);
  end if;
end
$_refuse_unknown_task$;

comment on function quantumflow._refuse_unknown_task(quantumflow.workflow_runs, boolean, uuid, text, int) is
'Refuses a task that is not there, or whose run is not.

Errors: QF201; QF307.';

create function quantumflow._end_delay(
  p_task quantumflow.step_tasks, p_run quantumflow.workflow_runs, p_step quantumflow.workflow_steps, p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_end_delay$
begin
  update quantumflow.step_tasks t
  set queued_at = p_now
  where (t.run_id, t.step_slug, t.task_index) = (p_task.run_id, p_task.step_slug, p_task.task_index);

  -- Who has hidden the message for the sake of a pause shows it at its resume.
  if (p_run.status = 'paused' and p_step.counts)
    or exists (select from quantumflow._parked k where (k.queue, k.message_id) = (p_task.queue, p_task.message_id))
  then
    return;
  end if;

  if quantumflow._hold_queue(p_task.queue) is not null then
    perform quantumflow._notify(p_task.queue, array[p_step.command], p_now);
  end if;

  perform quantumflow._redelay(p_task.queue, array[p_task.message_id], array[quantumflow._visible_at(p_now, p_run.priority, p_now)]);
end
$_end_delay$;

comment on function quantumflow._end_delay(
  quantumflow.step_tasks, quantumflow.workflow_runs, quantumflow.workflow_steps, timestamptz) is
'Lets a queued task wait no longer for its time. The caller holds it and its run.';
