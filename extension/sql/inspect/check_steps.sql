create function quantumflow._step_facts(p_run_id uuid)
returns table (
  run_id           uuid,
  step_slug        text,
  status           text,
  remaining_deps   int,
  remaining_tasks  int,
  initial_tasks    int,
  failed_tasks     int,
  fell_back        boolean,
  run_status       text,
  workflow_slug    text,
  version          int,
  open_deps        int,
  tasks            int,
  completed        int,
  failed           int,
  last_index       int,
  deps_can_be_set  boolean,
  tasks_can_be_set boolean
)
language sql
stable
begin atomic
  -- A run's steps are put together first, and once: by the names of steps alone, which many workflows have, nothing is to be joined.
  with step as materialized (
    select
      s.run_id, s.step_slug, s.status, s.remaining_deps, s.remaining_tasks, s.initial_tasks, s.failed_tasks,
      s.status = 'completed' and s.error_message is not null as fell_back, r.status as run_status, r.workflow_slug, r.version
    from quantumflow.step_states s
    join quantumflow.workflow_runs r
      on r.id = s.run_id
    where p_run_id is null
      or s.run_id = p_run_id
  )
  select
    s.run_id,
    s.step_slug,
    s.status,
    s.remaining_deps,
    s.remaining_tasks - case s.status when 'completed' then 0 else coalesce(a.counted, 0) end,
    s.initial_tasks,
    coalesce(s.failed_tasks, 0),
    s.fell_back,
    s.run_status,
    s.workflow_slug,
    s.version,
    coalesce(d.open_deps, 0),
    case when w.repeats then coalesce(k.last_index, -1) + 1 else coalesce(k.tasks, 0) end,
    e.completed,
    coalesce(k.failed, 0),
    coalesce(k.last_index, -1),
    coalesce(d.open_deps, 0) = 0 or s.status in ('created', 'skipped', 'cancelled'),
    e.completed + coalesce(s.failed_tasks, 0) <= s.initial_tasks and s.status <> 'completed'
  from step s
  join quantumflow.workflow_steps w
    on (w.workflow_slug, w.version, w.step_slug) = (s.workflow_slug, s.version, s.step_slug)
  left join (
    select
      t.run_id, t.step_slug, count(*)::int as tasks, max(t.task_index) as last_index,
      (count(*) filter (where t.status = 'completed'))::int as completed,
      max(t.task_index) filter (where t.status = 'completed') as last_completed,
      (count(*) filter (where t.status = 'failed'))::int as failed
    from quantumflow.step_tasks t
    where p_run_id is null
      or t.run_id = p_run_id
    group by t.run_id, t.step_slug
  ) k
    on (k.run_id, k.step_slug) = (s.run_id, s.step_slug)
  left join (
    select o.run_id, e.step_slug, count(*)::int as open_deps
    from step o
    join quantumflow.workflow_steps x
      on (x.workflow_slug, x.version, x.step_slug) = (o.workflow_slug, o.version, o.step_slug)
    join quantumflow.workflow_step_edges e
      on (e.workflow_slug, e.version, e.depends_on_step) = (o.workflow_slug, o.version, o.step_slug)
    -- Nearly all have ended by their status alone.
    where o.status not in ('completed', 'skipped')
      and not quantumflow._has_ended(o.status, x.goes_on)
    group by o.run_id, e.step_slug
  ) d
    on (d.run_id, d.step_slug) = (s.run_id, s.step_slug)
  left join (
    select c.run_id, c.step_slug, sum(c.initial_tasks - c.remaining_tasks)::int as counted
    from quantumflow._map_counters c
    where p_run_id is null
      or c.run_id = p_run_id
    group by c.run_id, c.step_slug
  ) a
    on (a.run_id, a.step_slug) = (s.run_id, s.step_slug)
  -- Of a loop those before the last that has ended have ended too, kept or not.
  cross join lateral (
    select case when w.repeats then coalesce(k.last_completed, -1) + 1 else coalesce(k.completed, 0) end as completed
  ) e;
end;

comment on function quantumflow._step_facts(uuid) is
'Each step of a run, null: of all, with its counters and what they should be: a recount of its tasks and of the dependencies that are not done.

remaining_deps, remaining_tasks, initial_tasks, failed_tasks: what its row says, of remaining_tasks less what is counted apart. fell_back: its
output is its fallback. open_deps: how many of its dependencies are not done. tasks: how many it has, those of a loop that are not kept too, and
how many of them are completed and failed. last_index: the last one''s task_index, -1 when it has none. deps_can_be_set, tasks_can_be_set: a step
of this status may have that many open dependencies, and that many completed tasks.';

