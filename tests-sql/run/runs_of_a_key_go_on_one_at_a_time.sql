begin;
select plan(21);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "one_at_a_time": {"key": "$.run.customer"}, "steps": [{"name": "a"}, {"name": "b", "dependencies": ["a"]}]}');
select is(
  (select quantumflow.get_flow('w') -> 'one_at_a_time'), '{"key": "$.run.customer", "when_busy": "queue"}'::jsonb, 'it is kept in its one form');
select quantumflow.start_flow('w', '{"customer": 1}', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.start_flow('w', '{"customer": 1}', run_id => '10000000-0000-0000-0000-000000000002');
select quantumflow.start_flow('w', '{"customer": 2}', run_id => '10000000-0000-0000-0000-000000000003');
select quantumflow.start_flow('w', '{"customer": 1}', run_id => '10000000-0000-0000-0000-000000000004');
select results_eq(
  'select right(id::text, 1), status from quantumflow.workflow_runs order by 1',
  $$values ('1', 'started'), ('2', 'paused'), ('3', 'started'), ('4', 'paused')$$, 'one of each key goes on');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

create function pg_temp.done(run text) returns void language plpgsql as $$
begin
  perform quantumflow.complete_task(('10000000-0000-0000-0000-00000000000' || run)::uuid, 'a', output => '1');
  perform quantumflow.complete_task(('10000000-0000-0000-0000-00000000000' || run)::uuid, 'b', output => '1');
end
$$;

select pg_temp.done('3');
select is((select settled from quantumflow.settle()), 0, 'the end of another key lets nobody go on');
select pg_temp.done('1');
select is((select settled from quantumflow.settle()), 1, 'that of theirs does');
select results_eq(
  'select right(id::text, 1), status from quantumflow.workflow_runs order by 1',
  $$values ('1', 'completed'), ('2', 'started'), ('3', 'completed'), ('4', 'paused')$$, 'one, which has waited longest');
select throws_ok($$select quantumflow.resume_run('10000000-0000-0000-0000-000000000004')$$, 'QF225', null, 'nobody goes on out of turn');
select throws_ok($$select quantumflow.retry_run('10000000-0000-0000-0000-000000000001', 'a')$$, 'QF225', 'another run of workflow "w" goes on', 'nor again');
select results_eq(
  'select right(run_id::text, 1), step_slug from quantumflow.claim_tasks(gen_random_uuid(), 10)', $$values ('2', 'a')$$, 'its tasks are handed out');
select quantumflow.cancel_run('10000000-0000-0000-0000-000000000002');
select count(*) from quantumflow.sweep();
select is((select status from quantumflow.workflow_runs where right(id::text, 1) = '4'), 'started', 'who is cancelled lets the next one go on, by a sweep too');
-- Somebody has put an end to it behind our back.
update quantumflow.workflow_runs set status = 'failed', failed_at = now() where right(id::text, 1) = '4';
update quantumflow.step_states set status = 'cancelled' where right(run_id::text, 1) = '4';
select quantumflow.start_flow('w', '{"customer": 1}', run_id => '10000000-0000-0000-0000-000000000005');
select is((select settled from quantumflow.settle()), 1, 'whose run is not open holds nobody');
select is((select status from quantumflow.workflow_runs where right(id::text, 1) = '5'), 'started', 'the next goes on');
select throws_ok($$select quantumflow.start_flow('w', '{"cust": 1}')$$, 'QF226', 'a run of workflow "w" has no key for its turn', 'a run without a key');

select quantumflow.define_flow('{"slug": "r", "one_at_a_time": {"when_busy": "refuse"}, "steps": [{"name": "a"}]}');
select quantumflow.start_flow('r', run_id => '10000000-0000-0000-0000-000000000006');
select throws_ok($$select quantumflow.start_flow('r')$$, 'QF225', 'another run of workflow "r" goes on', 'refused');
select throws_ok($$select quantumflow.start_flows('r', '{1,2}')$$, 'QF225', null, 'several too');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000006', 'a');
select lives_ok($$select quantumflow.start_flow('r')$$, 'until it has ended');

select quantumflow.define_flow('{"slug": "c", "one_at_a_time": {"key": "$.run", "when_busy": "cancel"}, "steps": [{"name": "a"}]}');
select quantumflow.start_flow('c', '"x"', run_id => '10000000-0000-0000-0000-000000000007');
select quantumflow.start_flow('c', '"y"', run_id => '10000000-0000-0000-0000-000000000008');
select quantumflow.start_flow('c', '"x"', run_id => '10000000-0000-0000-0000-000000000009');
select results_eq(
  $$select right(id::text, 1), status from quantumflow.workflow_runs where workflow_slug = 'c' order by 1$$,
  $$values ('7', 'cancelled'), ('8', 'started'), ('9', 'started')$$, 'the one before is cancelled');
select is(
  (select error_message from quantumflow.workflow_runs where id = '10000000-0000-0000-0000-000000000007'),
  'another run of its key was started: 10000000-0000-0000-0000-000000000009', 'and says why');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000009', 'a');
select is((select status from quantumflow.retry_run('10000000-0000-0000-0000-000000000007')), 'started', 'it may be retried when nobody goes on');
select is((select count(*) from quantumflow._run_turns where workflow_slug = 'c' and holds), 2::bigint, 'in its turn');
select is_empty('select * from quantumflow.check_state() where right(run_id::text, 1) <> ''4''', 'no rule is broken');

select * from finish();
rollback;
