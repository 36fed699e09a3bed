begin;
select plan(2);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "a"}, {"name": "m", "type": "map", "dependencies": ["a"]}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.pause_run('10000000-0000-0000-0000-000000000001');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'a', output => '[]');

select results_eq(
  $$select status, output from quantumflow.resume_run('10000000-0000-0000-0000-000000000001')$$,
  $$values ('completed', '{"m": []}'::jsonb)$$,
  'the empty map that it held back was all there was');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
