create function quantumflow.execute_goal(
  goal            text,
  decomposer      text,
  context         jsonb default '{}',
  options         jsonb default '{}',
  idempotency_key text default null)
returns uuid
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $execute_goal$
begin
  return (quantumflow._begin_goal(
    execute_goal.goal, execute_goal.decomposer, coalesce(execute_goal.context, '{}'), coalesce(execute_goal.options, '{}'),
    execute_goal.idempotency_key, true)).goal_id;
end
$execute_goal$;

comment on function quantumflow.execute_goal(text, text, jsonb, jsonb, text) is
'Has a goal decomposed into tasks, and these done; the goal''s id at once. goal_status tells how it goes and what came of it.

Where rules do not answer, a worker is asked for a plan, in a run of its own. A plan with problems goes back to it, with these, twice. A task of it that
is a goal is planned in turn, and what it comes to is put in its place. When no task is a goal any more, the run of the goal starts.

goal: in words, at most 10,000 characters. decomposer: what makes tasks of it; see register_decomposer.
context: an object, what else the decomposer and the tasks are to know. Each task is given {"run": {"goal_id", "goal", "context"}}, and the outputs of
those that it depends on.
options: "max_depth", how deep goals may be nested, no more than the settings say; "priority" and "headers", as for start_flow; "cache", whether a plan may be one that was made
before; and keys of a flow in a definition, which the tasks go by.
idempotency_key: unique for the decomposer; the same key again is the same goal, whatever else is passed.

Errors: QF601 no rule fits; QF602 a command, or its args, that may not be; QF603 too many tasks; QF604 nested too deep; QF605 too many rules tried; QF606 a type of
step, QF607 a key that is not for tasks; QF608 unknown decomposer; QF610 no graph; QF612 a goal, context or options that are none; QF613 it takes too long; 
QF206 bad idempotency_key; and those of define_flow and start_flow.';