create function quantumflow._check_steps(p_run_id uuid)
returns setof quantumflow.state_problem
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_check_steps$
begin
  return query
  -- Nearly all are as they should be.
  with facts as materialized (
    select *
    from quantumflow._step_facts(p_run_id) l
    where l.remaining_deps <> l.open_deps
      or l.remaining_tasks <> l.initial_tasks - l.completed - l.failed_tasks
      or l.failed_tasks > 0
      or l.open_deps > 0
      or l.status in ('created', 'started')
      or l.tasks <> l.initial_tasks
      or l.last_index <> l.initial_tasks - 1
  )
  select 3, f.run_id, f.step_slug, null::int, null::text, null::bigint,
    format('remaining_deps is %s but %s dependencies are not done', f.remaining_deps, f.open_deps),
    case when f.deps_can_be_set then 'recount' end
  from facts f
  where f.remaining_deps <> f.open_deps
  union all
  select 3, f.run_id, f.step_slug, null, null, null,
    format('remaining_tasks is %s of %s but %s tasks are completed', f.remaining_tasks, f.initial_tasks, f.completed)
      || case when f.failed_tasks > 0 then format(', and %s tolerated', f.failed_tasks) else '' end,
    case when f.tasks_can_be_set then 'recount' end
  from facts f
  where f.remaining_tasks <> f.initial_tasks - f.completed - f.failed_tasks
    and not f.fell_back
  union all
  select 3, f.run_id, f.step_slug, null, null, null,
    format('%s of its tasks are said to have failed and been tolerated, and %s have failed', f.failed_tasks, f.failed), null
  from facts f
  where f.failed_tasks > 0
    and f.failed_tasks <> f.failed
    and f.status in ('started', 'completed')
    and not f.fell_back
  union all
  select 6, f.run_id, f.step_slug, null, null, null, 'all dependencies are done but the step has not started', 'start it'
  from facts f
  where f.open_deps = 0
    and f.status = 'created'
    and f.run_status = 'started'
  union all
  select 6, f.run_id, f.step_slug, null, null, null,
    format('the step is %s although %s dependencies are not done', f.status, f.open_deps), null
  from facts f
  where f.open_deps > 0
    and f.status in ('started', 'completed', 'failed', 'skipped')
  union all
  select 7, f.run_id, f.step_slug, null, null, null,
    format('the step has %s of its %s tasks', f.tasks, f.initial_tasks), null
  from facts f
  where f.status in ('started', 'completed')
    and not f.fell_back
    and (f.tasks <> f.initial_tasks or f.last_index <> f.initial_tasks - 1)
  union all
  select 8, f.run_id, f.step_slug, null, null, null, 'all tasks of the step are completed but it has not ended', 'complete it'
  from facts f
  where f.status = 'started'
    and f.run_status in ('started', 'paused')
    and f.completed + f.failed_tasks = f.initial_tasks
    and f.tasks = f.initial_tasks
    and f.last_index = f.initial_tasks - 1;
end
$_check_steps$;

comment on function quantumflow._check_steps(uuid) is 'Rules 3, 6, 7 and 8 of check_state: steps and their tasks.';

create function quantumflow._check_outputs(p_run_id uuid)
returns setof quantumflow.state_problem
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
as $_check_outputs$
begin
  -- offset 0: outputs are gathered for completed maps alone, not for every step that is looked at.
  return query
  select 7, m.run_id, m.step_slug::text, null::int, null::text, null::bigint,
    format('the map''s output is not the outputs of its %s tasks in index order', m.initial_tasks), null::text
  from (
    select s.run_id, s.step_slug, s.initial_tasks, s.output
    from quantumflow.step_states s
    join quantumflow.workflow_runs r
      on r.id = s.run_id
    join quantumflow.workflow_steps w
      on (w.workflow_slug, w.version, w.step_slug) = (r.workflow_slug, r.version, s.step_slug)
      and w.gathers
    where (p_run_id is null or s.run_id = p_run_id)
      and s.status = 'completed'
      and s.error_message is null
    offset 0
  ) m
  where m.output is distinct from coalesce(quantumflow._gather_map(m.run_id, m.step_slug), '[]');
end
$_check_outputs$;

comment on function quantumflow._check_outputs(uuid) is 'Rule 7 of check_state: what maps have gathered.';

