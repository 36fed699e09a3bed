create type quantumflow.state_problem as (
  rule       int,
  run_id     uuid,
  step_slug  text,
  task_index int,
  queue      text,
  message_id bigint,
  problem    text
);

comment on type quantumflow.state_problem is
'Something that breaks a rule: which rule, what is wrong, and with which run, step, task or message.';
comment on column quantumflow.state_problem.rule is 'The rule that is broken: see check_state().';
comment on column quantumflow.state_problem.run_id is 'The run, where there is one.';
comment on column quantumflow.state_problem.step_slug is 'The step, where there is one.';
comment on column quantumflow.state_problem.task_index is 'The task, where there is one.';
comment on column quantumflow.state_problem.queue is 'The queue, where a message is concerned.';
comment on column quantumflow.state_problem.message_id is 'The msg_id of the message.';
comment on column quantumflow.state_problem.problem is 'What is wrong.';

create function quantumflow.check_state(run_id uuid default null)
returns setof quantumflow.state_problem
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $check_state$
begin
  return query
  select * from quantumflow._check_references(check_state.run_id)
  union all
  select * from quantumflow._check_ends(check_state.run_id)
  union all
  select * from quantumflow._check_messages(check_state.run_id)
  union all
  select * from quantumflow._check_counters(check_state.run_id)
  union all
  select * from quantumflow._check_order(check_state.run_id)
  union all
  select * from quantumflow._check_limits(check_state.run_id)
  order by 1, 2, 3, 4, 6;
end
$check_state$;

comment on function quantumflow.check_state(uuid) is
'Whatever breaks the rules that are always true, of one run or of all: no row means healthy. From one snapshot, so it is exact
under load too.

rule:
0 every row belongs to something (there are no foreign keys);
1 a run that ended has no queued or started task, callbacks aside, unless it is listed in _unfinished_ends;
2 every queued or started task has exactly one message, and every message such a task;
3 remaining_steps, remaining_deps and remaining_tasks equal a recount;
6 a step starts only after all its dependencies are done, and does start then;
7 a map has a task per item and, when it is completed, an output for each;
8 failures do not exceed max_attempts, nor losses max_lost, and a run with nothing left to do has ended;
9 a completed run has only steps that are done, and a run that goes on no failed or cancelled step or task.
(4 and 5, one lease a task and one output a task, are kept by the table itself.)

problem says what is wrong with the run, step, task or message that the row names.

Errors: none.';

create function quantumflow._check_references(p_run_id uuid)
returns setof quantumflow.state_problem
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_check_references$
begin
  return query
  select 0, r.id, null::text, null::int, null::text, null::bigint,
    format('its workflow "%s" has no version %s', r.workflow_slug, r.version)
  from quantumflow.workflow_runs r
  where (p_run_id is null or r.id = p_run_id)
    and not exists (
      select
      from quantumflow.workflow_versions v
      where (v.workflow_slug, v.version) = (r.workflow_slug, r.version)
    )
  union all
  select 0, r.id, w.step_slug, null, null, null, 'the run has no row for this step of its version'
  from quantumflow.workflow_runs r
  join quantumflow.workflow_steps w
    on (w.workflow_slug, w.version) = (r.workflow_slug, r.version)
    and w.step_type <> 'callback'
  where (p_run_id is null or r.id = p_run_id)
    and not exists (
      select
      from quantumflow.step_states s
      where (s.run_id, s.step_slug) = (r.id, w.step_slug)
    )
  union all
  select 0, s.run_id, s.step_slug, null, null, null, 'the step belongs to no run, or not to its version'
  from quantumflow.step_states s
  where (p_run_id is null or s.run_id = p_run_id)
    and not exists (
      select
      from quantumflow.workflow_runs r
      join quantumflow.workflow_steps w
        on (w.workflow_slug, w.version) = (r.workflow_slug, r.version)
      where r.id = s.run_id
        and w.step_slug = s.step_slug
    )
  union all
  select 0, t.run_id, t.step_slug, t.task_index, t.queue, t.message_id, 'the task belongs to no step and is no callback'
  from quantumflow.step_tasks t
  where (p_run_id is null or t.run_id = p_run_id)
    and not exists (
      select
      from quantumflow.workflow_runs r
      join quantumflow.workflow_steps w
        on (w.workflow_slug, w.version) = (r.workflow_slug, r.version)
      where r.id = t.run_id
        and w.step_slug = t.step_slug
    );
end
$_check_references$;

comment on function quantumflow._check_references(uuid) is 'Rule 0 of check_state.';

