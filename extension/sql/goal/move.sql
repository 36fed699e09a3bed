create function quantumflow._move_goals(p_now timestamptz)
returns int
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_move_goals$
declare
  v_goal  quantumflow.goals;
  v_moved int := 0;
begin
  -- One look at an index, which is empty where nobody is asked for plans.
  if not exists (select from quantumflow.goals g where g.is_planning) or quantumflow._is_copy() then
    return 0;
  end if;

  for v_goal in
    select g.*
    from quantumflow.goals g
    where g.is_planning
      and not exists (
        select
        from quantumflow.workflow_runs r
        where r.id = g.plan_run_id
          and r.status in ('started', 'paused')
      )
    order by g.goal_id
    limit 100
    for update skip locked
  loop
    perform quantumflow._try_to_move(v_goal, p_now);
    v_moved := v_moved + 1;
  end loop;

  return v_moved;
end
$_move_goals$;

comment on function quantumflow._move_goals(timestamptz) is
'Goes on with goals for which a worker was asked for a plan, and whose answer is there, 100 at most; how many. What others hold is left to them.
In a copy of a database it moves none.';

create function quantumflow._try_to_move(p_goal quantumflow.goals, p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_try_to_move$
declare
  v_detail text;
begin
  perform quantumflow._take_answer(p_goal, p_now);
exception
  when others then
    -- These are none of the goal's: the whole call is to be made again.
    if quantumflow._is_of_the_call(sqlstate) then
      raise;
    end if;

    get stacked diagnostics v_detail = pg_exception_detail;
    perform quantumflow._fail_goal(p_goal, sqlstate, sqlerrm, nullif(v_detail, ''), p_now);
end
$_try_to_move$;

comment on function quantumflow._try_to_move(quantumflow.goals, timestamptz) is
'Goes on with a goal, or fails it with what that raised: so it harms no other.';

create function quantumflow._take_answer(p_goal quantumflow.goals, p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_take_answer$
declare
  v_run     quantumflow.workflow_runs;
  v_open    jsonb := quantumflow._open_task(p_goal.graph);
  v_planner quantumflow.decomposers;
  v_plan    jsonb;
  v_wrong   jsonb;
  v_goal    quantumflow.goals;
begin
  select *
  into v_run
  from quantumflow.workflow_runs r
  where r.id = p_goal.plan_run_id;

  if v_run.status is distinct from 'completed' then
    perform quantumflow._fail_goal(
      p_goal, null, coalesce(v_run.error_message, 'the run that was to plan it was ' || coalesce(v_run.status, 'deleted')), null, p_now);
    return;
  end if;

  v_planner := quantumflow._decomposer(coalesce(v_open ->> 'decomposer', p_goal.decomposer));
  v_plan := quantumflow._step_output(v_run.id, 'plan');

  select jsonb_agg(to_jsonb(p))
  into v_wrong
  from quantumflow._problems_of_plan(p_goal, v_open, v_planner, v_plan) p;

  if v_wrong is null then
    perform quantumflow._keep_plan(p_goal.cache_key, v_open, v_plan, p_now);

    update quantumflow.goals g
    set
      is_planning = false,
      graph = jsonb_build_object('tasks', quantumflow._with_plan(p_goal.graph -> 'tasks', v_open, v_plan))
    where g.goal_id = p_goal.goal_id
    returning *
    into v_goal;

    perform quantumflow._go_on_with_goal(v_goal, p_now);
  elsif p_goal.rounds < 2 and p_goal.plans < quantumflow._limit('max_plans') then
    perform quantumflow._ask_for_plan(p_goal, v_open, v_wrong, p_now);
  else
    perform quantumflow._fail_goal(
      p_goal, v_wrong #>> '{0,code}', v_wrong #>> '{0,message}', quantumflow._listed_problems(v_wrong), p_now);
  end if;
end
$_take_answer$;

comment on function quantumflow._take_answer(quantumflow.goals, timestamptz) is
'Goes on with a goal whose planner has answered. A plan with problems goes back to it, with these, twice; then the goal fails with them.';

create function quantumflow._keep_plan(p_cache_key text, p_open jsonb, p_plan jsonb, p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_keep_plan$
begin
  if p_cache_key is null or not p_open ? 'whole' then
    return;
  end if;

  insert into quantumflow._goal_cache as c (cache_key, tasks, made_at)
  values (p_cache_key, p_plan, p_now)
  on conflict on constraint _goal_cache_pkey do update
  set
    tasks = excluded.tasks,
    made_at = excluded.made_at;
end
$_keep_plan$;

comment on function quantumflow._keep_plan(text, jsonb, jsonb, timestamptz) is 'Keeps the plan of a whole goal, where its decomposer says so.';
