begin;
select plan(8);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}, {"name": "b"}, {"name": "c", "command": "d"}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
update pgmq.q_quantum_flow_queue set message = message || '{"command": "b"}' where message ->> 'step_name' = 'a';
update pgmq.q_quantum_flow_queue set message = message - 'command' where message ->> 'step_name' = 'c';

select results_eq(
  'select rule, step_slug, problem, remedy from quantumflow.check_state() order by 2',
  $$values
    (2, 'a', 'the message names the command ''b'', not that of its step, ''a''', 'name the command'),
    (2, 'c', 'the message names the command ''c'', not that of its step, ''d''', 'name the command')$$,
  'it is named');

select is_empty($$select step_slug from quantumflow.claim_tasks(gen_random_uuid(), 9, commands => '{a}')$$, 'one is not found');
select results_eq(
  $$select step_slug from quantumflow.claim_tasks(gen_random_uuid(), 9, commands => '{b}')$$, $$values ('b')$$,
  'nor handed out to whom it is not for');
select results_eq(
  $$select message ->> 'command', vt from pgmq.q_quantum_flow_queue where message ->> 'step_name' = 'a'$$,
  $$values ('a', timestamptz '2030-01-01 00:00:00+00')$$, 'who finds it puts it where it belongs, at its place');

update pgmq.q_quantum_flow_queue set message = message || '{"command": "b"}' where message ->> 'step_name' = 'a';
select results_eq(
  $$select step_slug, action from quantumflow.repair(false) order by 1$$,
  $$values ('a', 'done: name the command'), ('c', 'done: name the command')$$, 'so does a repair');
select is_empty('select * from quantumflow.check_state()', 'every rule holds again');
select results_eq(
  $$select step_slug from quantumflow.claim_tasks(gen_random_uuid(), 9, commands => '{a}')$$, $$values ('a')$$, 'one is found');
select results_eq(
  $$select step_slug from quantumflow.claim_tasks(gen_random_uuid(), 9, commands => '{d}')$$, $$values ('c')$$, 'and the other');

select * from finish();
rollback;
