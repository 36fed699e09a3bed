begin;
select plan(5);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "max_lost": 5, "steps": [{"name": "a"}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
create temporary table claims on commit drop as
select 1 as n, * from quantumflow.claim_tasks(gen_random_uuid(), lease => '10 s');
insert into claims select 2, * from quantumflow.claim_tasks(gen_random_uuid(), lease => '10 s');
set local quantumflow.now = '2030-01-01 00:00:10+00';
select * from quantumflow.sweep();
insert into claims select 3, * from quantumflow.claim_tasks(gen_random_uuid(), lease => '10 s');
insert into claims select 4, * from quantumflow.claim_tasks(gen_random_uuid(), lease => '10 s');

select results_eq('select n from claims order by n', 'values (1), (3)', 'a second lease is given only when the first has run out');
select results_eq(
  $$select c.n, e.state from claims c
    cross join lateral quantumflow.extend_leases(gen_random_uuid(), jsonb_build_array(to_jsonb(c) - 'n'), '10 s') e order by 1$$,
  $$values (1, 'lost'), (3, 'held')$$, 'then the first is worth nothing');
select results_eq(
  'select n, quantumflow.complete_task(run_id, step_slug, task_index, to_jsonb(n), lease_token) from claims order by n',
  $$values (1, 'stale'), (3, 'completed')$$, 'and changes nothing');
select is((select output from quantumflow.step_tasks), '3'::jsonb, 'the output is the live lease''s');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
