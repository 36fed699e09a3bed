begin;
select plan(3);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}, {"name": "b", "dependencies": ["a"]}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
create temporary table claimed on commit drop as select * from quantumflow.claim_tasks('20000000-0000-0000-0000-000000000001');
select quantumflow.complete_and_claim(
  '20000000-0000-0000-0000-000000000001', (select jsonb_agg(to_jsonb(c)) from claimed c), lease => '10 s');

set local quantumflow.now = '2030-01-01 00:00:11+00';
select results_eq(
  $$select * from quantumflow.sweep()$$, $$values ('lapsed leases', 1), ('unfinished ends', 0), ('schedules', 0)$$, 'a sweep finds it');
select results_eq(
  'select status, attempts, losses from quantumflow.step_tasks where step_slug = ''b''',
  $$values ('queued', 1, 1)$$, 'it was lost');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
