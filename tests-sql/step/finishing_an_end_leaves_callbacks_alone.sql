begin;
select plan(4);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "max_attempts": 1, "on_failure": "mourn", "steps": [{"name": "a"}, {"name": "b"}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.fail_task('10000000-0000-0000-0000-000000000001', 'a');
insert into quantumflow._unfinished_ends values ('10000000-0000-0000-0000-000000000001', quantumflow._now());
select * from quantumflow.sweep();

select is_empty('select from quantumflow._unfinished_ends', 'the end is finished');
select is((select status from quantumflow.step_tasks where step_slug = '_on_failure'), 'queued', 'the callback still waits');
select results_eq(
  'select step_slug from quantumflow.claim_tasks(gen_random_uuid(), 9)', $$values ('_on_failure')$$, 'and can be claimed');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
