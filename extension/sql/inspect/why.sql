create type quantumflow.reason as (
  workflow_slug text,
  step_slug     text,
  command       text,
  tasks         bigint,
  reason        text,
  since         timestamptz,
  until         timestamptz,
  detail        text
);

comment on type quantumflow.reason is 'What tasks of a step wait for, or who works on them.';
comment on column quantumflow.reason.workflow_slug is 'The workflow.';
comment on column quantumflow.reason.step_slug is 'The step; null of what is so of the whole run.';
comment on column quantumflow.reason.command is 'The command of the step.';
comment on column quantumflow.reason.tasks is 'How many tasks; null for a step that has none yet.';
comment on column quantumflow.reason.reason is
'running, held by a silent worker, waits for a free worker, no live worker has its command, no live worker serves its queue,
its queue is gone, left to other code, could not be settled, waits before its next attempt, waits for a signal, waits for a child, not due yet, waits to be settled, paused,
waits for a limit, waits for its turn, waits for steps, skipped; of a run that has ended: completed,
failed, cancelled.';
comment on column quantumflow.reason.since is 'Since when it has been so of one of these tasks; null where it is not known.';
comment on column quantumflow.reason.until is
'When that changes by itself, of the first of them: the deadline of what runs, the end of a silent worker''s lease, when what waits for a time is due. Null: it does not, or it is not known.';
comment on column quantumflow.reason.detail is 'By whom, what is paused, by whom and why, how many are ahead, the last error, which signals, which steps: what else is known.';

create type quantumflow._live_task as (
  run_id        uuid,
  workflow_slug text,
  step_slug     text,
  command       text,
  queue         text,
  message_id    bigint,
  due_at        timestamptz,
  reason        text,
  since         timestamptz,
  until         timestamptz,
  worker        text,
  attempts      int,
  max_attempts  int,
  error_message text,
  awaited       text,
  task_index    int,
  limited       text,
  paused        text
);

comment on type quantumflow._live_task is 'A task that is not done, and the reason for which it is not; what is paused, if that is it.';

create function quantumflow.why(run_id uuid default null, only_stuck boolean default false)
returns setof quantumflow.reason
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $why$
declare
  v_now timestamptz := quantumflow._now();
begin
  if why.run_id is not null then
    perform quantumflow.run_input(why.run_id);
  end if;

  return query
  select r.*
  from (
    select *
    from quantumflow._reasons_of_tasks(why.run_id, v_now)
    union all
    select *
    from quantumflow._reasons_of_steps(why.run_id)
    where why.run_id is not null
  ) r
  cross join lateral (
    select array_position(
      array[
        'its queue is gone', 'no live worker serves its queue', 'no live worker has its command', 'left to other code',
        'could not be settled', 'held by a silent worker', 'waits to be settled', 'waits for a free worker', 'waits before its next attempt',
        'paused', 'waits for its turn', 'waits for a limit', 'running', 'waits for a signal', 'waits for a child', 'not due yet', 'waits for steps', 'skipped'
      ],
      r.reason) as place
  ) k
  where not why.only_stuck
    or k.place <= 6
  order by k.place, r.since nulls last, r.workflow_slug, r.step_slug;
end
$why$;

comment on function quantumflow.why(uuid, boolean) is
'Why a run goes on, or does not: a row for each step and reason, the worst first. Without a run: of all that wait or run, by workflow, step,
command and reason.

only_stuck: only what does not go on until somebody does something, or until a lease has run out. Without a run it looks at the 10,000 messages of
each queue that have been due longest. A worker is silent that has stopped, or was not seen for a minute.

Errors: QF201 unknown run.';

create function quantumflow._reasons_of_tasks(p_run_id uuid, p_now timestamptz)
returns setof quantumflow.reason
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_reasons_of_tasks$
begin
  return query
  select
    g.workflow_slug, g.step_slug, g.command, g.tasks, g.reason, g.since, g.until,
    case g.reason
      when 'running' then concat_ws(': ', g.workers, quantumflow._progress_text(quantumflow._told_progress(g.run_id, g.step_slug, g.task_index)))
      when 'held by a silent worker' then g.workers
      when 'waits for a free worker' then quantumflow._crowd(g.queue, g.command, g.first_due_at, p_now)
      when 'waits before its next attempt' then format('attempt %s of %s; the last: %s', g.attempts + 1, g.max_attempts, g.error_message)
      when 'left to other code' then g.error_message
      when 'could not be settled' then g.error_message
      when 'waits to be settled' then 'by a worker, settle() or sweep()'
      when 'waits for a signal' then g.awaited
      when 'waits for a child' then g.awaited
      when 'waits for a limit' then g.limited
      when 'paused' then g.paused
      when 'no live worker has its command' then 'queue ' || g.queue
      when 'no live worker serves its queue' then 'queue ' || g.queue
      when 'its queue is gone' then 'queue ' || g.queue
    end
  from (
    select
      t.workflow_slug, t.step_slug, t.command, t.queue, t.reason, count(*) as tasks, min(t.since) as since, min(t.until) as until,
      min(t.due_at) as first_due_at, max(t.attempts) as attempts, max(t.max_attempts) as max_attempts,
      min(t.error_message) as error_message, quantumflow._some_of(array_agg(distinct t.awaited)) as awaited,
      quantumflow._some_of(array_agg(distinct t.limited)) as limited,
      quantumflow._some_of(array_agg(distinct t.paused)) as paused,
      quantumflow._some_of(array_agg(distinct t.worker)) as workers,
      -- Of one task, since there is one line.
      case when count(*) = 1 then min(t.task_index) end as task_index, (array_agg(t.run_id))[1] as run_id
    from quantumflow._live_tasks(p_run_id, p_now) t
    group by t.workflow_slug, t.step_slug, t.command, t.queue, t.reason
  ) g;
