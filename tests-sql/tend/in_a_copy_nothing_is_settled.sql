begin;
select plan(6);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
set local client_min_messages = warning;
select quantumflow.define_flow('{"slug": "w", "run_timeout": 30, "steps": [
  {"name": "a", "type": "sleep", "seconds": 60}, {"name": "b", "type": "wait"}, {"name": "z", "dependencies": ["a"]}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
update quantumflow.settings set value = 'elsewhere/1' where name = 'identity';
create temporary table before on commit drop as table quantumflow.step_tasks;

set local quantumflow.now = '2030-01-01 00:02:00+00';
select results_eq('select * from quantumflow.settle()', 'values (0, null::timestamptz)', 'settle ends nothing');
select is((select s.tasks from quantumflow.sweep() s where s.action = 'settled'), 0, 'nor does a sweep');
select is(quantumflow.send_signal('10000000-0000-0000-0000-000000000001', 'b'), 'delivered', 'a signal is kept');
select set_eq('table quantumflow.step_tasks', 'table before', 'and nothing goes on');

select quantumflow.adopt();
select is((select s.settled from quantumflow.settle(1) s), 1, 'once it is adopted it does');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
