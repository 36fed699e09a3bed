-- A goal is decomposed until no task of it is a goal: one after the other a worker is asked for a plan, in a run of its own, which is checked, and
-- put in the place of the task. Then it is executed. Whoever has its row goes on with it.

create function quantumflow._go_on_with_goal(p_goal quantumflow.goals, p_now timestamptz)
returns quantumflow.goals
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_go_on_with_goal$
declare
  v_goal quantumflow.goals := p_goal;
  v_open jsonb;
begin
  loop
    v_open := quantumflow._open_task(v_goal.graph);
    exit when v_open is null;

    if v_goal.plans >= quantumflow._limit('max_plans') then
      return quantumflow._fail_goal(
        v_goal, 'QF605', format('%s plans were made, and %s may be', v_goal.plans, quantumflow._limit('max_plans')), null, p_now);
    end if;

    v_goal := quantumflow._plan_of_cache(v_goal, v_open, p_now);

    if quantumflow._open_task(v_goal.graph) is not distinct from v_open then
      return quantumflow._ask_for_plan(v_goal, v_open, null, p_now);
    end if;
  end loop;

  if not v_goal.executes then
    perform quantumflow._tell_of_goal('decomposition_completed', v_goal);
    return v_goal;
  end if;

  update quantumflow.goals g
  set run_id = quantumflow._uuid_v7()
  where g.goal_id = v_goal.goal_id
  returning *
  into v_goal;

  perform quantumflow._start_goal(v_goal, p_now);
  perform quantumflow._tell_of_goal('execution_started', v_goal);

  return v_goal;
end
$_go_on_with_goal$;

comment on function quantumflow._go_on_with_goal(quantumflow.goals, timestamptz) is
'Asks a worker for the plan of the next task that is a goal; where there is none left, starts the run of the goal, if it is to be executed. Its row then.

Errors: as start_flow, and define_flow.';

create function quantumflow._open_task(p_graph jsonb)
returns jsonb
language sql
immutable
return (
  select t.value
  from jsonb_array_elements(p_graph -> 'tasks') with ordinality as t(value, number)
  where t.value ? 'goal'
  order by t.number
  limit 1);

comment on function quantumflow._open_task(jsonb) is 'The first task of a graph that is a goal still; null when none is.';

create function quantumflow._fail_goal(p_goal quantumflow.goals, p_code text, p_error text, p_problems text, p_now timestamptz)
returns quantumflow.goals
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_fail_goal$
declare
  v_goal quantumflow.goals;
begin
  update quantumflow.goals g
  set
    is_planning = false,
    failed_at = p_now,
    error_code = p_code,
    error_message = quantumflow._cut(p_error),
    problems = quantumflow._cut(p_problems)
  where g.goal_id = p_goal.goal_id
  returning *
  into v_goal;

  perform quantumflow._tell_of_goal('decomposition_failed', v_goal);

  return v_goal;
end
$_fail_goal$;

comment on function quantumflow._fail_goal(quantumflow.goals, text, text, text, timestamptz) is 'Fails a goal that came to no run; its row then.';

create function quantumflow._ask_for_plan(p_goal quantumflow.goals, p_open jsonb, p_problems jsonb, p_now timestamptz)
returns quantumflow.goals
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_ask_for_plan$
declare
  v_planner quantumflow.decomposers := quantumflow._decomposer(coalesce(p_open ->> 'decomposer', p_goal.decomposer));
  v_slug    text := quantumflow._goal_slug(v_planner.name);
  v_version int := quantumflow._store_hidden(v_slug, quantumflow._planning_flow(v_planner, p_goal.options));
  v_run_id  uuid := quantumflow._uuid_v7();
  v_goal    quantumflow.goals;
begin
  insert into quantumflow._hidden_runs (workflow_slug, version, run_id)
  values (v_slug, v_version, v_run_id);

  perform quantumflow._start_runs(
    v_slug, v_version, array[v_run_id],
    array[jsonb_build_object(
      'goal_id', p_goal.goal_id,
      'goal', p_open -> 'goal',
      'context', p_goal.context,
      'args', coalesce(p_open -> 'args', '{}'),
      'depth', coalesce((p_open ->> 'depth')::int, 1),
      'problems', coalesce(p_problems, '[]'),
      'commands', quantumflow._commands_for_planner(v_planner.may_use))],
    coalesce((p_goal.options ->> 'priority')::int, 0), null, null, p_goal.options -> 'headers', true, p_now => p_now, p_origin => 'goal');

  update quantumflow.goals g
  set
    graph = p_goal.graph,
    is_planning = true,
    plan_run_id = v_run_id,
    plans = g.plans + 1,
    rounds = case when p_problems is null then 0 else g.rounds + 1 end,
    cache_key = case when p_open ? 'whole' then quantumflow._cache_key(v_planner, p_goal, p_open) else g.cache_key end
  where g.goal_id = p_goal.goal_id
  returning *
  into v_goal;

  return v_goal;
