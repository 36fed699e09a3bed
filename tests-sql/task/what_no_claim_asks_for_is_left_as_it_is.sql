begin;
select plan(6);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a", "command": "other"}, {"name": "b", "command": "mine"}]}');
select quantumflow.start_flow('w');
create temporary table before on commit drop as
select q.* from pgmq.q_quantum_flow_queue q where message ->> 'step_name' = 'a';

select results_eq(
  $$select step_slug from quantumflow.claim_tasks(gen_random_uuid(), 10, commands => '{mine,unused,mine}')$$,
  $$values ('b')$$,
  'only the commands asked for, each once');
select is_empty($$select from quantumflow.claim_tasks(gen_random_uuid(), 10, commands => '{mine}')$$, 'so it is with one');
set local quantumflow.now = '2030-01-01 00:00:20+00';
select is_empty($$select from quantumflow.claim_tasks(gen_random_uuid(), commands => '{NULL,none}')$$, 'a null among them is none');
select results_eq(
  $$select q.* from pgmq.q_quantum_flow_queue q where message ->> 'step_name' = 'a'$$, 'table before', 'its message has not changed');
select results_eq(
  $$select step_slug, attempt from quantumflow.claim_tasks(gen_random_uuid(), commands => '{other}')$$,
  $$values ('a', 1)$$,
  'and who asks for it gets it at once');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
