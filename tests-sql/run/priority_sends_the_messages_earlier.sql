begin;
select plan(4);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "two", "steps": [{"name": "a"}, {"name": "b", "dependencies": ["a"]}]}');
select quantumflow.start_flow('two', run_id => '10000000-0000-0000-0000-000000000001', priority => 30);

select results_eq(
  'select vt from pgmq.q_quantum_flow_queue',
  $$values ('2029-12-31 23:59:30+00'::timestamptz)$$,
  'visible for 30 seconds already');

set local quantumflow.now = '2030-01-01 01:00:00+00';
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'a');

select results_eq(
  'select message ->> ''step_name'', vt from pgmq.q_quantum_flow_queue',
  $$values ('b', '2030-01-01 00:59:30+00'::timestamptz)$$,
  'later steps too');
select results_eq(
  'select step_slug, queued_at from quantumflow.step_tasks order by 1',
  $$values ('a' collate "C", '2030-01-01 00:00:00+00'::timestamptz), ('b', '2030-01-01 01:00:00+00')$$,
  'the tasks say when they were queued really');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
