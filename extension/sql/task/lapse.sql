create function quantumflow._settle_lapsed(p_queue text, p_lapsed quantumflow._held_task[], p_now timestamptz)
returns int
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_settle_lapsed$
declare
  v_task      record;
  v_exhausted boolean;
  v_ready_at  timestamptz;
  v_error     text;
  v_settled   int := 0;
begin
  -- One by one: lost leases are rare, and each may end a run.
  for v_task in
    select
      h.*,
      h as held,
      w.max_attempts,
      w.max_lost,
      w.retry_delay,
      r.priority,
      h.outcome as kind,
      h.attempts - h.losses as failures
    from unnest(p_lapsed) h
    cross join lateral (
      select l.priority
      from quantumflow.workflow_runs l
      where l.id = h.run_id
      limit 1
    ) r
    cross join lateral (
      select l.max_attempts, l.max_lost, l.retry_delay
      from quantumflow.workflow_steps l
      where (l.workflow_slug, l.version, l.step_slug) = (h.workflow_slug, h.version, h.step_slug)
      limit 1
    ) w
    order by h.ord
  loop
    -- A task before this one may have ended the run, and so this task.
    continue when v_task.step_type <> 'callback' and not exists (
      select
      from quantumflow.workflow_runs r
      where r.id = v_task.run_id
        and r.status in ('started', 'paused')
    );

    if v_task.kind = 'timeout' then
      v_exhausted := v_task.failures >= v_task.max_attempts;
      v_error := format('timed out after %s', v_task.timeout);
    else
      v_exhausted := v_task.losses + 1 >= v_task.max_lost;
      v_error := format('lost its worker %s', v_task.worker_id);
    end if;

    -- To end a run takes the step and the run whole; while somebody holds either, this waits in the queue.
    if v_exhausted
      and v_task.step_type <> 'callback'
      and not quantumflow._hold_for_failure(v_task.run_id, v_task.step_slug)
    then
      perform quantumflow._set_vt(p_queue, array[v_task.message_id], array[p_now + interval '100 ms']);
      continue;
    end if;

    v_settled := v_settled + 1;

    perform quantumflow._record_failure(v_task.held, v_task.kind, v_error, null, p_now);

    v_ready_at := case v_task.kind
      when 'timeout' then p_now + quantumflow._retry_delay(v_task.retry_delay, v_task.failures)
      else p_now
    end;

    update quantumflow.step_tasks t
    set
      status = case when v_exhausted then 'failed' else 'queued' end,
      losses = t.losses + (v_task.kind = 'lost')::int,
      lease_token = null,
      queued_at = case when v_exhausted then t.queued_at else v_ready_at end,
      failed_at = case when v_exhausted then p_now end,
      error_message = v_error
    where t.run_id is not distinct from v_task.run_id
      and t.ctid = v_task.tid;

    if v_exhausted then
      perform quantumflow._remove_messages(p_queue, array[v_task.message_id]);

      if v_task.step_type <> 'callback' then
        perform quantumflow._fail_step(
          v_task.run_id, v_task.step_slug, v_task.task_index, v_task.step_type,
          format('%s (attempt %s, lost %s times)', v_error, v_task.attempts, v_task.losses + (v_task.kind = 'lost')::int),
          p_now);
      end if;
    else
      -- What was lost gets its place in the queue back, ahead of what was queued after it.
      perform quantumflow._set_vt(
        p_queue,
        array[v_task.message_id],
        array[case v_task.kind
          when 'timeout' then v_ready_at
          else v_task.queued_at - make_interval(secs => v_task.priority)
        end]);
    end if;
  end loop;

  return v_settled;
end
$_settle_lapsed$;

comment on function quantumflow._settle_lapsed(text, quantumflow._held_task[], timestamptz) is
'Ends attempts whose lease has run out: lost, or, if it lasted to the deadline, a failure of kind timeout. Returns how many.

It is the end of the lease that counts, not when somebody notices, so that an outage of all workers is no failure of their tasks.

A lost task is ready again at once, at its old place in the queue; a timed-out one after its delay. Either fails when it has used up
max_lost or max_attempts, and its run with it.';
