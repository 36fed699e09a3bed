begin;
select plan(5);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "mine", "command": "print"}, {"name": "theirs", "command": "mail"}, {"name": "delayed", "command": "print", "start_delay": 30},
  {"name": "held", "command": "print_now"}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
set local quantumflow.now = '2030-01-01 00:00:20+00';
select count(*) from quantumflow.claim_tasks(gen_random_uuid(), 10, commands => '{print_now}', lease => '40 s');
create temporary view vts as
select q.message ->> 'step_name' as step, extract(epoch from q.vt - '2030-01-01 00:00:00+00')::int as vt
from pgmq.q_quantum_flow_queue q;
select results_eq(
  'select * from vts order by 1', $$values ('delayed', 30), ('held', 60), ('mine', 40), ('theirs', 40)$$, 'two were put back');

set local quantumflow.now = '2030-01-01 00:00:21+00';
select quantumflow.register_worker('a0000000-0000-0000-0000-00000000000a', 'printer', '{print,print_now}', '{quantum_flow_queue}');
select results_eq(
  'select * from vts order by 1', $$values ('delayed', 30), ('held', 60), ('mine', 21), ('theirs', 40)$$,
  'those of its commands come back, but for delayed and claimed ones');
select results_eq(
  $$select step_slug from quantumflow.claim_tasks('a0000000-0000-0000-0000-00000000000a', 10, commands => '{print,print_now}')$$,
  $$values ('mine')$$, 'at once');
select quantumflow.register_worker('b0000000-0000-0000-0000-00000000000b', 'anything', null, '{quantum_flow_queue}');
select is((select vt from vts where step = 'theirs'), 21, 'null means any command');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
