begin;
select plan(8);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}, {"name": "b"}, {"name": "c", "dependencies": ["a"]}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select count(*) from quantumflow.claim_tasks(gen_random_uuid(), 1, commands => '{a}');
-- As it is when everything of the run was held by others while it was stopped.
update quantumflow.workflow_runs set status = 'failed', failed_at = quantumflow._now(), error_message = 'x';
insert into quantumflow._unfinished_ends select id, quantumflow._now() from quantumflow.workflow_runs;
select is_empty('select * from quantumflow.check_state() where rule in (1, 9)', 'a recorded end breaks no rule');

select results_eq('select * from quantumflow.sweep()', $$values ('lapsed leases', 0), ('unfinished ends', 1), ('schedules', 0)$$, 'the sweep says so');
select results_eq(
  'select step_slug, status from quantumflow.step_tasks order by 1', $$values ('a' collate "C", 'cancelled'), ('b', 'cancelled')$$,
  'tasks are cancelled');
select results_eq(
  'select step_slug, status from quantumflow.step_states order by 1',
  $$values ('a' collate "C", 'cancelled'), ('b', 'cancelled'), ('c', 'cancelled')$$, 'steps too');
select is_empty('select from pgmq.q_quantum_flow_queue', 'messages are gone');
select is_empty('select from quantumflow._unfinished_ends', 'and nothing is recorded any more');
select results_eq('select * from quantumflow.sweep()', $$values ('lapsed leases', 0), ('unfinished ends', 0), ('schedules', 0)$$, 'a second one finds nothing');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
