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
begin
  if v_goal.goal_id is not null then
    return v_goal;
  end if;

  perform quantumflow._refuse_bad_key(p_idempotency_key);
  perform quantumflow._refuse_bad_goal(p_goal, p_context);
  perform quantumflow._refuse_bad_options(p_options, '{max_depth,priority,headers,monitor}');
  v_decomposer := quantumflow._decomposer(p_decomposer);

  v_goal := row(
    quantumflow._uuid_v7(), p_goal, p_decomposer, p_context, p_options, p_idempotency_key, p_executes, quantumflow._now(),
    quantumflow._graph_of_goal(v_decomposer, p_goal, p_context, p_options),
    case when p_executes then quantumflow._uuid_v7() end, null, null, null, null
  )::quantumflow.goals;

  insert into quantumflow.goals
  select v_goal.*
  on conflict do nothing;

  if not found then
    -- Somebody else has given it meanwhile.
    return quantumflow._goal_of_key(p_decomposer, p_idempotency_key);
  end if;

  if p_executes then
    perform quantumflow._start_goal(v_goal);
  end if;

  return v_goal;
end
$_begin_goal$;

comment on function quantumflow._begin_goal(text, text, jsonb, jsonb, text, boolean) is
'Decomposes a goal and, if it is to be executed, starts its run; its row, which is that of before where the key is the same.

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

create function quantumflow._graph_of_goal(p_decomposer quantumflow.decomposers, p_goal text, p_context jsonb, p_options jsonb)
returns jsonb
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_graph_of_goal$
declare
  v_tasks jsonb := quantumflow._tasks_by_rules(
    p_decomposer, p_goal, p_context, (p_options ->> 'max_depth')::int);
begin
  if v_tasks is null or v_tasks @? '$[*].decomposer' then
    raise exception 'decomposer "%" does not answer at once', p_decomposer.name
    using
      errcode = 'QF614',
      detail = 'It, or the one on which it falls back, is a command, which a worker is asked.',
      hint = 'Let it have a rule for this goal.';
  end if;

  return jsonb_build_object('tasks', v_tasks);
end
$_graph_of_goal$;

comment on function quantumflow._graph_of_goal(quantumflow.decomposers, text, jsonb, jsonb) is
'The graph that a goal comes to by rules.

Errors: as decompose.';

create function quantumflow._start_goal(p_goal quantumflow.goals)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_start_goal$
declare
  v_slug       text := quantumflow._goal_slug(p_goal.decomposer);
  v_definition jsonb := quantumflow._definition_of_tasks(p_goal.graph -> 'tasks', p_goal.options);
  v_version    int;
begin
  -- What rules are, and how long names get, is known by now; this holds what is left, the limits.
  perform quantumflow._raise_problems(v_definition || '{"slug": "goal"}', p_may_be_empty => false);
  v_version := quantumflow._store_hidden(v_slug, v_definition);

  insert into quantumflow._hidden_runs (workflow_slug, version, run_id)
  values (v_slug, v_version, p_goal.run_id);

  perform quantumflow._start_runs(
    v_slug, v_version, array[p_goal.run_id],
    array[jsonb_build_object('goal_id', p_goal.goal_id, 'goal', p_goal.goal, 'context', p_goal.context)],
    coalesce((p_goal.options ->> 'priority')::int, 0), null, null, p_goal.options -> 'headers', true);
end
$_start_goal$;

comment on function quantumflow._start_goal(quantumflow.goals) is
'Starts the run of a goal whose graph is there.

Errors: as start_flow, and define_flow.';

create function quantumflow._goal_slug(p_decomposer text)
returns text
language sql
immutable
return '_goal_' || p_decomposer;

comment on function quantumflow._goal_slug(text) is
'The workflow of a decomposer: a version of it is what one or several of its goals come to.';
