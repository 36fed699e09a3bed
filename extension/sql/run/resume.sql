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

  update quantumflow.workflow_runs r
  set status = 'started'
  where r.id = v_run.id
  returning *
  into v_run;

  perform quantumflow._start_ready(v_run, v_now);

  perform quantumflow._show_queued(v_run, v_now);
  perform quantumflow._record_act('resume_run', v_now, v_run.workflow_slug, v_run.id, p_reason => resume_run.reason);

  select *
  into v_run
  from quantumflow.workflow_runs r
  where r.id = v_run.id;

  return v_run;
end
$resume_run$;

comment on function quantumflow.resume_run(uuid, text) is
'Lets a paused run go on: its tasks can be claimed again, from their old places in the queue, delays that were running kept, and the
steps that became ready meanwhile start. Resuming a run that is not paused changes nothing. reason is kept in audit_log.

Errors: QF201 unknown run; QF207 the run has ended; QF225 it waits for its turn; QF401 the queue of a step that would start is gone; 0A000 unless the
transaction is read committed.';

create function quantumflow._show_queued(p_run quantumflow.workflow_runs, p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_show_queued$
declare
  v_batch   record;
  v_limited boolean := false;
  v_parked  boolean := exists (select from quantumflow._parked);
begin
  -- Every queued task, and not only what the pause parked: failures and claims have parked others since. What is limited waits for its turn.
  for v_batch in
    select
      t.queue,
      array_agg(t.message_id order by t.message_id) as msg_ids,
      array_agg(
        case
          when t.limit_key is not null and t.queued_at <= p_now then 'infinity'
          else quantumflow._shown_at(t.run_id, w.signals, t.queued_at, p_run.priority, p_now)
        end
        order by t.message_id) as vts,
      array_agg(distinct w.command) as commands,
      bool_or(t.limit_key is not null) as is_limited
    from quantumflow.step_tasks t
    cross join lateral (
      select l.command, l.signals
      from quantumflow.workflow_steps l
      where (l.workflow_slug, l.version, l.step_slug) = (p_run.workflow_slug, p_run.version, t.step_slug)
      limit 1
    ) w
    where t.run_id = p_run.id
      and t.status = 'queued'
      -- What waits for something else than the run comes back with that.
      and not (
        v_parked
        and exists (
          select
          from quantumflow._parked k
          where (k.queue, k.message_id) = (t.queue, t.message_id)
          offset 0
        )
      )
    group by t.queue
    order by t.queue
  loop
    if p_now >= any (v_batch.vts) and quantumflow._hold_queue(v_batch.queue) is not null then
      perform quantumflow._notify(v_batch.queue, v_batch.commands, p_now);
    end if;

    perform quantumflow._redelay(v_batch.queue, v_batch.msg_ids, v_batch.vts);
    v_limited := v_limited or v_batch.is_limited;
  end loop;

  if v_limited then
    perform quantumflow._enter_waiting_room(array[p_run.id], p_now);
  end if;
end
$_show_queued$;

comment on function quantumflow._show_queued(quantumflow.workflow_runs, timestamptz) is
'Puts the messages of a run''s queued tasks where they belong when it is not paused. The caller holds the run.';
