begin;
select plan(25);

select quantumflow.register_decomposer('shop', 'rules');
select quantumflow.add_method('shop', '[{"id": "pick-it"}, {"id": "wrap", "depends_on": ["pick-it"], "critical": false}, {"id": "gift", "depends_on": ["pick-it"], "if": "$.run.context.gift == true"}]',
  pattern => '^ship');

select throws_ok($$select quantumflow.execute_goal('make tea', 'shop')$$, 'QF601', null, 'an unknown goal is refused');
select is_empty('select from quantumflow.goals', 'and nothing is left behind');

create temporary table g as
select quantumflow.execute_goal('ship order 17', 'shop', '{"gift": false}', '{"priority": 3, "headers": {"t": 1}, "queue": "goals", "max_attempts": 1}', 'order 17') as id;

select is(quantumflow.execute_goal('whatever', 'shop', idempotency_key => 'order 17'), (select id from g), 'the same key is the same goal');
select isnt(quantumflow.execute_goal('ship order 17', 'shop', '{"gift": false}'), (select id from g), 'without one it is another');
select results_eq(
  $$select r.workflow_slug::text collate "default", r.version, r.input, r.priority, r.headers from quantumflow.workflow_runs r
    join quantumflow.goals o on o.run_id = r.id join g on g.id = o.goal_id$$,
  $$select '_goal_shop', 1, jsonb_build_object('goal_id', id, 'goal', 'ship order 17', 'context', '{"gift": false}'::jsonb), 3, '{"t": 1}'::jsonb from g$$,
  'its run is of a workflow of the decomposer''s, and is told the goal');
select results_eq(
  $$select step_slug::text collate "default", max_attempts, queue from quantumflow.workflow_steps where version = 1 order by step_index$$,
  $$values ('pick_it', 1, 'goals'), ('wrap', 1, 'goals'), ('gift', 1, 'goals')$$, 'options that are keys of a flow are the flow''s');
select is((select count(*) from quantumflow.workflow_versions), 2::bigint, 'the same options and tasks are the same version');
select is_empty('select from quantumflow.list_flows()', 'which is hidden');
select throws_ok($$select quantumflow.start_flow('_goal_shop')$$, 'QF112', null, 'and nobody''s to start by name');

create function pg_temp.tell(key text)
returns jsonb
language sql
as $tell$select quantumflow.goal_status((select id from g)) -> key$tell$;

select is(pg_temp.tell('status'), '"running"', 'it runs');
select is(pg_temp.tell('tasks'), '{"pick-it": "started", "wrap": "created", "gift": "created"}', 'its tasks are told by their ids');
select quantumflow.complete_task((pg_temp.tell('run_id') #>> '{}')::uuid, 'pick_it', output => '{"n": 1}');
select is(pg_temp.tell('outputs'), '{"pick-it": {"n": 1}}', 'and so are outputs');
select quantumflow.pause_run((pg_temp.tell('run_id') #>> '{}')::uuid);
select is(pg_temp.tell('status'), '"paused"', 'it is paused with its run');
select quantumflow.resume_run((pg_temp.tell('run_id') #>> '{}')::uuid);
select quantumflow.fail_task((pg_temp.tell('run_id') #>> '{}')::uuid, 'wrap', error_message => 'no paper');
select is(pg_temp.tell('status'), '"completed"', 'what is not critical is gone on without');
select is(pg_temp.tell('tasks'), '{"pick-it": "completed", "wrap": "failed", "gift": "skipped"}', 'and told');
select is(pg_temp.tell('error_message'), 'null', 'there is no error');
select ok((pg_temp.tell('duration') #>> '{}')::numeric > 0 and pg_temp.tell('ended_at') <> 'null', 'it says how long it took');
select results_eq(
  $$select goal, decomposer, status, tasks, done_tasks from quantumflow.list_goals()$$,
  $$values ('ship order 17', 'shop', 'running', 3, 0), ('ship order 17', 'shop', 'completed', 3, 3)$$, 'goals are listed');
select results_eq($$select status from quantumflow.list_goals('completed')$$, $$values ('completed')$$, 'by status');
select throws_ok($$select quantumflow.list_goals('done')$$, 'QF212', null, 'which there are some of');
select throws_ok($$select quantumflow.list_goals(max_goals => 0)$$, 'QF211', null, 'a page has at least one');

-- Decomposed only.
select is(quantumflow.goal_status(quantumflow.decompose_goal('ship it', 'shop')) ->> 'status', 'decomposed', 'a goal may only be decomposed');
select is((select count(*) from quantumflow.workflow_runs), 2::bigint, 'then there is no run');

select throws_ok($$select quantumflow.goal_status('10000000-0000-0000-0000-000000000009')$$, 'QF609', 'goal 10000000-0000-0000-0000-000000000009 does not exist', 'an unknown goal');
select is_empty('select * from quantumflow.check_state()', 'and all is well');

select * from finish();
rollback;
