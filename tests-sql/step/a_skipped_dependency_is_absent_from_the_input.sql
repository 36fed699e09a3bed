begin;
select plan(1);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "a"}, {"name": "b"}, {"name": "c", "dependencies": ["a", "b"]}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'b', output => '1');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'a', output => '2');
-- Nothing skips a step yet, so by hand.
update quantumflow.step_states set status = 'skipped', completed_at = null where step_slug = 'a';

select results_eq(
  'select input from quantumflow.claim_tasks(gen_random_uuid())', $$values ('{"run": {}, "b": 1}'::jsonb)$$, 'no key');

select * from finish();
rollback;
