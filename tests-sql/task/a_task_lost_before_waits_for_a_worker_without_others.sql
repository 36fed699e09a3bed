begin;
select plan(9);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}]}');
select quantumflow.start_flow('w', '"lost"');
select count(*) from quantumflow.claim_tasks(gen_random_uuid(), 1, lease => '10 s');
select quantumflow.start_flows('w', array['"one"', '"two"']::jsonb[]);
set local quantumflow.now = '2030-01-01 00:00:10+00';
select * from quantumflow.sweep();

prepare claim(int, int) as
select input ->> 'run' as run, losses from quantumflow.claim_tasks(gen_random_uuid(), $1, held => $2);

select results_eq('execute claim(1, 3)', $$values ('one', 0)$$, 'a worker that holds tasks goes round it');

set local quantumflow.now = '2030-01-01 00:00:14.9+00';
select results_eq(
  $$
  select c.input ->> 'run', c.losses
  from quantumflow.complete_and_claim(gen_random_uuid(), '[]', 2, held => 1) c
  $$,
  $$values ('two', 0)$$,
  'also as it reports');

select quantumflow.start_flow('w', '"three"');
set local quantumflow.now = '2030-01-01 00:00:15.1+00';
select is_empty('execute claim(10, 1)', 'once it has waited for 5 s, who holds a task gets nothing any more');
select is_empty(
  $$select from quantumflow.complete_and_claim(gen_random_uuid(), '[]', 10, held => 1)$$, 'also as it reports');
select results_eq('execute claim(10, 0)', $$values ('lost', 1)$$, 'who holds none gets it, alone, and learns that it was lost');
select results_eq('execute claim(10, 1)', $$values ('three', 0)$$, 'and then the others get on');

select throws_ok('execute claim(1, -1)', 'QF302', 'held must not be negative', 'a negative number is refused');
select throws_ok('execute claim(1, null)', 'QF302', 'held must not be negative', 'so is null');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
