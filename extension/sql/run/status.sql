create function quantumflow.status(run_id uuid, summary boolean default false, tree boolean default false)
returns jsonb
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $status$
declare
  v_status jsonb;
begin
  select jsonb_build_object(
    'run_id', r.id,
    'workflow_slug', r.workflow_slug,
    'version', r.version,
    'status', r.status,
    'output', r.output,
    'error_message', r.error_message,
    'remaining_steps', r.remaining_steps,
    'priority', r.priority,
    'retries', r.retries,
    'gave_up', r.gave_up,
    'headers', r.headers,
    'parent', r.parent_run_id,
    'root', r.root_run_id,
    'idempotency_key', r.idempotency_key,
    'created_at', r.created_at,
    'started_at', r.started_at,
    'paused_at', r.paused_at,
    'ended_at', coalesce(r.completed_at, r.failed_at, r.cancelled_at))
  into v_status
  from quantumflow.workflow_runs r
  where r.id = status.run_id;

  if not found then
    perform quantumflow._raise_unknown_run(status.run_id);
  end if;

  if not coalesce(status.summary, false) then
    v_status := v_status || quantumflow._describe_run(status.run_id);
  end if;

  if status.tree then
    v_status := v_status || jsonb_build_object('children', quantumflow._describe_children(status.run_id));
  end if;

  return v_status;
end
$status$;

comment on function quantumflow.status(uuid, boolean, boolean) is
'All there is to say of a run, as one object: its row, its steps in the order of the definition, their tasks counted by status.

ended_at is whichever of completed_at, failed_at and cancelled_at there is. tasks holds, besides a count per status that
occurs, "total" and "failures", the attempts that did not complete. gave_up: how many steps and tasks the run went on without, null where
its version cannot; of a step, skip_reason says why it was skipped, condition what its condition is, saw what that found in the input of a step
that it skipped, as test_condition() has it, where there are at most 100 such steps, fell_back whether its output is its fallback, failed_tasks how many of its tasks failed and were tolerated, iterations how many a loop
has had, with the one that goes on, and max_iterations how many it may have, signals what it waits for, and
until, while it sleeps or waits, when that is over, null where there is no end to it; progress how far its task has come,
{"done", "total", "note", "at"}, if its worker says so; child_flow of which workflow it starts a run, and child which
run that is. parent, root: the run whose step started this one, and the one at the top. deadline: when the run''s own time is over. Try: select jsonb_pretty(quantumflow.status(run_id)).

summary: only the row, without the input: one row is read, however many steps and tasks the run has. tree: also children, the runs that its steps
have started, each with its own, at most 100 of each run, those first that have not completed: {"step_slug", "task_index", "run_id",
"workflow_slug", "status", "error_message", "retries", "created_at", "ended_at", "children"}.

Errors: QF201 unknown run.';

create function quantumflow._describe_run(p_run_id uuid)
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_describe_run$
begin
  return (
    select jsonb_build_object(
      'input', r.input,
      'steps', (
        select coalesce(
          jsonb_agg(
            jsonb_build_object(
              'step_slug', s.step_slug,
              'step_type', w.step_type,
              'command', w.command,
              'status', s.status,
              'depends_on', to_jsonb(w.dependencies),
              'after', to_jsonb(w.after),
              'remaining_deps', s.remaining_deps,
              'started_at', s.started_at,
              'ended_at', coalesce(s.completed_at, s.failed_at, s.skipped_at),
              'skip_reason', s.skip_reason,
              'condition', w.condition,
              'saw', case
                when s.skip_reason = 'condition' and m.by_condition <= 100
                then quantumflow._seen_by_condition(s.run_id, s.step_slug, r.input, w.dependencies, w.after, w.condition)
              end,
              'fell_back', s.status = 'completed' and s.error_message is not null,
              'failed_tasks', coalesce(s.failed_tasks, 0),
              'iterations', case when w.repeats then coalesce(s.initial_tasks, 0) end,
              'max_iterations', case when w.repeats then coalesce(s.max_iterations, w.max_iterations) end,
              'signals', to_jsonb(w.signals),
              'until', case when w.settled and s.status = 'started' then quantumflow._waits_until(s.run_id, s.step_slug, 0) end,
              'child_flow', w.child_flow,
              'child', case when w.child_flow is not null then quantumflow._child_of(s.run_id, s.step_slug, 0, s.fresh_since) end,
              'progress', case
                when s.status = 'started' and w.known_tasks = 1 and not w.settled then quantumflow._told_progress(s.run_id, s.step_slug)
              end,
              'error_message', s.error_message,
              'tasks', quantumflow._count_tasks(s.run_id, s.step_slug))
            order by w.step_index),
          '[]')
        from quantumflow.step_states s
        join quantumflow.workflow_steps w
          on (w.workflow_slug, w.version, w.step_slug) = (r.workflow_slug, r.version, s.step_slug)
        cross join (
          select count(*) as by_condition
          from quantumflow.step_states l
          where l.run_id = p_run_id
            and l.skip_reason = 'condition'
        ) m
        where s.run_id = r.id
      ),
      'deadline', quantumflow._waits_until(r.id, '_run_timeout', r.retries),
      'callbacks', (
        select coalesce(
          jsonb_agg(
            jsonb_build_object('step_slug', t.step_slug, 'status', t.status, 'error_message', t.error_message)
            order by t.step_slug, t.task_index),
          '[]')
        from quantumflow.step_tasks t
        where t.run_id = r.id
          and t.step_slug in (
            select w.step_slug
            from quantumflow.workflow_steps w
            where (w.workflow_slug, w.version) = (r.workflow_slug, r.version)
              and not w.counts
              and not w.settled
          )
      ))
    from quantumflow.workflow_runs r
    where r.id = p_run_id
  );
