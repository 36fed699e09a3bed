create type quantumflow.state_problem as (
  rule       int,
  run_id     uuid,
  step_slug  text,
  task_index int,
  queue      text,
  message_id bigint,
  problem    text,
  remedy     text
);

comment on type quantumflow.state_problem is
'Something that breaks a rule: which rule, what is wrong, with which run, step, task or message, and what repair() would do.';
comment on column quantumflow.state_problem.rule is 'The rule that is broken: see check_state().';
comment on column quantumflow.state_problem.run_id is 'The run, where there is one.';
comment on column quantumflow.state_problem.step_slug is 'The step, where there is one.';
comment on column quantumflow.state_problem.task_index is 'The task, where there is one.';
comment on column quantumflow.state_problem.queue is 'The queue, where a message is concerned.';
comment on column quantumflow.state_problem.message_id is 'The msg_id of the message.';
comment on column quantumflow.state_problem.problem is 'What is wrong.';
comment on column quantumflow.state_problem.remedy is 'What repair() does about it; null where a person has to decide.';

create function quantumflow.check_state(run_id uuid default null)
returns setof quantumflow.state_problem
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
set enable_nestloop = off
set jit = off
as $check_state$
begin
  return query
  select * from quantumflow._check_definitions(check_state.run_id)
  union all
  select * from quantumflow._check_references(check_state.run_id)
  union all
  select * from quantumflow._check_ends(check_state.run_id)
  union all
  select * from quantumflow._check_messages(check_state.run_id)
  union all
  select * from quantumflow._check_steps(check_state.run_id)
  union all
  select * from quantumflow._check_outputs(check_state.run_id)
  union all
  select * from quantumflow._check_chunks(check_state.run_id)
  union all
  select * from quantumflow._check_runs(check_state.run_id)
  union all
  select * from quantumflow._check_limits(check_state.run_id)
  order by 1, 2, 3, 4, 6;
end
$check_state$;

comment on function quantumflow.check_state(uuid) is
'Whatever breaks the rules that are always true, of one run or of all: no row means healthy. From one snapshot, so it is exact
under load too.

rule:
0 every row belongs to something (there are no foreign keys), and what a step is says its definition;
1 a run that ended has no queued or started task, callbacks aside, unless it is listed in _unfinished_ends;
2 every queued or started task has exactly one message, and every message such a task; only queued tasks of paused runs sleep;
3 remaining_steps, remaining_deps and remaining_tasks equal a recount;
6 a step starts only after all its dependencies are done, and does start then;
7 a map has a task per item, or per chunk_size items, and, when it is completed, their outputs in index order;
8 failures do not exceed max_attempts, nor losses max_lost; a step or run with nothing left to do has ended, and a run that ended
has its callback;
9 a completed run has only steps that are done, and a run that goes on no failed or cancelled step or task.
(4 and 5, one lease a task and one output a task, are kept by the table itself.)

problem says what is wrong with the run, step, task or message that the row names, remedy what repair() does about it.
It reads every row once or more, and the outputs of maps: some seconds for a million tasks.

Errors: none.';

create function quantumflow._check_definitions(p_run_id uuid)
returns setof quantumflow.state_problem
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_check_definitions$
begin
  return query
  select 0, null::uuid, p.step_slug, null::int, null::text, null::bigint, p.problem, null::text
  from (
    select null::text, format('the current version %s of workflow "%s" does not exist', w.current_version, w.workflow_slug)
    from quantumflow.workflows w
    where not exists (
      select
      from quantumflow.workflow_versions v
      where (v.workflow_slug, v.version) = (w.workflow_slug, w.current_version)
    )
    union all
    select null, format('version %s of workflow "%s" belongs to no workflow', v.version, v.workflow_slug)
    from quantumflow.workflow_versions v
    where not exists (select from quantumflow.workflows w where w.workflow_slug = v.workflow_slug)
    union all
    select s.step_slug, format('the step belongs to no version, not to %s of workflow "%s"', s.version, s.workflow_slug)
    from quantumflow.workflow_steps s
    where not exists (
      select
      from quantumflow.workflow_versions v
      where (v.workflow_slug, v.version) = (s.workflow_slug, s.version)
    )
    union all
    select
      coalesce(s.step_slug, e.step_slug),
      format(
        'its dependencies in version %s of workflow "%s" are one thing in workflow_steps and another in workflow_step_edges',
        coalesce(s.version, e.version), coalesce(s.workflow_slug, e.workflow_slug))
    from quantumflow.workflow_steps s
    full join (
      select l.workflow_slug, l.version, l.step_slug, array_agg(l.depends_on_step order by l.depends_on_step) as dependencies
      from quantumflow.workflow_step_edges l
      group by l.workflow_slug, l.version, l.step_slug
    ) e
      on (e.workflow_slug, e.version, e.step_slug) = (s.workflow_slug, s.version, s.step_slug)
    where array(select u.slug from unnest(s.dependencies) u (slug) order by u.slug)
      is distinct from coalesce(e.dependencies, case when s.step_slug is not null then '{}'::text[] end)
  ) p (step_slug, problem)
  where p_run_id is null;

  if p_run_id is null then
    return query
    select 0, null::uuid, w.step_slug::text, null::int, null::text, null::bigint,
      format('its row in version %s of workflow "%s" does not say what the definition does', w.version, w.workflow_slug),
      'compile it again'
    from quantumflow._wrong_facts() w;
  end if;