create function quantumflow._check_chunks(p_run_id uuid)
returns setof quantumflow.state_problem
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_check_chunks$
begin
  return query
  with chunked as materialized (
    select s.run_id, s.step_slug, s.initial_tasks, w.chunk_size, r.workflow_slug, r.version
    from quantumflow.step_states s
    join quantumflow.workflow_runs r
      on r.id = s.run_id
    join quantumflow.workflow_steps w
      on (w.workflow_slug, w.version, w.step_slug) = (r.workflow_slug, r.version, s.step_slug)
      and w.chunk_size is not null
    where (p_run_id is null or s.run_id = p_run_id)
      and s.status in ('started', 'completed')
      and s.error_message is null
  )
  select 7, c.run_id, c.step_slug, null::int, null::text, null::bigint,
    format('the step has %s tasks for %s items in chunks of %s', c.initial_tasks, i.items, c.chunk_size), null::text
  from chunked c
  cross join lateral (
    select jsonb_array_length(quantumflow._map_source(c.run_id, c.workflow_slug, c.version, c.step_slug)) as items
    offset 0
  ) i
  where c.initial_tasks <> ceil(i.items / c.chunk_size::numeric)
  union all
  select 7, c.run_id, c.step_slug, t.task_index, null, null,
    format('the task is %s and has %s items, in chunks of %s, and %s outputs', t.status, n.items, c.chunk_size, n.outputs), null
  from chunked c
  join quantumflow.step_tasks t
    on (t.run_id, t.step_slug) = (c.run_id, c.step_slug)
  cross join lateral (
    select
      case jsonb_typeof(t.item_value) when 'array' then jsonb_array_length(t.item_value) else 0 end as items,
      case jsonb_typeof(t.output) when 'array' then jsonb_array_length(t.output) else 0 end as outputs
  ) n
  where n.items not between 1 and c.chunk_size
    or (n.items < c.chunk_size and t.task_index < c.initial_tasks - 1)
    or (t.status = 'completed' and n.outputs <> n.items);
end
$_check_chunks$;

comment on function quantumflow._check_chunks(uuid) is 'Rule 7 of check_state: maps whose tasks have several items each.';

create function quantumflow._check_runs(p_run_id uuid)
returns setof quantumflow.state_problem
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_check_runs$
begin
  return query
  with facts as materialized (
    select
      r.id, r.status, r.remaining_steps, r.workflow_slug, r.version, r.retries, coalesce(k.open_steps, 0) as open_steps,
      r.status = 'failed' and r.parent_run_id is not null as may_be_retried
    from quantumflow.workflow_runs r
    left join (
      select s.run_id, count(*) filter (where not quantumflow._has_ended(s.status, w.goes_on)) as open_steps
      from quantumflow.step_states s
      join quantumflow.workflow_runs o
        on o.id = s.run_id
      join quantumflow.workflow_steps w
        on (w.workflow_slug, w.version, w.step_slug) = (o.workflow_slug, o.version, s.step_slug)
      -- Nearly all have ended by their status alone.
      where s.status not in ('completed', 'skipped')
        and (p_run_id is null or s.run_id = p_run_id)
      group by s.run_id
    ) k
      on k.run_id = r.id
    where p_run_id is null or r.id = p_run_id
  )
  select 3, f.id, null::text, null::int, null::text, null::bigint,
    format('remaining_steps is %s but %s steps are not done', f.remaining_steps, f.open_steps), 'recount'
  from facts f
  where f.remaining_steps <> f.open_steps
  union all
  select 8, f.id, null, null, null, null, 'the run has no step left but has not ended', 'end it'
  from facts f
  where f.open_steps = 0
    and f.status in ('started', 'paused')
  union all
  select 8, f.id, w.step_slug, f.retries, null, null, format('the run is %s but this callback was not made', f.status), 'make it'
  from facts f
  join quantumflow.workflow_steps w
    on (w.workflow_slug, w.version, w.step_slug) = (f.workflow_slug, f.version, quantumflow._callback_of(f.status))
  where not f.may_be_retried
    and not exists (
      select
      from quantumflow.step_tasks t
      where (t.run_id, t.step_slug, t.task_index) = (f.id, w.step_slug, f.retries)
    );
end
$_check_runs$;

comment on function quantumflow._check_runs(uuid) is 'Rules 3 and 8 of check_state: runs, their steps and their callbacks.';

create function quantumflow._check_limits(p_run_id uuid)
returns setof quantumflow.state_problem
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_check_limits$
begin
  return query
  select 8, t.run_id, t.step_slug, t.task_index, t.queue, t.message_id,
    format(
      '%s failures of %s and %s losses of %s',
      t.attempts - t.losses, w.max_attempts, t.losses, w.max_lost),
    null::text
  from quantumflow.step_tasks t
  join quantumflow.workflow_runs r
    on r.id = t.run_id
  join quantumflow.workflow_steps w
    on (w.workflow_slug, w.version, w.step_slug) = (r.workflow_slug, r.version, t.step_slug)
  where (p_run_id is null or t.run_id = p_run_id)
    and t.attempts > 1
    and (t.losses > w.max_lost or t.attempts - t.losses > w.max_attempts);
end
$_check_limits$;

comment on function quantumflow._check_limits(uuid) is 'Rule 8 of check_state: attempts.';