end
$_ask_for_plan$;

comment on function quantumflow._ask_for_plan(quantumflow.goals, jsonb, jsonb, timestamptz) is
'Starts the run in which a worker is asked for the plan of a task that is a goal. p_problems: what was wrong with the plan before, an array of {"code",
"path", "message"}; null: it is the first time. The goal''s row then.

Errors: as start_flow.';

create function quantumflow._planning_flow(p_planner quantumflow.decomposers, p_options jsonb)
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_planning_flow$
begin
  -- As the second step ends, whoever settles it goes on with the goal at once.
  return jsonb_build_object(
    'title', format('decomposer %s, version %s', p_planner.name, p_planner.version),
    'steps', jsonb_build_array(
      jsonb_build_object(
        'name', 'plan', 'command', p_planner.command,
        'timeout', coalesce(extract(epoch from p_planner.timeout), quantumflow._limit('orchestrator.timeout_ms') / 1000.0),
        'queue', coalesce(p_options ->> 'queue', quantumflow._default_settings() ->> 'queue')),
      '{"name": "taken", "type": "sleep", "seconds": 0, "dependencies": ["plan"]}'::jsonb));
end
$_planning_flow$;

comment on function quantumflow._planning_flow(quantumflow.decomposers, jsonb) is 'The definition, but for its slug, of the run in which a planner is asked.';

create function quantumflow._cache_key(p_planner quantumflow.decomposers, p_goal quantumflow.goals, p_open jsonb)
returns text
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_cache_key$
begin
  if p_planner.cache_for is null or p_goal.options -> 'cache' = 'false' then
    return null;
  end if;

  return encode(
    sha256(convert_to(jsonb_build_array(p_planner.name, p_planner.version, lower(p_open ->> 'goal'), p_goal.context)::text, 'UTF8')), 'hex');
end
$_cache_key$;

comment on function quantumflow._cache_key(quantumflow.decomposers, quantumflow.goals, jsonb) is
'What a goal''s plan is kept under; null: it is not to be.';

create function quantumflow._plan_of_cache(p_goal quantumflow.goals, p_open jsonb, p_now timestamptz)
returns quantumflow.goals
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_plan_of_cache$
declare
  v_planner quantumflow.decomposers := quantumflow._decomposer(coalesce(p_open ->> 'decomposer', p_goal.decomposer));
  v_key     text := case when p_open ? 'whole' then quantumflow._cache_key(v_planner, p_goal, p_open) end;
  v_tasks   jsonb;
  v_goal    quantumflow.goals := p_goal;
begin
  if v_key is null then
    return p_goal;
  end if;

  select c.tasks
  into v_tasks
  from quantumflow._goal_cache c
  where c.cache_key = v_key
    and c.made_at > p_now - v_planner.cache_for
    and quantumflow._went_well(v_key);

  if v_tasks is null or exists (select from quantumflow._problems_of_plan(p_goal, p_open, v_planner, v_tasks)) then
    return p_goal;
  end if;

  update quantumflow._goal_cache c
  set hits = c.hits + 1
  where c.cache_key = v_key;

  update quantumflow.goals g
  set
    graph = jsonb_build_object('tasks', quantumflow._with_plan(p_goal.graph -> 'tasks', p_open, v_tasks)),
    cache_key = v_key
  where g.goal_id = p_goal.goal_id
  returning *
  into v_goal;

  return v_goal;
end
$_plan_of_cache$;

comment on function quantumflow._plan_of_cache(quantumflow.goals, jsonb, timestamptz) is
'A goal with the plan that was made for it before in place of its task, if that is not too old, went well, and would be good today; else as it was.';

create function quantumflow._went_well(p_cache_key text)
returns boolean
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_went_well$
begin
  return (
    select count(*) filter (where r.status = 'failed') <= count(*) filter (where r.status = 'completed')
    from (
      select l.run_id
      from quantumflow.goals l
      where l.cache_key = p_cache_key
        and l.run_id is not null
      order by l.goal_id desc
      limit 20
    ) g
    cross join lateral (
      select l.status
      from quantumflow.workflow_runs l
      where l.id = g.run_id
      limit 1
    ) r
  );
