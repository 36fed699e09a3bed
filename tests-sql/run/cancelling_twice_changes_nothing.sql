begin;
select plan(2);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.cancel_run('10000000-0000-0000-0000-000000000001', 'first');
set local quantumflow.now = '2030-01-01 00:00:09+00';

select results_eq(
  $$select r.status, r.cancelled_at, r.error_message
    from quantumflow.cancel_run('10000000-0000-0000-0000-000000000001', 'second') r$$,
  $$values ('cancelled', '2030-01-01 00:00:00+00'::timestamptz, 'first')$$,
  'the first reason and time stay');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
