begin;
select plan(2);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}]}');
select quantumflow.start_flow('w', '"10 s old"');
set local quantumflow.now = '2030-01-01 00:00:10+00';
select quantumflow.start_flow('w', '"new"');
select quantumflow.start_flow('w', '"new, priority 5"', priority => 5);
select quantumflow.start_flow('w', '"new, priority 11"', priority => 11);

select results_eq(
  'select input ->> ''run'' from quantumflow.claim_tasks(gen_random_uuid(), 10)',
  $$values ('new, priority 11'), ('10 s old'), ('new, priority 5'), ('new')$$,
  'a higher priority comes first, but starves nobody for ever');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
