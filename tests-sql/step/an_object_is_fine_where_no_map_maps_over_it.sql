begin;
select plan(4);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "a"}, {"name": "list"}, {"name": "single", "dependencies": ["a"]},
  {"name": "each", "type": "map", "map_over": "list", "dependencies": ["a", "list"]}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');

select is(quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'a', output => '{"o": 1}'), 'completed', 'an object');
select is(quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'list', output => '[{"o": 2}]'), 'completed', 'an array');
select results_eq(
  'select step_slug, item_value from quantumflow.step_tasks where status = ''queued'' order by 1',
  $$values ('each' collate "C", '{"o": 2}'::jsonb), ('single', null)$$,
  'a map may wait for more than it maps over');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
