create function quantumflow.goal_status(goal_id uuid)
returns jsonb
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $goal_status$
declare
  v_goal quantumflow.goals := quantumflow._goal(goal_status.goal_id);
  v_run  quantumflow.workflow_runs;
  v_end  timestamptz;
begin
  select *
  into v_run
  from quantumflow.workflow_runs r
  where r.id = v_goal.run_id;

  v_end := coalesce(
    v_goal.failed_at, v_goal.cancelled_at, v_run.completed_at, v_run.failed_at, v_run.cancelled_at,
    case when v_goal.run_id is null and not v_goal.is_planning then coalesce(quantumflow._ended_at(v_goal.plan_run_id), v_goal.created_at) end);

  return jsonb_build_object(
    'goal_id', v_goal.goal_id,
    'goal', v_goal.goal,
    'decomposer', v_goal.decomposer,
    'context', v_goal.context,
    'options', v_goal.options,
    'idempotency_key', v_goal.idempotency_key,
    'status', quantumflow._status_of_goal(v_goal, v_run.status),
    'graph', v_goal.graph,
    'run_id', v_goal.run_id,
    'plan_run_id', v_goal.plan_run_id,
    'plans', v_goal.plans,
    'output', v_run.output,
    'outputs', quantumflow._outputs_of_goal(v_goal),
    'tasks', quantumflow._tasks_of_goal(v_goal),
    'error_code', v_goal.error_code,
    'error_message', coalesce(v_goal.error_message, v_run.error_message),
    'problems', v_goal.problems,
    'created_at', v_goal.created_at,
    'ended_at', v_end,
    'duration', round(extract(epoch from coalesce(v_end, quantumflow._now()) - v_goal.created_at), 6));
end
$goal_status$;

comment on function quantumflow.goal_status(uuid) is
'How a goal is doing and what came of it, as one object.

status: "decomposing", "decomposed", "running", "paused", "completed", "failed" or "cancelled". graph: the tasks that it came to, {"tasks": [...]}.
run_id: its run, which status() and all else tells more of. plan_run_id: the run in which a worker is, or was last, asked for a plan; plans: how
often one was asked. outputs: of each task that completed its output, by its id; output: of those on which
no other depends. tasks: {"<id>": "completed"}, what became of each, as of a step. error_message, and of one that came to no run error_code and problems, one a
line: why it failed. duration: seconds until it ended, or until now.
jsonb_pretty() shows it in lines.

Errors: QF609 unknown goal.';

create function quantumflow._goal(p_goal_id uuid)
returns quantumflow.goals
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_goal$
declare
  v_goal quantumflow.goals;
begin
  select *
  into v_goal
  from quantumflow.goals g
  where g.goal_id = p_goal_id;

  if not found then
    raise exception 'goal % does not exist', coalesce(p_goal_id::text, 'null')
    using
      errcode = 'QF609',
      detail = 'No goal has this id. A goal is deleted with its run.',
      hint = 'select * from quantumflow.list_goals() shows the latest.';
  end if;

  return v_goal;
end
$_goal$;

comment on function quantumflow._goal(uuid) is
'The row of a goal.

Errors: QF609 there is none.';

create function quantumflow._status_of_goal(p_goal quantumflow.goals, p_run_status text)
returns text
language sql
immutable
return case
  when p_goal.failed_at is not null then 'failed'
  when p_goal.cancelled_at is not null then 'cancelled'
  when p_goal.is_planning then 'decomposing'
  when p_goal.run_id is null then 'decomposed'
  when p_run_status = 'started' then 'running'
  else p_run_status
end;

comment on function quantumflow._status_of_goal(quantumflow.goals, text) is 'What a goal is, by the status of its run.';

create function quantumflow._tasks_of_goal(p_goal quantumflow.goals)
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_tasks_of_goal$
begin
  return (
    select coalesce(jsonb_object_agg(t.id, s.status), '{}')
    from quantumflow._named_tasks(p_goal.graph) t
    cross join lateral (
      select l.status
      from quantumflow.step_states l
      where (l.run_id, l.step_slug) = (p_goal.run_id, t.step_slug)
      limit 1
    ) s);
end
$_tasks_of_goal$;

comment on function quantumflow._tasks_of_goal(quantumflow.goals) is 'What became of the tasks of a goal, by their ids.';

create function quantumflow._outputs_of_goal(p_goal quantumflow.goals)
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_outputs_of_goal$
begin
  return (
    select coalesce(jsonb_object_agg(t.id, o.output), '{}')
    from quantumflow._named_tasks(p_goal.graph) t
    cross join lateral (
      select l.output
      from quantumflow._step_outputs l
      where (l.run_id, l.step_slug) = (p_goal.run_id, t.step_slug)
      limit 1
    ) o);
end
$_outputs_of_goal$;

comment on function quantumflow._outputs_of_goal(quantumflow.goals) is 'The outputs of the tasks of a goal that have completed, by their ids.';

create function quantumflow._named_tasks(p_graph jsonb)
returns table (id text, step_slug text)
language sql
immutable
begin atomic
  select i.id, quantumflow._step_name_of(i.id)
  from jsonb_array_elements(quantumflow._array(p_graph -> 'tasks')) t
  cross join lateral (select quantumflow._id_text(t.value -> 'id') as id) i;
end;

comment on function quantumflow._named_tasks(jsonb) is 'The ids of the tasks of a graph that was checked, each with the name of its step.';

create function quantumflow._ended_at(p_run_id uuid)
returns timestamptz
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_ended_at$
begin
  return (
    select coalesce(r.completed_at, r.failed_at, r.cancelled_at)
    from quantumflow.workflow_runs r
    where r.id = p_run_id
  );
end
$_ended_at$;

comment on function quantumflow._ended_at(uuid) is 'When a run ended; null while it goes on, and of none.';
