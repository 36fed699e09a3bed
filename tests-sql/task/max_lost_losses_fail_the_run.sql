begin;
select plan(6);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "max_lost": 2, "on_failure": "mourn", "steps": [{"name": "m", "type": "map"}]}');
select quantumflow.start_flow('w', '["poison", "fine"]', run_id => '10000000-0000-0000-0000-000000000001');
select count(*) from quantumflow.claim_tasks('a0000000-0000-0000-0000-00000000000a', 1, lease => '10 s');
select count(*) from quantumflow.claim_tasks('b0000000-0000-0000-0000-00000000000b', 1, lease => '1 min');
set local quantumflow.now = '2030-01-01 00:00:10+00';
select * from quantumflow.sweep();
select results_eq(
  $$select input -> 'item' from quantumflow.claim_tasks('a0000000-0000-0000-0000-00000000000a', 9, lease => '10 s')$$,
  $$values ('"poison"'::jsonb)$$, 'lost once: it is handed out again');
set local quantumflow.now = '2030-01-01 00:00:20+00';

select results_eq('select tasks from quantumflow.sweep()', 'values (1), (0), (0)', 'lost twice: the sweep ends it');
select results_eq(
  'select task_index, status, attempts, losses, lease_token is null from quantumflow.step_tasks where step_slug = ''m'' order by 1',
  $$values (0, 'failed', 2, 2, true), (1, 'cancelled', 1, 0, false)$$,
  'the task has failed, its lease is void; its sibling is cancelled');
select results_eq(
  'select status, error_message from quantumflow.workflow_runs',
  $$values ('failed', 'step m, task 0: lost its worker a0000000-0000-0000-0000-00000000000a (attempt 2, lost 2 times)')$$,
  'and the run with it');
select results_eq(
  $$select message ->> 'step_name' from pgmq.q_quantum_flow_queue$$, $$values ('_on_failure')$$,
  'only its callback is queued');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
