-- The tasks that no worker is given. Each is a row and a message as any other, in a queue of their own; when the message becomes visible,
-- settle() ends the task, or starts its child and lets it wait for that. queued_at is when that is to be: a sleep's end, a wait's deadline,
-- infinity where it has none.

create function quantumflow._make_settled_tasks(p_steps quantumflow._step_ref[], p_first int, p_last int, p_now timestamptz)
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
      p_task_index => i.task_index,
      p_item_value => i.item_value,
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
    select l.started_at, l.headers, l.retries
    from quantumflow.workflow_runs l
    where l.id = k.run_id
    limit 1
  ) r
  cross join lateral (
    select l.command, l.timeout, l.queue, l.gathers, l.sleep_for, l.sleep_until, l.signals, l.child_flow, l.max_children
    from quantumflow.workflow_steps l
    where (l.workflow_slug, l.version, l.step_slug) = (k.workflow_slug, k.version, k.step_slug)
    limit 1
  ) w
  cross join lateral (select greatest(p_now, r.started_at) as begins_at) b
  -- Of a map of children so many go on at once; the others wait until one of these is done.
  cross join lateral (
    select 0 as task_index, null::jsonb as item_value, false as has_to_wait
    where w.max_children is null
    union all
    select m.task_index, m.item, m.before + row_number() over (order by m.task_index) > w.max_children
    from (
      select (e.n - 1)::int + coalesce(p_first, 0) as task_index, e.item, quantumflow._waiting_before(k, p_first) as before
      from jsonb_array_elements(
        case when w.max_children is null then '[]' else quantumflow._map_items(k, p_first, p_last, 1) end) with ordinality e (item, n)
    ) m
    where case
      when r.retries > 0 then not exists (
        select
        from quantumflow.step_tasks t
        where (t.run_id, t.step_slug, t.task_index) = (k.run_id, k.step_slug, m.task_index)
        offset 0
      )
      else true
    end
  ) i
  -- What is no moment is due at once, and fails then.
  cross join lateral (
    select case
      when i.has_to_wait then 'infinity'
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

comment on function quantumflow._make_settled_tasks(quantumflow._step_ref[], int, int, timestamptz) is
'Makes the tasks of steps that are settled, of maps only those from p_first to p_last, unless these are null; returns what has no queue. The caller holds the runs, so that a signal that is sent in the same
instant finds the wait, or is found by it.';

create function quantumflow._waiting_before(p_step quantumflow._step_ref, p_first int)
returns bigint
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_waiting_before$
begin
  if coalesce(p_first, 0) = 0 then
    return 0;
  end if;

  return (
    select count(*)
    from quantumflow.step_tasks t
    where (t.run_id, t.step_slug) = (p_step.run_id, p_step.step_slug)
      and t.status <> 'completed'
  );
end
$_waiting_before$;

comment on function quantumflow._waiting_before(quantumflow._step_ref, int) is
'How many tasks of a map that is to start were made in portions before this one; those that a retry kept are done.';

create function quantumflow._make_settled_in_portions(p_steps quantumflow._step_ref[], p_portion int, p_now timestamptz)
returns quantumflow._new_task[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_make_settled_in_portions$
declare
  v_step     quantumflow._step_ref;
  v_tasks    int;
  v_stranded quantumflow._new_task[];
begin
  foreach v_step in array p_steps loop
    select s.initial_tasks
    into v_tasks
    from quantumflow.step_states s
    where (s.run_id, s.step_slug) = (v_step.run_id, v_step.step_slug);

    for v_first in 0 .. v_tasks - 1 by p_portion loop
      v_stranded := v_stranded || quantumflow._make_settled_tasks(array[v_step], v_first, v_first + p_portion - 1, p_now);
    end loop;
  end loop;

  return v_stranded;
end
$_make_settled_in_portions$;

comment on function quantumflow._make_settled_in_portions(quantumflow._step_ref[], int, timestamptz) is
'Makes the tasks of steps that are settled and have many, p_portion at a time; returns what has no queue.';

create function quantumflow._children_that_may_go(p_run_id uuid, p_step_slug text)
returns int
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_children_that_may_go$
begin
  return (
    select greatest(w.max_children - count(t.task_index), 0)::int
    from quantumflow.workflow_runs r
    join quantumflow.workflow_steps w
      on (w.workflow_slug, w.version, w.step_slug) = (r.workflow_slug, r.version, p_step_slug)
    left join quantumflow.step_tasks t
      on (t.run_id, t.step_slug) = (r.id, w.step_slug)
      and (t.status = 'started' or (t.status = 'queued' and t.queued_at < 'infinity'))
    where r.id = p_run_id
    group by w.max_children
  );
end
$_children_that_may_go$;

comment on function quantumflow._children_that_may_go(uuid, text) is
'How many more children of a map may go than do. The caller holds the step.';

create function quantumflow._let_children_go(p_run_id uuid, p_step_slug text, p_tasks int, p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_let_children_go$
declare
  v_from    int;
  v_next    int;
  v_tids    tid[];
  v_msg_ids bigint[];
  v_vt      timestamptz;
begin
  select coalesce(s.next_child, 0), case r.status when 'paused' then 'infinity' else p_now end
  into v_from, v_vt
  from quantumflow.step_states s
  join quantumflow.workflow_runs r
    on r.id = s.run_id
  where (s.run_id, s.step_slug) = (p_run_id, p_step_slug)
    and s.status = 'started'
    and r.status in ('started', 'paused');

  -- Who reports one by hand may hold it: then the one after it goes.
  select array_agg(k.tid), array_agg(k.message_id)
  into v_tids, v_msg_ids
  from (
    select t.ctid as tid, t.message_id
    from quantumflow.step_tasks t
    where (t.run_id, t.step_slug) = (p_run_id, p_step_slug)
      and t.task_index >= v_from
      and t.status = 'queued'
      and t.queued_at = 'infinity'
    order by t.task_index
    limit p_tasks
    for update skip locked
  ) k;

  if v_tids is null then
    return;
  end if;

  update quantumflow.step_tasks t
  set queued_at = p_now
  where t.run_id is not distinct from p_run_id
    and t.ctid = any (v_tids);

  select min(k.task_index)
  into v_next
  from (
    select t.task_index
    from quantumflow.step_tasks t
    where (t.run_id, t.step_slug) = (p_run_id, p_step_slug)
      and t.task_index >= v_from
      and t.status = 'queued'
      and t.queued_at = 'infinity'
    order by t.task_index
    limit 1
  ) k;

  update quantumflow.step_states s
  set next_child = coalesce(v_next, s.initial_tasks)
  where (s.run_id, s.step_slug) = (p_run_id, p_step_slug);

  perform quantumflow._notify(quantumflow._system_queue(), array[quantumflow._lane_of_children()], p_now);
  perform quantumflow._set_vt(quantumflow._system_queue(), v_msg_ids, array_fill(v_vt, array[cardinality(v_msg_ids)]));
end
$_let_children_go$;

comment on function quantumflow._let_children_go(uuid, text, int, timestamptz) is
'Lets the next tasks of a map of children go, that had to wait until so many others were done. The caller holds the step and the run. Nobody but who
holds a task moves the message of one that waits.';

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