create function quantumflow._check_ends(p_run_id uuid)
returns setof quantumflow.state_problem
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_check_ends$
begin
  return query
  select 1, t.run_id, t.step_slug, t.task_index, t.queue, t.message_id,
    format('the task is %s although its run is %s', t.status, r.status)
  from quantumflow.step_tasks t
  join quantumflow.workflow_runs r
    on r.id = t.run_id
  where (p_run_id is null or t.run_id = p_run_id)
    and t.status in ('queued', 'started')
    and t.step_slug not in ('_on_complete', '_on_failure')
    and r.status in ('completed', 'failed', 'cancelled')
    and not exists (select from quantumflow._unfinished_ends e where e.run_id = t.run_id)
  union all
  select 9, t.run_id, t.step_slug, t.task_index, t.queue, t.message_id,
    format('the task is %s although its run is %s', t.status, r.status)
  from quantumflow.step_tasks t
  join quantumflow.workflow_runs r
    on r.id = t.run_id
  where (p_run_id is null or t.run_id = p_run_id)
    and t.status in ('failed', 'cancelled')
    and t.step_slug not in ('_on_complete', '_on_failure')
    and r.status in ('started', 'paused', 'completed')
  union all
  select 9, s.run_id, s.step_slug, null, null, null,
    format('the step is %s although its run is %s', s.status, r.status)
  from quantumflow.step_states s
  join quantumflow.workflow_runs r
    on r.id = s.run_id
  where (p_run_id is null or s.run_id = p_run_id)
    and (
      (r.status = 'completed' and s.status not in ('completed', 'skipped'))
      or (
        r.status in ('failed', 'cancelled')
        and s.status in ('created', 'started')
        and not exists (select from quantumflow._unfinished_ends e where e.run_id = s.run_id)
      )
      or (r.status in ('started', 'paused') and s.status in ('failed', 'cancelled'))
    );
end
$_check_ends$;

comment on function quantumflow._check_ends(uuid) is 'Rules 1 and 9 of check_state.';

create function quantumflow._check_messages(p_run_id uuid)
returns setof quantumflow.state_problem
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_check_messages$
declare
  v_queue text;
begin
  for v_queue in
    select distinct t.queue
    from quantumflow.step_tasks t
    where t.status in ('queued', 'started')
      and (p_run_id is null or t.run_id = p_run_id)
    union
    select *
    from quantumflow._known_queues()
    order by 1
  loop
    if quantumflow._queue_table(v_queue) is null then
      return query
      select 2, t.run_id, t.step_slug, t.task_index, t.queue, t.message_id, 'the task''s queue does not exist'
      from quantumflow.step_tasks t
      where t.status in ('queued', 'started')
        and (p_run_id is null or t.run_id = p_run_id)
        and t.queue = v_queue;
    else
      return query execute format(
        $$
        select 2, t.run_id, t.step_slug, t.task_index, t.queue, t.message_id,
          format('the task is %%s but its message is not in the queue', t.status)
        from quantumflow.step_tasks t
        where t.status in ('queued', 'started')
          and ($1 is null or t.run_id = $1)
          and t.queue = %1$L
          and not exists (
            select
            from pgmq.%2$I q
            where q.msg_id = t.message_id
              and q.message ->> 'workflow_run_id' = t.run_id::text
              and q.message ->> 'step_name' = t.step_slug
              and q.message ->> 'task_index' = t.task_index::text
          )
        union all
        select 2, t.run_id, m.step_slug, m.task_index, %1$L, m.msg_id,
          case
            when t.run_id is null then 'the message names no task'
            when t.message_id <> m.msg_id or t.queue <> %1$L then 'the message is not the one its task names'
            else format('the message is in the queue although its task is %%s', t.status)
          end
        from (
          select
            q.msg_id,
            q.message ->> 'workflow_run_id' as run_id,
            q.message ->> 'step_name' as step_slug,
            case
              when q.message ->> 'task_index' ~ '^[0-9]{1,9}$'
              then (q.message ->> 'task_index')::int
            end as task_index
          from pgmq.%2$I q
        ) m
        left join quantumflow.step_tasks t
          on (t.run_id::text, t.step_slug, t.task_index) = (m.run_id, m.step_slug, m.task_index)
        where ($1 is null or m.run_id = $1::text)
          and (
            t.run_id is null
            or t.message_id <> m.msg_id
            or t.queue <> %1$L
            or t.status not in ('queued', 'started')
          )
        $$,
        v_queue, 'q_' || v_queue)
      using p_run_id;
    end if;
  end loop;
end
$_check_messages$;

comment on function quantumflow._check_messages(uuid) is 'Rule 2 of check_state.';

create function quantumflow._check_counters(p_run_id uuid)
returns setof quantumflow.state_problem
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_check_counters$
begin
  return query
  select 3, r.id, null::text, null::int, null::text, null::bigint,
    format('remaining_steps is %s but %s steps are not done', r.remaining_steps, k.open_steps)
  from quantumflow.workflow_runs r
  join (
    select s.run_id, count(*) filter (where s.status not in ('completed', 'skipped')) as open_steps
    from quantumflow.step_states s
    where p_run_id is null or s.run_id = p_run_id
    group by s.run_id
  ) k
    on k.run_id = r.id
  where r.remaining_steps <> k.open_steps
  union all
  select 3, d.run_id, d.step_slug, null, null, null,
    format('remaining_deps is %s but %s dependencies are not done', d.remaining_deps, d.open_deps)
  from quantumflow._open_dependencies(p_run_id) d
  where d.remaining_deps <> d.open_deps
  union all
  select 3, s.run_id, s.step_slug, null, null, null,
    format(
      'remaining_tasks is %s of %s but %s tasks are completed',
      s.remaining_tasks, s.initial_tasks, coalesce(k.completed, 0))
  from quantumflow.step_states s
  left join (
    select t.run_id, t.step_slug, count(*) filter (where t.status = 'completed') as completed
    from quantumflow.step_tasks t
    where p_run_id is null or t.run_id = p_run_id
    group by t.run_id, t.step_slug
  ) k
    on (k.run_id, k.step_slug) = (s.run_id, s.step_slug)
  where (p_run_id is null or s.run_id = p_run_id)
    and s.remaining_tasks <> s.initial_tasks - coalesce(k.completed, 0);
