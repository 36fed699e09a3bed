begin;
select plan(9);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
set local client_min_messages = error;
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a", "type": "sleep", "seconds": 0}, {"name": "z", "dependencies": ["a"]}]}');
select quantumflow.start_flow('w', '"good"', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.start_flow('w', '"bad"', run_id => '10000000-0000-0000-0000-000000000002');
select quantumflow.start_flow('w', '"good"', run_id => '10000000-0000-0000-0000-000000000003');
alter table quantumflow.step_tasks add constraint broken
  check (run_id <> '10000000-0000-0000-0000-000000000002' or step_slug = 'a');

select results_eq(
  'select * from quantumflow.settle()', $$values (2, '2030-01-01 00:01:00+00'::timestamptz)$$, 'the others are settled, and it comes back in a minute');
select results_eq('select * from quantumflow.settle()', $$values (0, '2030-01-01 00:01:00+00'::timestamptz)$$, 'not before');
select results_eq(
  $$select reason, until, detail like 'could not be settled: new row for relation "step_tasks" violates check constraint "broken" (23514)'
  from quantumflow.why('10000000-0000-0000-0000-000000000002') where step_slug = 'a'$$,
  $$values ('could not be settled', '2030-01-01 00:01:00+00'::timestamptz, true)$$,
  'why tells, with the reason');
select is(
  (select sum(y.tasks) from quantumflow.why(only_stuck => true) y where y.reason = 'could not be settled'), 1::numeric, 'as one that is stuck');
select matches(
  (select d.state || ': ' || d.fact from quantumflow.doctor() d where d.subject = 'timers and signals'),
  '^warning: 1 are waited for, 1 could not be settled, for example: could not be settled: new row', 'so does doctor');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken by it');

alter table quantumflow.step_tasks drop constraint broken;
set local quantumflow.now = '2030-01-01 00:01:00+00';
select results_eq('select * from quantumflow.settle()', $$values (1, null::timestamptz)$$, 'when it can be settled it is');
select is_empty('select from quantumflow.step_tasks where error_message is not null', 'and nothing is said any more');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
