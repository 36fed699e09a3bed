-- The deadline of a run is a task of it that nobody works on: settle() fails the run when its time comes. It is made with the run, and anew
-- when that is retried, and ends with it.

create function quantumflow._make_deadlines(p_run_ids uuid[], p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_make_deadlines$
declare
  v_tasks quantumflow._new_task[];
begin
  select array_agg(
    quantumflow._new_task_of(
      p_run_id => r.id,
      p_step_slug => w.step_slug,
      p_task_index => r.retries,
      p_item_value => null,
      p_workflow_slug => r.workflow_slug,
      p_version => r.version,
      p_gathers => w.gathers,
      p_command => w.command,
      p_timeout => w.timeout,
      p_queue => w.queue,
      p_ready_at => greatest(p_now, r.started_at) + w.timeout,
      p_vt => greatest(p_now, r.started_at) + w.timeout,
      p_headers => r.headers))
  into v_tasks
  from unnest(p_run_ids) u (run_id)
  cross join lateral (
    select l.*
    from quantumflow.workflow_runs l
    where l.id = u.run_id
    limit 1
  ) r
  cross join lateral (
    select l.step_slug, l.gathers, l.command, l.timeout, l.queue
    from quantumflow.workflow_steps l
    where (l.workflow_slug, l.version, l.step_slug) = (r.workflow_slug, r.version, '_run_timeout')
    limit 1
  ) w
  where r.status in ('started', 'paused');

  if quantumflow._queue_settled(v_tasks, p_now) is not null then
    perform quantumflow._raise_unusable_queue(quantumflow._system_queue());
  end if;
end
$_make_deadlines$;

comment on function quantumflow._make_deadlines(uuid[], timestamptz) is
'Makes the deadlines of those of these runs that go on and whose version has a run_timeout: so long after the run begins, or after now.

Errors: QF401 the queue is gone; QF403 it is somebody else''s.';
