create function quantumflow._begin_goal(
  p_goal            text,
  p_decomposer      text,
  p_context         jsonb,
  p_options         jsonb,
  p_idempotency_key text,
  p_executes        boolean)
returns quantumflow.goals
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_begin_goal$
declare
  v_decomposer quantumflow.decomposers;
  -- Before anything is refused: a request that comes again gets its goal.
  v_goal       quantumflow.goals := quantumflow._goal_of_key(p_decomposer, p_idempotency_key);
  v_now        timestamptz := quantumflow._now();
begin
  if v_goal.goal_id is not null then
    return v_goal;
  end if;

  perform quantumflow._refuse_bad_key(p_idempotency_key);
  perform quantumflow._refuse_bad_goal(p_goal, p_context);
  perform quantumflow._refuse_bad_options(p_options, '{max_depth,priority,headers,cache}');
  v_decomposer := quantumflow._decomposer(p_decomposer);

  insert into quantumflow.goals as g
    (goal_id, goal, decomposer, context, options, idempotency_key, executes, created_at, graph)
  values (
    quantumflow._uuid_v7(), p_goal, p_decomposer, p_context, p_options, p_idempotency_key, p_executes, v_now,
    quantumflow._first_graph(v_decomposer, p_goal, p_context, p_options))
  on conflict do nothing
  returning *
  into v_goal;

  if not found then
    -- Somebody else has given it meanwhile.
    return quantumflow._goal_of_key(p_decomposer, p_idempotency_key);
  end if;

  return quantumflow._go_on_with_goal(v_goal, v_now);
end
$_begin_goal$;

comment on function quantumflow._begin_goal(text, text, jsonb, jsonb, text, boolean) is
'Decomposes a goal, as far as that needs no worker, and goes on with it; its row, which is that of before where the key is the same.

Errors: as decompose_goal.';

create function quantumflow._goal_of_key(p_decomposer text, p_idempotency_key text)
returns quantumflow.goals
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_goal_of_key$
declare
  v_goal quantumflow.goals;
begin
  if p_idempotency_key is not null then
    select *
    into v_goal
    from quantumflow.goals g
    where (g.decomposer, g.idempotency_key) = (p_decomposer, p_idempotency_key);
  end if;

  return v_goal;
end
$_goal_of_key$;

comment on function quantumflow._goal_of_key(text, text) is 'The goal of a decomposer that was given with a key; all null when there is none.';

create function quantumflow._first_graph(p_decomposer quantumflow.decomposers, p_goal text, p_context jsonb, p_options jsonb)
returns jsonb
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_first_graph$
begin
  return jsonb_build_object('tasks', coalesce(
    quantumflow._tasks_by_rules(p_decomposer, p_goal, p_context, (p_options ->> 'max_depth')::int),
    jsonb_build_array(jsonb_build_object(
      'id', 'goal', 'goal', quantumflow._normal_goal(p_goal), 'decomposer', quantumflow._planner_of(p_decomposer), 'whole', true))));
end
$_first_graph$;

comment on function quantumflow._first_graph(quantumflow.decomposers, text, jsonb, jsonb) is
'The graph that a goal comes to by rules; where these do not answer, one task, the goal, for the planner that does.

Errors: as decompose.';

create function quantumflow._planner_of(p_decomposer quantumflow.decomposers)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_planner_of$
begin
  if p_decomposer.kind = 'command' then
    return p_decomposer.name;
  end if;

  return quantumflow._planner_of(quantumflow._decomposer(p_decomposer.fallback));
end
$_planner_of$;

comment on function quantumflow._planner_of(quantumflow.decomposers) is 'The decomposer that is a command: this one, or that on which it falls back in the end.';