end
$_check_counters$;

comment on function quantumflow._check_counters(uuid) is 'Rule 3 of check_state.';

create function quantumflow._open_dependencies(p_run_id uuid)
returns table (
  run_id uuid, step_slug text, status text, run_status text, remaining_deps int, open_deps bigint)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_open_dependencies$
begin
  return query
  select
    s.run_id, s.step_slug, s.status, r.status, s.remaining_deps,
    count(*) filter (where d.status not in ('completed', 'skipped'))
  from quantumflow.step_states s
  join quantumflow.workflow_runs r
    on r.id = s.run_id
  left join quantumflow.workflow_step_edges e
    on (e.workflow_slug, e.version, e.step_slug) = (r.workflow_slug, r.version, s.step_slug)
  left join quantumflow.step_states d
    on (d.run_id, d.step_slug) = (s.run_id, e.depends_on_step)
  where p_run_id is null or s.run_id = p_run_id
  group by s.run_id, s.step_slug, s.status, r.status, s.remaining_deps;
end
$_open_dependencies$;

comment on function quantumflow._open_dependencies(uuid) is
'Each step of each run with a recount of the dependencies that are not done.';

create function quantumflow._check_order(p_run_id uuid)
returns setof quantumflow.state_problem
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_check_order$
begin
  return query
  select 6, d.run_id, d.step_slug, null::int, null::text, null::bigint,
    case d.status
      when 'created' then 'all dependencies are done but the step has not started'
      else format('the step is %s although %s dependencies are not done', d.status, d.open_deps)
    end
  from quantumflow._open_dependencies(p_run_id) d
  where (d.open_deps > 0 and d.status in ('started', 'completed', 'failed'))
    or (d.open_deps = 0 and d.status = 'created' and d.run_status = 'started')
  union all
  select 7, s.run_id, s.step_slug, null, null, null,
    format('the step has %s of its %s tasks', coalesce(k.tasks, 0), s.initial_tasks)
  from quantumflow.step_states s
  left join (
    select t.run_id, t.step_slug, count(*) as tasks, max(t.task_index) as last_index
    from quantumflow.step_tasks t
    where p_run_id is null or t.run_id = p_run_id
    group by t.run_id, t.step_slug
  ) k
    on (k.run_id, k.step_slug) = (s.run_id, s.step_slug)
  where (p_run_id is null or s.run_id = p_run_id)
    and s.status in ('started', 'completed')
    and (coalesce(k.tasks, 0) <> s.initial_tasks or coalesce(k.last_index, -1) <> s.initial_tasks - 1)
  union all
  select 7, s.run_id, s.step_slug, null, null, null,
    format('the map is completed but its output is not an array of %s', s.initial_tasks)
  from quantumflow.step_states s
  join quantumflow.workflow_runs r
    on r.id = s.run_id
  join quantumflow.workflow_steps w
    on (w.workflow_slug, w.version, w.step_slug) = (r.workflow_slug, r.version, s.step_slug)
    and w.step_type = 'map'
  where (p_run_id is null or s.run_id = p_run_id)
    and s.status = 'completed'
    and case
      when jsonb_typeof(s.output) = 'array' then jsonb_array_length(s.output) <> s.initial_tasks
      else true
    end;
end
$_check_order$;

comment on function quantumflow._check_order(uuid) is 'Rules 6 and 7 of check_state.';

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
      t.attempts - t.losses, w.max_attempts, t.losses, w.max_lost)
  from quantumflow.step_tasks t
  join quantumflow.workflow_runs r
    on r.id = t.run_id
  join quantumflow.workflow_steps w
    on (w.workflow_slug, w.version, w.step_slug) = (r.workflow_slug, r.version, t.step_slug)
  where (p_run_id is null or t.run_id = p_run_id)
    and (t.losses > w.max_lost or t.attempts - t.losses > w.max_attempts)
  union all
  select 8, r.id, null, null, null, null, 'the run has no step left but has not ended'
  from quantumflow.workflow_runs r
  where (p_run_id is null or r.id = p_run_id)
    and r.status in ('started', 'paused')
    and not exists (
      select
      from quantumflow.step_states s
      where s.run_id = r.id
        and s.status not in ('completed', 'skipped')
    );
end
$_check_limits$;

comment on function quantumflow._check_limits(uuid) is 'Rule 8 of check_state.';
