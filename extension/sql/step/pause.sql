-- How runs are paused, and go on: those that somebody pauses, and, with them, all below.

create function quantumflow._pause_runs(p_run_ids uuid[], p_with_parent boolean, p_now timestamptz)
returns setof quantumflow.workflow_runs
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_pause_runs$
declare
  v_batch record;
begin
  return query
  update quantumflow.workflow_runs r
  set
    status = 'paused',
    paused_at = p_now,
    paused_with_parent = p_with_parent
  where r.id = any (p_run_ids)
  returning *;

  -- A message that a claim holds now is parked by the next claim that reads it.
  for v_batch in
    select t.queue, array_agg(t.message_id order by t.message_id) as msg_ids
    from quantumflow.step_tasks t
    cross join lateral (
      select
      from quantumflow.workflow_runs r
      join quantumflow.workflow_steps l
        on (l.workflow_slug, l.version, l.step_slug) = (r.workflow_slug, r.version, t.step_slug)
      where r.id = t.run_id
        and l.counts
      limit 1
    ) w
    where t.run_id = any (p_run_ids)
      and t.status = 'queued'
    group by t.queue
    order by t.queue
  loop
    perform quantumflow._extend_vt(
      v_batch.queue, v_batch.msg_ids, array_fill('infinity'::timestamptz, array[cardinality(v_batch.msg_ids)]));
  end loop;

  perform quantumflow._leave_waiting_room(u.run_id, p_now)
  from unnest(p_run_ids) u (run_id);
end
$_pause_runs$;

comment on function quantumflow._pause_runs(uuid[], boolean, timestamptz) is
'Pauses runs that go on, which the caller holds FOR UPDATE, and parks their messages but for those that somebody holds; the runs then.';

create function quantumflow._resume(p_run quantumflow.workflow_runs, p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_resume$
declare
  v_run quantumflow.workflow_runs;
begin
  update quantumflow.workflow_runs r
  set
    status = 'started',
    paused_with_parent = null
  where r.id = p_run.id
  returning *
  into v_run;

  perform quantumflow._start_ready(v_run, p_now);
  perform quantumflow._show_queued(v_run, p_now);
end
$_resume$;

comment on function quantumflow._resume(quantumflow.workflow_runs, timestamptz) is
'Lets a run go on that is paused, which the caller holds FOR UPDATE.

Errors: QF401 a queue is gone; QF403 it is somebody else''s.';

create function quantumflow._hold_queued(p_run_id uuid)
returns boolean
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_hold_queued$
declare
  v_batch record;
begin
  for v_batch in
    select t.queue, array_agg(t.message_id order by t.message_id) as msg_ids
    from quantumflow.step_tasks t
    where t.run_id = p_run_id
      and t.status in ('queued', 'started')
    group by t.queue
    order by t.queue
  loop
    if quantumflow._hold_queue(v_batch.queue) is not null
      and cardinality(quantumflow._lock_messages(v_batch.queue, v_batch.msg_ids, 'infinity')) < cardinality(v_batch.msg_ids)
    then
      return false;
    end if;
  end loop;

  return true;
end
$_hold_queued$;

comment on function quantumflow._hold_queued(uuid) is
'Tries to lock the messages of a run''s live tasks, without waiting; false where somebody holds one: who claims it parks it when this is over.';

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
      select l.command, l.signals, l.settled and l.timeout is not null as may_time_out
      from quantumflow.workflow_steps l
      where (l.workflow_slug, l.version, l.step_slug) = (p_run.workflow_slug, p_run.version, t.step_slug)
      limit 1
    ) w
    where t.run_id = p_run.id
      -- What waits for a child may have run out of time meanwhile.
      and (t.status = 'queued' or (t.status = 'started' and w.may_time_out))
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
