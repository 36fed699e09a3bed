begin;
select plan(2);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}]}');
select quantumflow.start_flow('w', '"lost"');
select count(*) from quantumflow.claim_tasks(gen_random_uuid(), lease => '10 s');
set local quantumflow.now = '2030-01-01 00:00:05+00';
select quantumflow.start_flows('w', array_fill('"other"'::jsonb, array[2]));
set local quantumflow.now = '2030-01-01 00:00:10+00';
select * from quantumflow.sweep();

select results_eq(
  $$select input ->> 'run' from quantumflow.claim_tasks(gen_random_uuid(), 10)$$, $$values ('lost')$$, 'it is first, and alone');
select results_eq(
  $$select input ->> 'run' from quantumflow.claim_tasks(gen_random_uuid(), 10)$$, $$values ('other'), ('other')$$, 'then come the others');

select * from finish();
rollback;
