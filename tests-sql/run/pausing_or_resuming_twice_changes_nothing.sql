begin;
select plan(2);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.pause_run('10000000-0000-0000-0000-000000000001');

set local quantumflow.now = '2030-01-02 00:00:00+00';
select is(
  (select paused_at from quantumflow.pause_run('10000000-0000-0000-0000-000000000001')),
  '2030-01-01 00:00:00+00', 'it is still paused since then');

select quantumflow.resume_run('10000000-0000-0000-0000-000000000001');
create temp table claimed as select * from quantumflow.claim_tasks('20000000-0000-0000-0000-000000000001');
select quantumflow.resume_run('10000000-0000-0000-0000-000000000001');
select is_empty(
  $$select from quantumflow.claim_tasks('20000000-0000-0000-0000-000000000002')$$,
  'a lease is not ended by resuming a run that goes on');

select * from finish();
rollback;
