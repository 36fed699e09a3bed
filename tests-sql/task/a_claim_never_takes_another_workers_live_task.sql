begin;
select plan(6);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}, {"name": "b"}]}');
select quantumflow.start_flow('w');

select is((select count(*)::int from quantumflow.claim_tasks(gen_random_uuid(), 1, lease => '30 s')), 1, 'one of two');
select is((select count(*)::int from quantumflow.claim_tasks(gen_random_uuid(), 10, lease => '30 s')), 1, 'the other one');
select is_empty('select from quantumflow.claim_tasks(gen_random_uuid(), 10)', 'nothing is left');
set local quantumflow.now = '2030-01-01 00:00:29.9+00';
select is_empty('select from quantumflow.claim_tasks(gen_random_uuid(), 10)', 'until the leases end');
select results_eq(
  'select attempts, losses, count(distinct lease_token)::int from quantumflow.step_tasks group by 1, 2',
  $$values (1, 0, 2)$$,
  'each was claimed once, with a token of its own');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
