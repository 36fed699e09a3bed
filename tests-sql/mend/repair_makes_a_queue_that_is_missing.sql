begin;
select plan(3);

select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "a"}, {"name": "m", "type": "map", "dependencies": ["a"]}, {"name": "z", "dependencies": ["m"]}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000002');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'a', output => '[1, 2]');

select pgmq.drop_queue('quantum_flow_queue');

select results_eq(
  'select step_slug, task_index, problem, action from quantumflow.repair(false)',
  $$values
    ('m', 0, 'the task''s queue does not exist', 'done: send it a new message'),
    ('m', 1, 'the task''s queue does not exist', 'done: send it a new message'),
    ('a', 0, 'the task''s queue does not exist', 'done: send it a new message')$$,
  'and fills it');
select is_empty('select * from quantumflow.check_state()', 'every rule holds again');

select is((select count(*)::int from quantumflow.claim_tasks(gen_random_uuid(), 10)), 3, 'the tasks can be claimed');

select * from finish();
rollback;
