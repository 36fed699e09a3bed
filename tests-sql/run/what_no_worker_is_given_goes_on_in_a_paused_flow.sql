begin;
select plan(6);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "run_timeout": 100, "steps": [
  {"name": "nap", "type": "sleep", "seconds": 10}, {"name": "asked", "type": "wait"},
  {"name": "a", "dependencies": ["nap", "asked"]}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.pause_flow('w');

set local quantumflow.now = '2030-01-01 00:00:10+00';
select is(quantumflow.send_signal('10000000-0000-0000-0000-000000000001', 'asked'), 'delivered', 'a signal is delivered');
select is((select settled from quantumflow.settle()), 1, 'a sleep ends');
select is_empty('select from quantumflow.claim_tasks(gen_random_uuid(), 10)', 'what waited for them is not handed out');
select results_eq(
  $$select status from quantumflow.step_tasks where step_slug = 'a'$$, $$values ('queued')$$, 'though it is there');

set local quantumflow.now = '2030-01-01 00:01:40+00';
select quantumflow.settle();
select results_eq('select status from quantumflow.workflow_runs', $$values ('failed')$$, 'the run fails at its deadline');

select quantumflow.resume_flow('w');
select is_empty('select * from quantumflow._parked', 'and leaves nothing for the resume');

select * from finish();
rollback;