end
$_check_definitions$;

comment on function quantumflow._check_definitions(uuid) is 'Rule 0 of check_state: the definitions, unless it looks at one run only.';

create function quantumflow._check_references(p_run_id uuid)
returns setof quantumflow.state_problem
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_check_references$
begin
  return query
  select 0, r.id, null::text, null::int, null::text, null::bigint,
    format('its workflow "%s" has no version %s', r.workflow_slug, r.version), null::text
  from quantumflow.workflow_runs r
  where (p_run_id is null or r.id = p_run_id)
    and not exists (
      select
      from quantumflow.workflow_versions v
      where (v.workflow_slug, v.version) = (r.workflow_slug, r.version)
    )
  union all
  select 0, r.id, w.step_slug, null, null, null, 'the run has no row for this step of its version', null
  from quantumflow.workflow_runs r
  join quantumflow.workflow_steps w
    on (w.workflow_slug, w.version) = (r.workflow_slug, r.version)
    and w.counts
  where (p_run_id is null or r.id = p_run_id)
    and not exists (
      select
      from quantumflow.step_states s
      where (s.run_id, s.step_slug) = (r.id, w.step_slug)
    )
  union all
  select 0, k.run_id, k.step_slug, k.task_index, k.queue, k.message_id, k.problem, null
  from (
    select
      s.run_id, s.step_slug, null::int as task_index, null::text as queue, null::bigint as message_id,
      'the step belongs to no run, or not to its version' as problem
    from quantumflow.step_states s
    union all
    select t.run_id, t.step_slug, t.task_index, t.queue, t.message_id, 'the task belongs to no step and is no callback'
    from quantumflow.step_tasks t
    union all
    select f.run_id, f.step_slug, f.task_index, null, null, format('the failure of attempt %s belongs to no step', f.attempt)
    from quantumflow.task_failures f
  ) k
  where (p_run_id is null or k.run_id = p_run_id)
    and not exists (
      select
      from quantumflow.workflow_runs r
      join quantumflow.workflow_steps w
        on (w.workflow_slug, w.version) = (r.workflow_slug, r.version)
      where r.id = k.run_id
        and w.step_slug = k.step_slug
    )
  union all
  select 0, e.run_id, null, null, null, null, 'the unfinished end belongs to no run', 'forget it'
  from quantumflow._unfinished_ends e
  where (p_run_id is null or e.run_id = p_run_id)
    and not exists (select from quantumflow.workflow_runs r where r.id = e.run_id);
end
$_check_references$;

comment on function quantumflow._check_references(uuid) is 'Rule 0 of check_state: what belongs to runs.';

