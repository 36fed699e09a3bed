begin;
select plan(9);

select quantumflow.define_flow('{"slug": "long", "steps": [{"name": "a"}]}');
select quantumflow.start_flow('long', run_id => '20000000-0000-0000-0000-000000000001');
select quantumflow.fail_task('20000000-0000-0000-0000-000000000001', 'a', error_message => repeat('x', 131072), retryable => false);
select is(
  (select octet_length(error_message) from quantumflow.step_tasks), 131072, 'an error of 128 kB is kept when nothing is configured');
select quantumflow.delete_run('20000000-0000-0000-0000-000000000001');

select quantumflow.configure('max_error_bytes', '1000');
select quantumflow.define_flow('{"slug": "w", "max_attempts": 5, "steps": [{"name": "a"}]}');
select quantumflow.start_flow('w', run_id => ('10000000-0000-0000-0000-00000000000' || n)::uuid) from generate_series(1, 2) n;

select is(
  quantumflow.fail_task('10000000-0000-0000-0000-000000000001', 'a', error_message => repeat('x', 1000)), 'retrying',
  'an error as long as is allowed');
select is((select error_message from quantumflow.step_tasks where error_message is not null), repeat('x', 1000), 'is kept whole');

select is(
  quantumflow.fail_task(
    '10000000-0000-0000-0000-000000000001', 'a', error_message => repeat('ü€🎈', 1000), retryable => false,
    error_details => jsonb_build_object('traceback', repeat('x', 1000))),
  'failed', 'a longer one fails the task as any other');
select is(
  (select substring(error_message from '[.]{3} .*') from quantumflow.step_tasks where status = 'failed'),
  '... (cut: it had 9000 bytes)', 'it says that it was cut');
select ok(
  (select octet_length(error_message) between 990 and 1000 and left(error_message, 3) = 'ü€🎈' from quantumflow.step_tasks where status = 'failed'),
  'to what is allowed, between characters');
select is(
  (select error_message from quantumflow.workflow_runs where status = 'failed'),
  (select 'step a: ' || error_message from quantumflow.step_tasks where status = 'failed'), 'the run has the same text');
select results_eq(
  'select error_details from quantumflow.task_failures order by attempt',
  $$values (null), ('{"omitted": "1025 bytes, and 1000 are allowed"}'::jsonb)$$, 'details that are too large are left out');

select is(
  (quantumflow.cancel_run('10000000-0000-0000-0000-000000000002', repeat('why? ', 1000))).error_message,
  left(repeat('why? ', 1000), 972) || '... (cut: it had 5000 bytes)', 'a reason is cut too');

select * from finish();
rollback;
