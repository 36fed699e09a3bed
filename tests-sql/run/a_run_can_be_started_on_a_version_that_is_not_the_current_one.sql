begin;
select plan(2);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "old"}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "new"}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000002');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000003', version => 1);

select results_eq(
  'select r.version, s.step_slug from quantumflow.workflow_runs r join quantumflow.step_states s on s.run_id = r.id
   order by r.id',
  $$values (1, 'old' collate "C"), (2, 'new'), (1, 'old')$$,
  'each run has the steps of its version');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