end
$_reasons_of_tasks$;

comment on function quantumflow._reasons_of_tasks(uuid, timestamptz) is 'why(): of tasks, grouped. p_run_id: null for all runs.';

create function quantumflow._some_of(p_names text[])
returns text
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_some_of$
declare
  v_names text[] := array_remove(p_names, null);
begin
  return nullif(
    array_to_string(v_names[1:5], ', ')
      || case when cardinality(v_names) > 5 then format(' and %s more', cardinality(v_names) - 5) else '' end,
    '');
end
$_some_of$;

comment on function quantumflow._some_of(text[]) is 'At most five names, and how many more there are; null if there is none.';

create function quantumflow._live_tasks(p_run_id uuid, p_now timestamptz)
returns setof quantumflow._live_task
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_live_tasks$
begin
  return query
  with tasks as (
    select t.*
    from quantumflow.step_tasks t
    where t.run_id = p_run_id
      and t.status in ('queued', 'started')
    union all
    select t.*
    from quantumflow._tasks_due_longest() t
    where p_run_id is null
  ),
  named as (
    select
      t.run_id, t.task_index, r.workflow_slug, r.status as run_status, r.paused_at, t.step_slug, w.command, w.counts, t.queue, t.message_id, t.status,
      t.queued_at, t.started_at, t.started_at + w.timeout as deadline, t.attempts, t.losses, w.max_attempts, t.error_message,
      t.worker_id, w.settled, l.turn_at, l.limited,
      coalesce(array_to_string(w.signals, ' or '), format('run %s', c.id || ' of ' || w.child_flow)) as awaited,
      w.signals is not null as is_wait, s.started_at as waits_since
    from tasks t
    cross join lateral (
      select l.workflow_slug, l.version, l.status, l.paused_at
      from quantumflow.workflow_runs l
      where l.id = t.run_id
      limit 1
    ) r
    cross join lateral (
      select l.command, l.counts, l.timeout, l.max_attempts, l.settled, l.signals, l.child_flow
      from quantumflow.workflow_steps l
      where (l.workflow_slug, l.version, l.step_slug) = (r.workflow_slug, r.version, t.step_slug)
      limit 1
    ) w
    left join lateral (
      select l.id
      from quantumflow.workflow_runs l
      where (l.parent_run_id, l.parent_step_slug, l.parent_task_index) = (t.run_id, t.step_slug, t.task_index)
        and w.child_flow is not null
      order by l.parent_retries desc
      limit 1
    ) c on true
    left join lateral (
      select l.started_at
      from quantumflow.step_states l
      where (l.run_id, l.step_slug) = (t.run_id, t.step_slug)
        and w.signals is not null
      limit 1
    ) s on true
    left join lateral (
      select k.turn_at, concat_ws(' ', k.limit_name, nullif(k.limit_key, '')) as limited
      from quantumflow._limit_waits k
      where t.limit_key is not null
        and t.status = 'queued'
        and (k.run_id, k.step_slug, k.task_index) = (t.run_id, t.step_slug, t.task_index)
        and (k.let_go_at is null or k.let_go_at > p_now)
      limit 1
    ) l on true
  ),
  served as materialized (
    select n.queue, n.command, s.*
    from (
      select distinct o.queue, o.command
      from named o
    ) n
    cross join lateral quantumflow._service(n.queue, n.command, p_now) s
  )
  select
    n.run_id, n.workflow_slug, n.step_slug, n.command, n.queue, n.message_id, n.queued_at,
    k.reason,
    case k.reason
      when 'running' then n.started_at
      when 'waits for a child' then n.started_at
      when 'held by a silent worker' then o.last_seen_at
      when 'paused' then p.paused_at
      when 'not due yet' then null
      when 'waits for a signal' then n.waits_since
      when 'waits before its next attempt' then null
      else n.queued_at
    end,
    case k.reason
      when 'running' then n.deadline
      when 'waits for a child' then n.deadline
      when 'held by a silent worker' then quantumflow._lease_until(n.queue, n.message_id)
      when 'not due yet' then nullif(n.queued_at, 'infinity')
      when 'waits for a signal' then nullif(n.queued_at, 'infinity')
      when 'could not be settled' then quantumflow._lease_until(n.queue, n.message_id)
      when 'waits for a limit' then n.turn_at
      when 'waits before its next attempt' then n.queued_at
    end,
    case when n.status = 'started' then coalesce(o.name, n.worker_id::text) end,
    n.attempts - n.losses, n.max_attempts, n.error_message, n.awaited, n.task_index, n.limited, p.what
  from named n
  join served s
    on (s.queue, s.command) = (n.queue, n.command)
  left join quantumflow.workers o
    on o.worker_id = n.worker_id
    and n.status = 'started'
  -- What a person paused first of all that is paused.
  left join lateral (
    select l.paused_at, l.what
    from (
      select k.paused_at, k.kind || format(' %s, by %s', k.name, coalesce(k.on_behalf_of, k.paused_by)) || coalesce(': ' || k.reason, '') as what
      from quantumflow.pauses k
      where not n.settled
        and k.name = case k.kind when 'queue' then n.queue when 'workflow' then n.workflow_slug else n.command end
      union all
      select n.paused_at, 'run'
      where n.run_status = 'paused'
        and n.counts
    ) l
    order by l.paused_at
    limit 1
  ) p
    on n.status = 'queued'
  cross join lateral (
    select case
      when n.settled and n.status = 'started' then 'waits for a child'
      when n.status = 'started' and (o.stopped_at is not null or quantumflow._is_silent(o.last_seen_at, p_now)) then 'held by a silent worker'
      when n.status = 'started' then 'running'
      when p.what is not null then 'paused'
      when not s.is_there then 'its queue is gone'
      when starts_with(n.error_message, 'left to other code') then 'left to other code'
      when n.settled and starts_with(n.error_message, 'could not be settled') then 'could not be settled'
      when n.settled and n.queued_at > p_now and n.is_wait then 'waits for a signal'
      when n.settled and n.queued_at <= p_now then 'waits to be settled'
      when n.queued_at > p_now and n.attempts > n.losses then 'waits before its next attempt'
      when n.queued_at > p_now then 'not due yet'
      when n.limited is not null then 'waits for a limit'
      when s.serve_queue = 0 then 'no live worker serves its queue'
      when s.have_command = 0 then 'no live worker has its command'
      else 'waits for a free worker'
    end as reason
  ) k;
