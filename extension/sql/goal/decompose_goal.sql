create function quantumflow.decompose_goal(
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
as $decompose_goal$
begin
  return (quantumflow._begin_goal(
    decompose_goal.goal, decompose_goal.decomposer, coalesce(decompose_goal.context, '{}'), coalesce(decompose_goal.options, '{}'),
    decompose_goal.idempotency_key, false)).goal_id;
end
$decompose_goal$;

comment on function quantumflow.decompose_goal(text, text, jsonb, jsonb, text) is
'Has a goal decomposed, and no more; the goal''s id at once. goal_status tells the graph.

As execute_goal, but for options that are about tasks.

Errors: as execute_goal: QF601, QF602, QF603, QF604, QF605, QF606, QF607, QF608, QF610, QF612, QF613; QF206 bad idempotency_key.';
