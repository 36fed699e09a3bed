begin;
select plan(4);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';

select quantumflow.define_flow('{"slug": "place", "steps": [{"name": "a", "timeout": 3600}]}') is not null;
select quantumflow.start_flow('place', '"first"', run_id => '00000000-0000-7000-8000-000000000001') is not null;

select is(
  (select count(*)::int from quantumflow.claim_tasks('11111111-1111-1111-1111-111111111111', lease => '10 s')),
  1, 'a worker claims the first task, and dies');

set local quantumflow.now = '2030-01-01 00:00:05+00';
select count(*) from quantumflow.start_flows('place', array['"second"', '"third"']::jsonb[]);

set local quantumflow.now = '2030-01-01 00:00:11+00';
select results_eq(
  'select tasks from quantumflow.sweep() where action = ''lapsed leases''',
  'values (1)', 'sweep notices the loss');

select results_eq(
  $$
  select input -> 'run', attempt
  from quantumflow.claim_tasks('22222222-2222-2222-2222-222222222222')
  $$,
  $$values ('"first"'::jsonb, 2)$$,
  'the lost task is handed out before those that were queued while it was held');

select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
