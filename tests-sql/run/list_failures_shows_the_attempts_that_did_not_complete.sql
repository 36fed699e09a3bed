begin;
select plan(7);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "retry_delay": 0, "timeout": 600, "steps": [{"name": "a"}]}');
select quantumflow.start_flow('w', run_id => format('10000000-0000-0000-0000-00000000000%s', i)::uuid)
from generate_series(1, 2) i;
select quantumflow.register_worker('a0000000-0000-0000-0000-00000000000a', 'mine', '{a}', '{quantum_flow_queue}');

select quantumflow.fail_task(t.run_id, 'a', 0, 'oh no', t.lease_token, error_details => '{"traceback": "here"}')
from quantumflow.claim_tasks('a0000000-0000-0000-0000-00000000000a', 10, lease => '30 s') t;
set local quantumflow.now = '2030-01-01 00:01:00+00';
select quantumflow.claim_tasks('a0000000-0000-0000-0000-00000000000b', 1, lease => '30 s');
set local quantumflow.now = '2030-01-01 00:02:00+00';
select quantumflow.sweep();

select results_eq(
  $$select right(run_id::text, 1), workflow_slug, step_slug, task_index, retries, attempt, kind, worker, error_details
    from quantumflow.list_failures()$$,
  $$values
    ('1', 'w', 'a', 0, 0, 2, 'lost', null::text, null::jsonb),
    ('1', 'w', 'a', 0, 0, 1, 'error', 'mine', '{"traceback": "here"}'),
    ('2', 'w', 'a', 0, 0, 1, 'error', 'mine', '{"traceback": "here"}')$$,
  'the latest first, with whom it happened to');
select results_eq(
  $$select error_message, started_at, ended_at from quantumflow.list_failures('10000000-0000-0000-0000-000000000002')$$,
  $$values ('oh no', '2030-01-01 00:00:00+00'::timestamptz, '2030-01-01 00:00:00+00'::timestamptz)$$,
  'those of one run');
select is((select count(*)::int from quantumflow.list_failures(max_failures => 2)), 2, 'no more than asked for');
select is((select kind from quantumflow.list_failures(max_failures => 1)), 'lost', 'and then the latest');
select throws_ok(
  $$select quantumflow.list_failures('00000000-0000-0000-0000-000000000000')$$, 'QF201', null, 'an unknown run');
select throws_ok(
  $$select quantumflow.list_failures(max_failures => 0)$$, 'QF211', 'max_failures must be between 1 and 10000', 'too few');
select throws_ok($$select quantumflow.list_failures(max_failures => null)$$, 'QF211', null, 'no number');

select * from finish();
rollback;
