begin;
select plan(4);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "once", "max_lost": 1, "timeout": 60, "steps": [{"name": "a"}, {"name": "b"}]}');
select quantumflow.start_flow('once');

select is(
  (select count(*)::int from quantumflow.claim_tasks(gen_random_uuid(), lease => '10 s', commands => '{a}')),
  1, 'a worker claims a task, and all workers are gone for an hour');

set local quantumflow.now = '2030-01-01 01:00:00+00';
select is_empty(
  $$select from quantumflow.claim_tasks(gen_random_uuid(), commands => '{a}')$$,
  'at most once is at most once, although the deadline has passed too');
select results_eq(
  'select kind, attempt from quantumflow.task_failures', $$values ('lost', 1)$$,
  'the attempt was lost: its lease ran out before its deadline');

select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