create function quantumflow._check_ends(p_run_id uuid)
returns setof quantumflow.state_problem
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_check_ends$
begin
  return query
  select
    case when t.status in ('queued', 'started') then 1 else 9 end,
    t.run_id, t.step_slug, t.task_index, t.queue, t.message_id,
    format('the task is %s although its run is %s', t.status, r.status),
    case when t.status in ('queued', 'started') and r.status in ('failed', 'cancelled') then 'cancel it' end
  from quantumflow.step_tasks t
  join quantumflow.workflow_runs r
    on r.id = t.run_id
  left join quantumflow.workflow_steps w
    on (w.workflow_slug, w.version, w.step_slug) = (r.workflow_slug, r.version, t.step_slug)
  where (p_run_id is null or t.run_id = p_run_id)
    and t.status <> 'completed'
    and w.counts is not false
    and case
      when t.status in ('queued', 'started')
      then r.status in ('completed', 'failed', 'cancelled')
        and not exists (select from quantumflow._unfinished_ends e where e.run_id = t.run_id)
      when t.status in ('failed', 'cancelled')
      then r.status in ('started', 'paused', 'completed')
    end
  union all
  select 1, t.run_id, t.step_slug, t.task_index, t.queue, t.message_id,
    format('the callback is %s although its run is %s and was retried %s times', t.status, r.status, r.retries), null
  from quantumflow.step_tasks t
  join quantumflow.workflow_runs r
    on r.id = t.run_id
  join quantumflow.workflow_steps w
    on (w.workflow_slug, w.version, w.step_slug) = (r.workflow_slug, r.version, t.step_slug)
    and not w.counts
  where (p_run_id is null or t.run_id = p_run_id)
    and t.status in ('queued', 'started')
    and (t.step_slug is distinct from quantumflow._callback_of(r.status) or r.retries <> t.task_index)
  union all
  select 9, s.run_id, s.step_slug, null, null, null,
    format('the step is %s although its run is %s', s.status, r.status),
    case when r.status in ('failed', 'cancelled') then 'cancel it' end
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
begin
  -- Joined by what both say, so that a message and a task belong together only if each names the other.
  return query execute format(
    $$
    select
      2, coalesce(t.run_id, n.run_id), coalesce(t.step_slug, m.step_slug), coalesce(t.task_index, m.task_index),
      coalesce(t.queue, m.queue), coalesce(t.message_id, m.msg_id),
      case
        when t.run_id is not null and m.msg_id is not null then format('the task is %%s but its message sleeps for ever', t.status)
        when m.msg_id is null and quantumflow._queue_table(t.queue) is null then 'the task''s queue does not exist'
        when m.msg_id is null then format('the task is %%s but its message is not in the queue', t.status)
        when n.run_id is null then 'the message names no task'
        when n.message_id <> m.msg_id or n.queue <> m.queue then 'the message is not the one its task names'
        else format('the message is in the queue although its task is %%s', n.status)
      end,
      case
        when t.run_id is not null and m.msg_id is not null then 'wake it'
        when m.msg_id is null and (not w.counts or r.status in ('started', 'paused')) then case t.status
          when 'queued' then 'send it a new message'
          else 'send it a new message, and count its lease as lost'
        end
        when m.msg_id is null and r.status in ('failed', 'cancelled') then 'cancel it'
        when m.msg_id is null then null
        when n.run_id is null or n.message_id <> m.msg_id or n.queue <> m.queue then 'archive the message'
        else 'remove the message'
      end
    from (
      select k.run_id, k.run_id::text as run_key, k.step_slug, k.task_index, k.queue, k.message_id, k.status
      from quantumflow.step_tasks k
      where k.status in ('queued', 'started')
        and ($1 is null or k.run_id = $1)
    ) t
    full join (
      select
        q.queue, q.msg_id, q.vt,
        q.message ->> 'workflow_run_id' as run_key,
        q.message ->> 'step_name' as step_slug,
        quantumflow._as_number(q.message ->> 'task_index', 9)::int as task_index
      from (%s) q
      where $1 is null or q.message ->> 'workflow_run_id' = $1::text
    ) m
      on (m.queue, m.msg_id, m.run_key, m.step_slug, m.task_index)
        = (t.queue, t.message_id, t.run_key, t.step_slug, t.task_index)
    left join lateral (
      select l.run_id, l.queue, l.message_id, l.status
      from quantumflow.step_tasks l
      where m.msg_id is not null
        and t.run_id is null
        and l.run_id = quantumflow._as_uuid(m.run_key)
        and (l.step_slug, l.task_index) = (m.step_slug, m.task_index)
      limit 1
    ) n on true
    left join lateral (
      select l.status, l.workflow_slug, l.version
      from quantumflow.workflow_runs l
      where l.id = t.run_id
        and (m.msg_id is null or m.vt = 'infinity')
      limit 1
    ) r on true
    left join lateral (
      select l.counts
      from quantumflow.workflow_steps l
      where (l.workflow_slug, l.version, l.step_slug) = (r.workflow_slug, r.version, t.step_slug)
      limit 1
    ) w on true
    where t.run_id is null
      or m.msg_id is null
      or (
        m.vt = 'infinity'
        and case r.status
          when 'started' then true
          when 'paused' then t.status = 'started'
          else not w.counts
        end
      )
    $$,
    quantumflow._all_messages())
  using p_run_id;
end
$_check_messages$;

comment on function quantumflow._check_messages(uuid) is 'Rule 2 of check_state.';

create view quantumflow._step_facts as
select
  s.run_id,
  s.step_slug,
  s.status,
  s.remaining_deps,
  s.remaining_tasks,
  s.initial_tasks,
  r.status as run_status,
  w.workflow_slug,
  w.version,
  coalesce(d.open_deps, 0) as open_deps,
  coalesce(k.tasks, 0) as tasks,
  coalesce(k.completed, 0) as completed,
  coalesce(k.last_index, -1) as last_index,
  coalesce(d.open_deps, 0) = 0 or s.status in ('created', 'skipped', 'cancelled') as deps_can_be_set,
  coalesce(k.completed, 0) <= s.initial_tasks and s.status <> 'completed' as tasks_can_be_set
