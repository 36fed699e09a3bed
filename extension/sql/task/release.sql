create function quantumflow.release_tasks(tasks jsonb)
returns int
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $release_tasks$
declare
  v_now      timestamptz := quantumflow._now();
  v_held     quantumflow._held_task[];
  v_batch    record;
  v_odd      text;
  v_released int := 0;
begin
  v_held := quantumflow._hold_reported(quantumflow._checked_array(release_tasks.tasks, 'tasks'), 'release');

  for v_odd in
    select quantumflow._oddness_of(release_tasks.tasks -> h.ord)
    from unnest(v_held) h
    where h.outcome = 'odd'
    order by h.ord
  loop
    raise warning 'a task is not handed back: %', v_odd;
  end loop;

  if (quantumflow._hold_runs(quantumflow._runs_of(v_held), 'key share')).changed is not null then
    v_held := quantumflow._as_their_runs_are(v_held);
  end if;

  if exists (select from unnest(v_held) h where h.outcome = 'run_ended') then
    perform quantumflow._cancel_late(v_held);
  end if;

  for v_batch in
    with released as (
      update quantumflow.step_tasks t
      set
        status = 'queued',
        attempts = t.attempts - 1,
        lease_token = null,
        worker_id = null,
        started_at = null,
        error_message = coalesce(
          quantumflow._cut('left to other code: ' || (release_tasks.tasks -> h.ord ->> 'reason')), t.error_message)
      from unnest(v_held) h
      where h.outcome = 'acts'
        and h.status = 'started'
        and t.run_id is not distinct from h.run_id
        and t.ctid = h.tid
      returning
        t.queue,
        t.message_id,
        (
          select w.command
          from quantumflow.workflow_steps w
          where (w.workflow_slug, w.version, w.step_slug) = (h.workflow_slug, h.version, h.step_slug)
        ) as command,
        case
          when h.run_status = 'paused' then 'infinity'
          when release_tasks.tasks -> h.ord ->> 'reason' is not null then quantumflow._left_until(t.queued_at, v_now)
          else t.queued_at - make_interval(secs => (
            select r.priority from quantumflow.workflow_runs r where r.id = t.run_id))
        end as vt
    )
    select
      r.queue, array_agg(r.message_id) as msg_ids, array_agg(r.vt) as vts,
      array_agg(distinct r.command) as commands
    from released r
    group by r.queue
    order by r.queue
  loop
    if v_now >= any (v_batch.vts) and quantumflow._hold_queue(v_batch.queue) is not null then
      perform quantumflow._notify(v_batch.queue, v_batch.commands, v_now);
    end if;

    perform quantumflow._redelay(v_batch.queue, v_batch.msg_ids, v_batch.vts);
    v_released := v_released + cardinality(v_batch.msg_ids);
  end loop;

  perform quantumflow._leave_limits_of(array(select h from unnest(v_held) h where h.limit_key is not null), v_now);

  return v_released;
end
$release_tasks$;

comment on function quantumflow.release_tasks(jsonb) is
'Hands back claimed tasks that were not begun: they can be claimed again at once, from their old place in the queue, and the
attempt does not count.

tasks: an array of {"run_id", "step_slug", "task_index", "lease_token", "reason"}; those whose lease is not the caller''s any more are
left alone, and so are those with a key that nobody knows, of which a warning tells. Returns how many were handed back.

reason, a text, is for code that cannot do the task, though it has a handler for its command: the run is of another version of the
workflow, say. Such a task is left to other code: it can be claimed again after an eighth of the time since it was queued, between 0.1
and 60 s, and at once when a worker with its command registers. Until it is done its error_message is "left to other code: ", and the reason.

Errors: QF301 tasks is no array.';

create function quantumflow._left_until(p_queued_at timestamptz, p_now timestamptz)
returns timestamptz
language sql
immutable
set search_path = pg_catalog, pg_temp
as $_left_until$
  select p_now + greatest(interval '100 ms', least(interval '60 s', (p_now - p_queued_at) / 8));
$_left_until$;

comment on function quantumflow._left_until(timestamptz, timestamptz) is
'Until when a task is hidden that the code at hand cannot do: an eighth of its age, between 0.1 and 60 s. While code that can is there,
ten workers that cannot keep it from that for a few times its age; when there is none, it is tried once a minute.';
