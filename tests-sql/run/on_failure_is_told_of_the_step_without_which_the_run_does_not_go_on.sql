begin;
select plan(2);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "on_failure": "told", "max_attempts": 1, "steps": [{"name": "a", "on_error": "continue"}, {"name": "b"}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.fail_task('10000000-0000-0000-0000-000000000001', 'a', error_message => 'a is down');
set local quantumflow.now = '2030-01-01 00:00:01+00';
select quantumflow.fail_task('10000000-0000-0000-0000-000000000001', 'b', error_message => 'b is down');
select is(
  (select input -> 'failure' from quantumflow.claim_tasks(gen_random_uuid())),
  '{"message": "b is down", "step_slug": "b", "task_index": 0, "attempt": 1, "kind": "error"}'::jsonb, 'though another failed before');

select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
