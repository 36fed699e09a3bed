begin;
select plan(3);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}]}');
select quantumflow.start_flow('w', '"lost"');
select count(*) from quantumflow.claim_tasks(gen_random_uuid(), 1, lease => '10 s');
select quantumflow.start_flow('w', '"fresh"', priority => 100);
set local quantumflow.now = '2030-01-01 00:00:10+00';
select * from quantumflow.sweep();

select results_eq(
  'select input ->> ''run'' from quantumflow.claim_tasks(gen_random_uuid(), 10)', $$values ('fresh')$$,
  'it stays where it is');
select results_eq(
  'select input ->> ''run'' from quantumflow.claim_tasks(gen_random_uuid(), 10)', $$values ('lost')$$,
  'and is the next to come');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