end
$_went_well$;

comment on function quantumflow._went_well(text) is 'Whether of the last 20 runs of a plan no more have failed than completed.';

create function quantumflow._problems_of_plan(
  p_goal    quantumflow.goals,
  p_open    jsonb,
  p_planner quantumflow.decomposers,
  p_plan    jsonb)
returns table (code text, path text, message text)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_problems_of_plan$
declare
  v_others    int := jsonb_array_length(p_goal.graph -> 'tasks') - 1;
  v_depth     int := coalesce((p_open ->> 'depth')::int, 1);
  v_max_depth bigint := least(
    quantumflow._limit('orchestrator.max_depth'), p_planner.max_depth, (p_goal.options ->> 'max_depth')::int);
begin
  return query
  select p.*
  from quantumflow._task_graph_problems(
    p_plan,
    row(p_planner.may_use, '{single,map}', quantumflow._limit('max_plan_steps') - v_others, v_depth < v_max_depth, null, '{}')::quantumflow._planned) p;

  if found then
    return;
  end if;

  -- It may not fit where it is to be: together they are a graph, too.
  return query
  select p.*
  from quantumflow._task_graph_problems(
    quantumflow._without_marks(quantumflow._with_plan(p_goal.graph -> 'tasks', p_open, p_plan)),
    row(null, '{single,map}', quantumflow._limit('max_plan_steps'), true, null, '{}')::quantumflow._planned) p;
end
$_problems_of_plan$;

comment on function quantumflow._problems_of_plan(quantumflow.goals, jsonb, quantumflow.decomposers, jsonb) is
'What is wrong with a plan for a task that is a goal, as _task_graph_problems has it.';

create function quantumflow._with_plan(p_tasks jsonb, p_open jsonb, p_plan jsonb)
returns jsonb
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_with_plan$
declare
  v_plan jsonb := quantumflow._tidy_tasks(quantumflow._graph_tasks(p_plan));
begin
  select jsonb_agg(
    t.value || case
      when t.value ? 'goal' then jsonb_build_object(
        'depth', coalesce((p_open ->> 'depth')::int, 1) + 1, 'decomposer', p_open -> 'decomposer')
      else '{}'
    end
    order by t.number)
  into v_plan
  from jsonb_array_elements(v_plan) with ordinality as t(value, number);

  return case when p_open ? 'whole' then v_plan else quantumflow._put_in_place(p_tasks, array[quantumflow._id_text(p_open -> 'id')], array[v_plan]) end;
end
$_with_plan$;

comment on function quantumflow._with_plan(jsonb, jsonb, jsonb) is
'Tasks with a plan in place of the one that it is for. Those of it that are goals in turn are one level deeper.';

create function quantumflow._goal_slug(p_decomposer text)
returns text
language sql
immutable
return '_goal_' || p_decomposer;

comment on function quantumflow._goal_slug(text) is
'The workflow of a decomposer: a version of it is what one or several of its goals come to, or the run in which it is asked.';

create function quantumflow._start_goal(p_goal quantumflow.goals, p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_start_goal$
declare
  v_slug       text := quantumflow._goal_slug(p_goal.decomposer);
  v_definition jsonb := quantumflow._definition_of_tasks(p_goal.graph -> 'tasks', p_goal.options)
    || case when quantumflow._tells_at_once() then '{"announce": true}'::jsonb else '{}' end;
  v_version    int;
begin
  -- What is left to be wrong by now are limits.
  perform quantumflow._raise_problems(v_definition || '{"slug": "goal"}', p_may_be_empty => false);
  v_version := quantumflow._store_hidden(v_slug, v_definition);

  insert into quantumflow._hidden_runs (workflow_slug, version, run_id)
  values (v_slug, v_version, p_goal.run_id);

  perform quantumflow._start_runs(
    v_slug, v_version, array[p_goal.run_id],
    array[jsonb_build_object('goal_id', p_goal.goal_id, 'goal', p_goal.goal, 'context', p_goal.context)],
    coalesce((p_goal.options ->> 'priority')::int, 0), null, null, p_goal.options -> 'headers', true, p_now => p_now, p_origin => 'goal');
end
$_start_goal$;

comment on function quantumflow._start_goal(quantumflow.goals, timestamptz) is
'Starts the run of a goal whose tasks are known.

Errors: as start_flow, and define_flow.';
