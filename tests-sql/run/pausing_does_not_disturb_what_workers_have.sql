begin;
select plan(6);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}, {"name": "b", "dependencies": ["a"]}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
create temp table claimed as select * from quantumflow.claim_tasks('20000000-0000-0000-0000-000000000001');
select quantumflow.pause_run('10000000-0000-0000-0000-000000000001');

select results_eq(
  $$select state
  from claimed c
  cross join quantumflow.extend_leases(
    '20000000-0000-0000-0000-000000000001', jsonb_build_array(to_jsonb(c)), interval '20 s')$$,
  $$values ('held')$$,
  'the lease can be extended');
select is(
  quantumflow.complete_task(run_id, step_slug, lease_token => lease_token), 'completed', 'the report is recorded')
from claimed;
select results_eq(
  $$select step_slug, status, remaining_deps from quantumflow.step_states order by 1$$,
  $$values ('a' collate "C", 'completed', 0), ('b', 'created', 0)$$,
  'the next step waits');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken while it is paused');

select quantumflow.resume_run('10000000-0000-0000-0000-000000000001');

select results_eq(
  $$select step_slug from quantumflow.claim_tasks('20000000-0000-0000-0000-000000000001')$$,
  $$values ('b')$$,
  'the next step starts when the run is resumed');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
