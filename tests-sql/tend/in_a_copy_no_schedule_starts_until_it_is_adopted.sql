begin;
select plan(11);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}]}');
select quantumflow.schedule_flow('s', 'w', '@hourly', overlap => 'allow', catch_up => 100);
select ok(
  exists (select from quantumflow.settings where name = 'identity'), 'the first schedule says which database it is, as the first run does');

update quantumflow.settings set value = 'another' where name = 'identity';
set local quantumflow.now = '2030-01-01 05:30:00+00';
select is((select tasks from quantumflow.sweep() where action = 'schedules'), 0, 'a copy starts nothing');
select is(
  (select problem from quantumflow.list_schedules()), 'this database is a copy of another: nothing starts until adopt()', 'and says so');
select is_empty($$select from quantumflow.doctor() where subject like 'schedule %'$$, 'doctor says it once, of the database');
select is((select state from quantumflow.doctor() where subject = 'identity'), 'error', 'as an error');

select quantumflow.adopt();
select is((select tasks from quantumflow.sweep() where action = 'schedules'), 0, 'what was due in the meantime is not made up for');
select results_eq(
  'select next_at, missed, problem from quantumflow.list_schedules()', $$values ('2030-01-01 06:00+00'::timestamptz, 0::bigint, null)$$,
  'all goes on from now');
set local quantumflow.now = '2030-01-01 06:00:00+00';
select is((select tasks from quantumflow.sweep() where action = 'schedules'), 1, 'with the next time');

-- In a database that is no copy it changes nothing.
set local quantumflow.now = '2030-01-01 08:30:00+00';
select quantumflow.adopt();
select is((select tasks from quantumflow.sweep() where action = 'schedules'), 2, 'adopting what is one''s own passes nothing over');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');
select is((select count(*) from quantumflow.workflow_runs), 3::bigint, 'three runs');

select * from finish();
rollback;
