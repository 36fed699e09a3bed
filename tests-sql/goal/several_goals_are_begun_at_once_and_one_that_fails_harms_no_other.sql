begin;
select plan(11);

select quantumflow.register_decomposer('shop', 'rules');
select quantumflow.register_decomposer('other', 'rules');
select quantumflow.add_method('shop', '[{"id": "a"}]', pattern => 'ship');
select quantumflow.add_method('other', '[{"id": "b"}]');

create temporary table g as
select row_number() over () as n, x.*
from quantumflow.execute_goals(
  '["ship 1", "make tea", {"goal": "ship 2", "context": {"x": 1}, "options": {"priority": 5}, "idempotency_key": "k"}, {"goal": "tea", "decomposer": "other"},
    {"goal": "ship 3", "options": {"priority": -1}}, {"goal": "ship 4", "decomposer": "nobody"}]', 'shop', '{"priority": 2}') x;

select results_eq(
  $$select n, o.goal, o.decomposer::text collate "default", r.priority, o.error_code from g
    join quantumflow.goals o using (goal_id) left join quantumflow.workflow_runs r on r.id = g.run_id order by n$$,
  $$values (1::bigint, 'ship 1', 'shop', 2, null::text), (2, 'make tea', 'shop', null, 'QF601'), (3, 'ship 2', 'shop', 5, null), (4, 'tea', 'other', 2, null),
    (5, 'ship 3', 'shop', null, 'QF612'), (6, 'ship 4', 'nobody', null, 'QF608')$$, 'each has its own result, in their order');
select is(quantumflow.goal_status((select goal_id from g where n = 2)) ->> 'status', 'failed', 'one that cannot be decomposed has failed');
select is(quantumflow.goal_status((select goal_id from g where n = 2)) ->> 'error_message', 'decomposer "shop" has no rule for goal "make tea"', 'and says why');
select results_eq($$select goal_id from quantumflow.execute_goals('[{"goal": "x", "idempotency_key": "k"}]', 'shop')$$, 'select goal_id from g where n = 3', 'keys are heeded');
select throws_ok($$select quantumflow.execute_goals('"ship"', 'shop')$$, 'QF612', 'goals must be an array, not "ship"', 'no array');
select throws_ok($$select quantumflow.execute_goals('["ship", 3]', 'shop')$$, 'QF612', 'goal 2 must be a text, or an object with "goal", not 3', 'no goal');
select throws_ok($$select quantumflow.execute_goals('[{"goal": "a", "context": 3}]', 'shop')$$, 'QF612', null, 'no context');
select throws_ok($$select quantumflow.execute_goals('["a"]', 'nobody')$$, 'QF608', null, 'an unknown decomposer for all');
select throws_ok($$select quantumflow.execute_goals('["a"]', 'shop', '{"x": 1}')$$, 'QF612', null, 'wrong options for all');
select is_empty($$select * from quantumflow.execute_goals('[]', 'shop')$$, 'none is fine');
select is_empty('select * from quantumflow.check_state()', 'all is well');

select * from finish();
rollback;
