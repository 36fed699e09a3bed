begin;
select plan(5);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "max_lost": 2, "steps": [
  {"name": "m", "type": "map", "on_error": "continue"}, {"name": "after", "after": ["m"]}]}');
select quantumflow.start_flow('w', '["poison", "fine"]', run_id => '10000000-0000-0000-0000-000000000001');
select count(*) from quantumflow.claim_tasks('a0000000-0000-0000-0000-00000000000a', 1, lease => '1 s');
set local quantumflow.now = '2030-01-01 00:00:10+00';
select * from quantumflow.sweep();
select count(*) from quantumflow.claim_tasks('a0000000-0000-0000-0000-00000000000a', 1, lease => '10 s');
select count(*) from quantumflow.claim_tasks('b0000000-0000-0000-0000-00000000000b', 1, lease => '20 s');
set local quantumflow.now = '2030-01-01 00:01:00+00';

select results_eq('select action, tasks from quantumflow.sweep()', $$values ('lapsed leases', 1), ('unfinished ends', 0), ('schedules', 0)$$,
  'the last loss of one ends the step');
select results_eq(
  'select task_index, status, attempts, losses from quantumflow.step_tasks where step_slug = ''m'' order by 1',
  $$values (0, 'failed', 2, 2), (1, 'cancelled', 1, 0)$$,
  'the other, whose lease has run out as well, is cancelled with it');
select results_eq(
  'select task_index, attempt, kind from quantumflow.task_failures order by 1, 2', $$values (0, 1, 'lost'), (0, 2, 'lost')$$,
  'and no loss of it is written down that did not count');
select results_eq(
  $$select message ->> 'step_name' from pgmq.q_quantum_flow_queue$$, $$values ('after')$$, 'only what goes on is queued');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