end
$_live_tasks$;

comment on function quantumflow._live_tasks(uuid, timestamptz) is
'The tasks that are queued or started, of a run, or of the messages that have been due longest, and the reason.';

create function quantumflow._service(p_queue text, p_command text, p_now timestamptz)
returns table (is_there boolean, serve_queue int, have_command int, slots int, free_slots int)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_service$
begin
  return query
  select
    quantumflow._hold_queue(p_queue) is not null,
    count(*)::int,
    (count(*) filter (where k.has_command))::int,
    (sum(w.slots) filter (where k.has_command))::int,
    (sum(greatest(w.slots - w.running, 0)) filter (where k.has_command))::int
  from quantumflow.workers w
  cross join lateral (
    select w.commands is null or p_command = any (w.commands) as has_command
  ) k
  where w.stopped_at is null
    and not quantumflow._is_silent(w.last_seen_at, p_now)
    and p_queue = any (w.queues);
end
$_service$;

comment on function quantumflow._service(text, text, timestamptz) is
'Who serves a command of a queue: whether the queue is there, and of the workers seen in the last minute how many serve it, and how many of these
have the command; how many tasks these can have at once, and how many more, null where none of them says so.';

create function quantumflow._lease_until(p_queue text, p_msg_id bigint)
returns timestamptz
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_lease_until$
declare
  v_until timestamptz;
begin
  if quantumflow._hold_queue(p_queue) is null then
    return null;
  end if;

  execute format('select q.vt from pgmq.%I q where q.msg_id = $1', 'q_' || p_queue)
  using p_msg_id
  into v_until;

  return v_until;
end
$_lease_until$;

comment on function quantumflow._lease_until(text, bigint) is 'When a message becomes visible; null if it is gone, or its queue is.';

create function quantumflow._crowd(p_queue text, p_command text, p_due_at timestamptz, p_now timestamptz)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_crowd$
declare
  v_ahead int;
