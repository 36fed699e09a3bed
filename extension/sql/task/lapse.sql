create type quantumflow._lapse as (
  attempt  quantumflow._failed_attempt,
  is_last  boolean,
  ready_at timestamptz,
  vt       timestamptz
);

comment on type quantumflow._lapse is
'An attempt whose lease has run out. Unless it was the last, its task is ready again at ready_at, and its message has this vt.';

create function quantumflow._settle_lapsed(p_queue text, p_lapsed quantumflow._held_task[], p_now timestamptz)
returns int
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_settle_lapsed$
declare
  v_lapse   quantumflow._lapse;
  v_attempt quantumflow._failed_attempt;
  v_task    quantumflow._held_task;
  v_failing quantumflow._held_task;
  v_settled int := 0;
begin
  -- One by one: lost leases are rare, and each may end a run.
  foreach v_lapse in array quantumflow._judge_lapsed(p_lapsed, p_now) loop
    v_attempt := v_lapse.attempt;
    v_task := v_attempt.held;

    -- A task before this one may have ended the step, or the run, and so this task.
    continue when not exists (
      select
      from quantumflow.step_tasks t
      where (t.run_id, t.step_slug, t.task_index) = (v_task.run_id, v_task.step_slug, v_task.task_index)
        and t.status = 'started'
    );

    -- To fail a step takes the step and the run whole; while somebody holds either, this waits in the queue.
    if v_lapse.is_last and v_task.counts then
      v_failing := quantumflow._hold_for_failure(v_task);
      v_attempt := row(v_failing, v_attempt.kind, v_attempt.error_message, v_attempt.error_details, v_attempt.reported);

      if v_failing.run_id is null then
        perform quantumflow._set_vt(p_queue, array[v_task.message_id], array[p_now + interval '100 ms']);
        continue;
      end if;
    end if;

    if v_lapse.is_last then
      perform quantumflow._fail_for_good(array[v_attempt], p_now);
    else
      perform quantumflow._queue_lapsed(v_lapse, p_now);
    end if;

    v_settled := v_settled + 1;
  end loop;

  perform quantumflow._leave_limits_of(array(select h from unnest(p_lapsed) h where h.limit_key is not null), p_now, false);

  return v_settled;
end
$_settle_lapsed$;

comment on function quantumflow._settle_lapsed(text, quantumflow._held_task[], timestamptz) is
'Ends attempts whose lease has run out, and fails those that were the last, and their runs, as far as nobody holds what that takes.
Returns how many it ended.';

create function quantumflow._judge_lapsed(p_lapsed quantumflow._held_task[], p_now timestamptz)
returns quantumflow._lapse[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_judge_lapsed$
begin
  return array(
    select case h.outcome
      when 'timeout' then row(
        row(h, 'timeout', format('timed out after %s', h.timeout), null, false)::quantumflow._failed_attempt,
        k.failures >= w.max_attempts,
        d.ready_at,
        d.ready_at
      )::quantumflow._lapse
      -- What was lost gets its place in the queue back, ahead of what was queued after it.
      else row(
        row(h, 'lost', format('lost its worker %s', h.worker_id), null, false)::quantumflow._failed_attempt,
        h.losses + 1 >= w.max_lost,
        p_now,
        h.queued_at - make_interval(secs => r.priority)
      )::quantumflow._lapse
    end
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
    cross join lateral (select h.attempts - h.losses as failures) k
    cross join lateral (select p_now + quantumflow._retry_delay(w.retry_delay, k.failures) as ready_at) d
    order by h.ord);
end
$_judge_lapsed$;

comment on function quantumflow._judge_lapsed(quantumflow._held_task[], timestamptz) is
'What attempts whose lease has run out come to: lost, or, if the lease lasted to the deadline, a failure of kind timeout.

It is the end of the lease that counts, not when somebody notices, so that an outage of all workers is no failure of their tasks.

A lost task is ready again at once, at its old place in the queue; a timed-out one after its delay. Either fails when it has used up
max_lost or max_attempts.';

create function quantumflow._queue_lapsed(p_lapse quantumflow._lapse, p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_queue_lapsed$
declare
  v_task quantumflow._held_task := (p_lapse.attempt).held;
begin
  perform quantumflow._record_failures(array[p_lapse.attempt], p_now);

  update quantumflow.step_tasks t
  set
    status = 'queued',
    losses = t.losses + ((p_lapse.attempt).kind = 'lost')::int,
    lease_token = null,
    queued_at = p_lapse.ready_at,
    error_message = (p_lapse.attempt).error_message
  where t.run_id is not distinct from v_task.run_id
    and t.ctid = v_task.tid;

  perform quantumflow._set_vt(v_task.queue, array[v_task.message_id], array[p_lapse.vt]);
end
$_queue_lapsed$;

comment on function quantumflow._queue_lapsed(quantumflow._lapse, timestamptz) is
'Lets a task whose lease has run out be claimed again.';
