begin;
select plan(19);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
-- Define.
select quantumflow.create_flow('orders', retry_delay => '10 s', on_complete => 'archive', on_failure => 'alarm');
select quantumflow.add_step('orders', 'list', command => 'list_orders');
select quantumflow.add_step('orders', 'charge', '{list}', step_type => 'map', max_attempts => 2);
select quantumflow.add_step('orders', 'gifts', step_type => 'map', depends_on => '{charge}', map_over => 'charge');
select quantumflow.add_step('orders', 'report', '{charge,gifts}', args => '{"to": "boss"}');

-- Start: one to run, one to cancel, one with nothing in it.
select quantumflow.start_flow('orders', '{"day": 1}', run_id => '10000000-0000-0000-0000-000000000001', idempotency_key => 'day 1');
select quantumflow.start_flow('orders', '{"day": 2}', run_id => '10000000-0000-0000-0000-000000000002');
select quantumflow.start_flow('orders', '{"day": 3}', run_id => '10000000-0000-0000-0000-000000000003', start_at => '2030-01-01 01:00:00+00');
select quantumflow.cancel_run('10000000-0000-0000-0000-000000000002', 'a holiday');

-- Work.
create temporary table claimed on commit drop as
select * from quantumflow.claim_tasks('a0000000-0000-0000-0000-00000000000a', 10);
select results_eq(
  'select command, input from claimed', $$values ('list_orders', '{"run": {"day": 1}}'::jsonb)$$, 'the first step of the one run that is due');
select quantumflow.complete_task(run_id, step_slug, task_index, '[{"id": 7}, {"id": 8}, {"id": 9}]', lease_token) from claimed;

truncate claimed;
insert into claimed select * from quantumflow.claim_tasks('a0000000-0000-0000-0000-00000000000a', 10);
select results_eq(
  'select step_slug, task_index, input from claimed order by 2',
  $$values ('charge', 0, '{"item": {"id": 7}, "index": 0}'::jsonb), ('charge', 1, '{"item": {"id": 8}, "index": 1}'),
    ('charge', 2, '{"item": {"id": 9}, "index": 2}')$$,
  'a task per item');
select is(
  (select quantumflow.fail_task(run_id, step_slug, task_index, 'the bank is closed', lease_token) from claimed where task_index = 1),
  'retrying', 'one fails');
select set_eq(
  $$select o.task_index, o.outcome from quantumflow.complete_tasks((
      select jsonb_agg(to_jsonb(c) || jsonb_build_object('output', '[]'::jsonb)) from claimed c where task_index <> 1)) o$$,
  $$values (0, 'completed'), (2, 'completed')$$, 'the others do not');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

set local quantumflow.now = '2030-01-01 00:00:05+00';
select is_empty('select from quantumflow.claim_tasks(gen_random_uuid(), 10)', 'nothing until the delay is over');
set local quantumflow.now = '2030-01-01 00:01:00+00';
truncate claimed;
insert into claimed select * from quantumflow.claim_tasks('b0000000-0000-0000-0000-00000000000b', 10);
select results_eq('select task_index, attempt from claimed', 'values (1, 2)', 'then the second attempt');
select quantumflow.complete_task(run_id, step_slug, task_index, '"charged"', lease_token) from claimed;

truncate claimed;
insert into claimed select * from quantumflow.claim_tasks('b0000000-0000-0000-0000-00000000000b', 10);
select results_eq(
  'select step_slug, task_index, input -> ''item'' from claimed order by 2',
  $$values ('gifts', 0, '[]'::jsonb), ('gifts', 1, '"charged"'), ('gifts', 2, '[]')$$, 'a map over the outputs of a map');
select count(*) from quantumflow.complete_tasks((select jsonb_agg(to_jsonb(c)) from claimed c));

truncate claimed;
insert into claimed select * from quantumflow.claim_tasks('b0000000-0000-0000-0000-00000000000b', 10);
select results_eq(
  'select step_slug, args, input from claimed',
  $$values ('report', '{"to": "boss"}'::jsonb, '{"run": {"day": 1}, "charge": [[], "charged", []], "gifts": [null, null, null]}'::jsonb)$$,
  'the last step is given what came before');
select quantumflow.complete_task(run_id, step_slug, task_index, '"all is well"', lease_token) from claimed;

truncate claimed;
insert into claimed select * from quantumflow.claim_tasks('b0000000-0000-0000-0000-00000000000b', 10);
select results_eq(
  'select step_slug, command, input from claimed',
  $$values ('_on_complete', 'archive', '{"run": {"day": 1}, "output": {"report": "all is well"}}'::jsonb)$$, 'and the callback the output');
select quantumflow.complete_task(run_id, step_slug, task_index, null, lease_token) from claimed;
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

-- The run that was to start later, with an empty list.
set local quantumflow.now = '2030-01-01 01:00:00+00';
select quantumflow.complete_task('10000000-0000-0000-0000-000000000003', 'list', output => '[]');
truncate claimed;
insert into claimed select * from quantumflow.claim_tasks('b0000000-0000-0000-0000-00000000000b', 10);
select results_eq(
  'select step_slug, input from claimed',
  $$values ('report', '{"run": {"day": 3}, "charge": [], "gifts": []}'::jsonb)$$, 'maps of nothing are done at once');
select is(
  (select quantumflow.fail_task(run_id, step_slug, task_index, 'nothing to report', lease_token, retryable => false) from claimed),
  'failed', 'a failure for good');
truncate claimed;
insert into claimed select * from quantumflow.claim_tasks('b0000000-0000-0000-0000-00000000000b', 10);
select results_eq(
  'select command, input from claimed',
  $$values ('alarm', '{"run": {"day": 3}, "error": "step report: nothing to report",
    "failure": {"message": "nothing to report", "step_slug": "report", "task_index": 0, "attempt": 1, "kind": "error"}}'::jsonb)$$, 'is told to the other callback');
select quantumflow.complete_task(run_id, step_slug, task_index, null, lease_token) from claimed;

-- Look.
select is(
  quantumflow.start_flow('orders', '{"day": 1}', idempotency_key => 'day 1'), '10000000-0000-0000-0000-000000000001'::uuid,
  'the same request again is the same run');
select results_eq(
  'select status, output, error_message, remaining_steps from quantumflow.workflow_runs order by id',
  $$values
    ('completed', '{"report": "all is well"}'::jsonb, null::text, 0),
    ('cancelled', null, 'a holiday', 4),
    ('failed', null, 'step report: nothing to report', 1)$$,
  'how it all ended');
select results_eq(
  'select right(run_id::text, 1), step_slug, task_index, attempt, kind, error_message from quantumflow.task_failures order by 1',
  $$values ('1', 'charge' collate "C", 1, 1, 'error', 'the bank is closed'), ('3', 'report', 0, 1, 'error', 'nothing to report')$$,
  'what went wrong');
select is_empty('select from pgmq.q_quantum_flow_queue', 'no message is left');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
