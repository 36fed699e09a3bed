-- The tasks that no worker is given. Each is a row and a message as any other, in a queue of their own; when the message becomes visible,
-- settle() ends the task, or starts its child and lets it wait for that. queued_at is when that is to be: a sleep's end, a wait's deadline,
-- infinity where it has none.

create function quantumflow._make_settled_tasks(p_steps quantumflow._step_ref[], p_now timestamptz)
returns quantumflow._new_task[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_make_settled_tasks$
declare
  v_tasks quantumflow._new_task[];
begin
  select array_agg(
    quantumflow._new_task_of(
      p_run_id => k.run_id,
      p_step_slug => k.step_slug,
      p_task_index => 0,
      p_item_value => null,
      p_workflow_slug => k.workflow_slug,
      p_version => k.version,
      p_gathers => w.gathers,
      p_command => w.command,
      p_timeout => w.timeout,
      p_queue => w.queue,
      p_ready_at => d.due_at,
      p_vt => greatest(
        b.begins_at,
        case when w.signals is not null and quantumflow._has_signal(k.run_id, w.signals) then p_now else d.due_at end),
      p_headers => r.headers))
  into v_tasks
  from unnest(p_steps) k
  cross join lateral (
    select l.started_at, l.headers
    from quantumflow.workflow_runs l
    where l.id = k.run_id
    limit 1
  ) r
  cross join lateral (
    select l.command, l.timeout, l.queue, l.gathers, l.sleep_for, l.sleep_until, l.signals, l.child_flow
    from quantumflow.workflow_steps l
    where (l.workflow_slug, l.version, l.step_slug) = (k.workflow_slug, k.version, k.step_slug)
    limit 1
  ) w
  cross join lateral (select greatest(p_now, r.started_at) as begins_at) b
  -- What is no moment is due at once, and fails then.
  cross join lateral (
    select case
      when w.child_flow is not null then b.begins_at
      when w.sleep_for is not null then b.begins_at + w.sleep_for
      when w.sleep_until is not null then coalesce(quantumflow._sleeps_until(k.run_id, k.step_slug), b.begins_at)
      else coalesce(b.begins_at + w.timeout, 'infinity')
    end as due_at
    offset 0
  ) d;

  return quantumflow._queue_settled(v_tasks, p_now);
end
$_make_settled_tasks$;

comment on function quantumflow._make_settled_tasks(quantumflow._step_ref[], timestamptz) is
'Makes the tasks of steps that are settled; returns what has no queue. The caller holds the runs, so that a signal that is sent in the same
instant finds the wait, or is found by it.';

create function quantumflow._queue_settled(p_tasks quantumflow._new_task[], p_now timestamptz)
returns quantumflow._new_task[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_queue_settled$
declare
  v_queue text := quantumflow._system_queue();
begin
  -- Who settles asks when something is due next, and asks again after 5 s: of what is due before he has to be told.
  if quantumflow._hold_queue(v_queue) is not null
    and exists (select from unnest(p_tasks) t where t.vt > p_now and t.vt <= p_now + interval '5 s')
  then
    perform quantumflow._notify(v_queue, array(select distinct t.command from unnest(p_tasks) t), p_now);
  end if;

  return (quantumflow._queue_tasks(p_tasks)).stranded;
end
$_queue_settled$;

comment on function quantumflow._queue_settled(quantumflow._new_task[], timestamptz) is
'Makes tasks that are settled, as _queue_tasks does, and wakes workers for what is due within the next seconds.';
