begin;
select plan(3);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}]}');
select quantumflow.start_flow('w', '"second"', start_at => '2030-01-01 00:00:20+00');
select quantumflow.start_flow('w', '"third"', start_at => '2030-01-01 00:00:30+00');
select quantumflow.start_flow('w', '"first"');
set local quantumflow.now = '2030-01-01 00:01:00+00';

select results_eq(
  'select input ->> ''run'' from quantumflow.claim_tasks(gen_random_uuid(), 2)',
  $$values ('first'), ('second')$$,
  'in the order in which they became visible, not in that of their messages');
select results_eq(
  'select input ->> ''run'' from quantumflow.claim_tasks(gen_random_uuid(), 2)', $$values ('third')$$, 'then the rest');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