end
$_describe_run$;

comment on function quantumflow._describe_run(uuid) is
'What status adds to a run''s row: its input, its steps, its callbacks, when its time is over.';

create function quantumflow._describe_children(p_run_id uuid)
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_describe_children$
begin
  return (
    select coalesce(
      jsonb_agg(
        jsonb_build_object(
          'step_slug', c.parent_step_slug,
          'task_index', c.parent_task_index,
          'run_id', c.id,
          'workflow_slug', c.workflow_slug,
          'status', c.status,
          'error_message', c.error_message,
          'retries', c.retries,
          'created_at', c.created_at,
          'ended_at', coalesce(c.completed_at, c.failed_at, c.cancelled_at),
          'children', quantumflow._describe_children(c.id))
        order by c.created_at, c.parent_step_slug, c.parent_task_index, c.parent_retries),
      '[]')
    from (
      select r.*
      from quantumflow.workflow_runs r
      where r.parent_run_id = p_run_id
      order by r.status = 'completed', r.parent_step_slug, r.parent_task_index, r.parent_retries
      limit 100
    ) c
  );
end
$_describe_children$;

comment on function quantumflow._describe_children(uuid) is 'What status says of the runs below one.';

create function quantumflow._child_of(p_run_id uuid, p_step_slug text, p_task_index int, p_fresh_since int)
returns uuid
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_child_of$
begin
  return (
    select r.id
    from quantumflow.workflow_runs r
    where (r.parent_run_id, r.parent_step_slug, r.parent_task_index) = (p_run_id, p_step_slug, p_task_index)
      and r.parent_retries >= coalesce(p_fresh_since, 0)
    order by r.parent_retries desc
    limit 1
  );
end
$_child_of$;

comment on function quantumflow._child_of(uuid, text, int, int) is
'The run that a task has started, and that is its child now; null: none. p_fresh_since: as the step''s row has it.';

create function quantumflow._waits_until(p_run_id uuid, p_step_slug text, p_task_index int)
returns timestamptz
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_waits_until$
begin
  return (
    select nullif(t.queued_at, 'infinity')
    from quantumflow.step_tasks t
    where (t.run_id, t.step_slug, t.task_index) = (p_run_id, p_step_slug, p_task_index)
      and t.status = 'queued'
  );
end
$_waits_until$;

comment on function quantumflow._waits_until(uuid, text, int) is
'When a sleep is over, a wait has no time left, or a run, by its task; null if it has ended, or for a wait there is no end to.';

create function quantumflow._seen_by_condition(
  p_run_id       uuid,
  p_step_slug    text,
  p_run_input    jsonb,
  p_dependencies text[],
  p_after        text[],
  p_condition    text)
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_seen_by_condition$
begin
  return (
    select quantumflow._saw(p_condition, i.input, jsonb_build_object('status', o.statuses))
    from quantumflow._task_input(p_run_id, p_step_slug, 0, null, p_run_input, 0, p_dependencies, true, false, false, null, 2147483647) i
    cross join lateral quantumflow._statuses_of(p_run_id, p_dependencies || p_after) o
  );
end
$_seen_by_condition$;

comment on function quantumflow._seen_by_condition(uuid, text, jsonb, text[], text[], text) is
'What a step''s condition found in its input, which is there still, as _saw() has it. Arguments are of the run and of the step''s definition.';

create function quantumflow._count_tasks(p_run_id uuid, p_step_slug text)
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_count_tasks$
declare
  v_tasks jsonb;
begin
  select
    coalesce(jsonb_object_agg(c.status, c.tasks), '{}')
    || jsonb_build_object(
      'total', coalesce(sum(c.tasks), 0),
      'failures', (
        select count(*)
        from quantumflow.task_failures f
        where (f.run_id, f.step_slug) = (p_run_id, p_step_slug)
      ))
  into v_tasks
  from (
    select t.status, count(*) as tasks
    from quantumflow.step_tasks t
    where (t.run_id, t.step_slug) = (p_run_id, p_step_slug)
    group by t.status
  ) c;

  return v_tasks;
end
$_count_tasks$;

comment on function quantumflow._count_tasks(uuid, text) is
'The tasks of a step, counted by status, and the attempts of them that did not complete.';