from quantumflow.step_states s
join quantumflow.workflow_runs r
  on r.id = s.run_id
join quantumflow.workflow_steps w
  on (w.workflow_slug, w.version, w.step_slug) = (r.workflow_slug, r.version, s.step_slug)
left join (
  select
    t.run_id, t.step_slug, count(*)::int as tasks, max(t.task_index) as last_index,
    (count(*) filter (where t.status = 'completed'))::int as completed
  from quantumflow.step_tasks t
  group by t.run_id, t.step_slug
) k
  on (k.run_id, k.step_slug) = (s.run_id, s.step_slug)
left join (
  select o.run_id, e.step_slug, count(*)::int as open_deps
  from quantumflow.step_states o
  join quantumflow.workflow_runs p
    on p.id = o.run_id
  join quantumflow.workflow_step_edges e
    on (e.workflow_slug, e.version, e.depends_on_step) = (p.workflow_slug, p.version, o.step_slug)
  where o.status not in ('completed', 'skipped')
  group by o.run_id, e.step_slug
) d
  on (d.run_id, d.step_slug) = (s.run_id, s.step_slug);

comment on view quantumflow._step_facts is
'Each step of each run with its counters and what they should be: a recount of its tasks and of the dependencies that are not done.';
comment on column quantumflow._step_facts.run_id is 'The run.';
comment on column quantumflow._step_facts.step_slug is 'The step.';
comment on column quantumflow._step_facts.status is 'Its status.';
comment on column quantumflow._step_facts.remaining_deps is 'What its row says.';
comment on column quantumflow._step_facts.remaining_tasks is 'What its row says.';
comment on column quantumflow._step_facts.initial_tasks is 'What its row says.';
comment on column quantumflow._step_facts.run_status is 'The status of its run.';
comment on column quantumflow._step_facts.workflow_slug is 'The workflow.';
comment on column quantumflow._step_facts.version is 'The version the run is pinned to.';
comment on column quantumflow._step_facts.open_deps is 'How many of its dependencies are not done.';
comment on column quantumflow._step_facts.tasks is 'How many tasks it has.';
comment on column quantumflow._step_facts.completed is 'How many of them are completed.';
comment on column quantumflow._step_facts.last_index is 'The last one''s task_index; -1 when it has none.';
comment on column quantumflow._step_facts.deps_can_be_set is 'Whether a step of this status may have that many open dependencies.';
comment on column quantumflow._step_facts.tasks_can_be_set is 'Whether a step of this status may have that many completed tasks.';

create function quantumflow._check_steps(p_run_id uuid)
returns setof quantumflow.state_problem
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_check_steps$
begin
  return query
  with facts as materialized (
    select *
    from quantumflow._step_facts s
    where p_run_id is null or s.run_id = p_run_id
  )
  select 3, f.run_id, f.step_slug::text, null::int, null::text, null::bigint,
    format('remaining_deps is %s but %s dependencies are not done', f.remaining_deps, f.open_deps),
    case when f.deps_can_be_set then 'recount' end
  from facts f
  where f.remaining_deps <> f.open_deps
  union all
  select 3, f.run_id, f.step_slug, null, null, null,
    format('remaining_tasks is %s of %s but %s tasks are completed', f.remaining_tasks, f.initial_tasks, f.completed),
    case when f.tasks_can_be_set then 'recount' end
  from facts f
  where f.remaining_tasks <> f.initial_tasks - f.completed
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
    and f.status in ('started', 'completed', 'failed')
  union all
  select 7, f.run_id, f.step_slug, null, null, null,
    format('the step has %s of its %s tasks', f.tasks, f.initial_tasks), null
  from facts f
  where f.status in ('started', 'completed')
    and (f.tasks <> f.initial_tasks or f.last_index <> f.initial_tasks - 1)
  union all
  select 8, f.run_id, f.step_slug, null, null, null, 'all tasks of the step are completed but it has not ended', 'complete it'
  from facts f
  where f.status = 'started'
    and f.run_status in ('started', 'paused')
    and f.completed = f.initial_tasks
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
    select r.id, r.status, r.remaining_steps, r.workflow_slug, r.version, r.retries, coalesce(k.open_steps, 0) as open_steps
    from quantumflow.workflow_runs r
    left join (
      select s.run_id, count(*) filter (where s.status not in ('completed', 'skipped')) as open_steps
      from quantumflow.step_states s
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
  where not exists (
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