begin
  if quantumflow._hold_queue(p_queue) is null then
    return null;
  end if;

  execute format(
    $$
    select count(*)
    from (
      select
      from pgmq.%I q
      where %s = hashtext($1)
        and q.vt < $2
      limit 10000
    ) a
    $$,
    'q_' || p_queue, quantumflow._lane())
  using p_command, least(p_due_at, p_now)
  into v_ahead;

  return (
    select format('%s ahead; %s worker%s', v_ahead, s.have_command, case when s.have_command <> 1 then 's' end)
      || case when s.slots is not null then format(', %s slots, %s free', s.slots, s.free_slots) else '' end
    from quantumflow._service(p_queue, p_command, p_now) s);
end
$_crowd$;

comment on function quantumflow._crowd(text, text, timestamptz, timestamptz) is
'How many tasks of a command, 10,000 at most, are before the one that is due at that time, and how many workers there are for them.';

create function quantumflow._tasks_due_longest()
returns setof quantumflow.step_tasks
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_tasks_due_longest$
declare
  v_queue text;
begin
  for v_queue in
    select *
    from quantumflow._known_queues()
  loop
    return query execute format(
      $$
      select t.*
      from (
        select o.*
        from unnest($1) l (lane)
        cross join lateral (
          select q.msg_id, q.vt, q.message
          from pgmq.%I q
          where %s = hashtext(l.lane)
            and quantumflow._command_of(q.message) = l.lane
          order by q.vt
          limit 10000
        ) o
        order by o.vt
        limit 10000
      ) m
      cross join lateral quantumflow._task_of(m.message, m.msg_id) t
      where t.status in ('queued', 'started')
      $$,
      'q_' || v_queue, quantumflow._lane())
    using quantumflow._lanes_of(v_queue);
  end loop;
end
$_tasks_due_longest$;

comment on function quantumflow._tasks_due_longest() is
'The tasks of the 10,000 messages of each queue that have been due longest, or will be soonest.';

create function quantumflow._reasons_of_steps(p_run_id uuid)
returns setof quantumflow.reason
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_reasons_of_steps$
begin
  return query
  select
    r.workflow_slug::text, s.step_slug::text, w.command, null::bigint, 'waits for steps', null::timestamptz, null::timestamptz,
    (
      select string_agg(d.depends_on_step, ', ' order by x.step_index)
      from quantumflow.step_dependencies d
      join quantumflow.step_states k
        on (k.run_id, k.step_slug) = (d.run_id, d.depends_on_step)
      join quantumflow.workflow_steps x
        on (x.workflow_slug, x.version, x.step_slug) = (r.workflow_slug, r.version, d.depends_on_step)
      where (d.run_id, d.step_slug) = (s.run_id, s.step_slug)
        and k.status in ('created', 'started')
    )
  from quantumflow.workflow_runs r
  join quantumflow.step_states s
    on s.run_id = r.id
  join quantumflow.workflow_steps w
    on (w.workflow_slug, w.version, w.step_slug) = (r.workflow_slug, r.version, s.step_slug)
  where r.id = p_run_id
    and r.status in ('started', 'paused')
    and s.status = 'created'
  union all
  select
    r.workflow_slug, null, null, null, 'waits for its turn', r.paused_at, null,
    concat_ws(' ', 'after run', (
      select o.run_id::text
      from quantumflow._run_turns o
      where (o.workflow_slug, o.turn_key) = (t.workflow_slug, t.turn_key)
        and o.holds
    ), 'of the same key', nullif(t.turn_key, ''))
  from quantumflow.workflow_runs r
  join quantumflow._run_turns t
    on t.run_id = r.id
    and not t.holds
  where r.id = p_run_id
    and r.status = 'paused'
  union all
  select
    r.workflow_slug, s.step_slug, w.command, null, 'skipped', s.skipped_at, null,
    case s.skip_reason
      when 'condition' then 'its condition was false: ' || w.condition
      else format('not enough of its dependencies completed: it joins %s of them', w.joins)
    end
  from quantumflow.workflow_runs r
  join quantumflow.step_states s
    on s.run_id = r.id
  join quantumflow.workflow_steps w
    on (w.workflow_slug, w.version, w.step_slug) = (r.workflow_slug, r.version, s.step_slug)
  where r.id = p_run_id
    and s.skip_reason is not null
  union all
  select
    r.workflow_slug, null, null, null, r.status, coalesce(r.completed_at, r.failed_at, r.cancelled_at), null, r.error_message
  from quantumflow.workflow_runs r
  where r.id = p_run_id
    and r.status in ('completed', 'failed', 'cancelled');
end
$_reasons_of_steps$;

comment on function quantumflow._reasons_of_steps(uuid) is
'why(): of steps whose turn has not come, or that were skipped, and of a run that has ended.';
