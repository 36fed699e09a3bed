begin;
select plan(6);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "retry_delay": 0, "steps": [{"name": "a"}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
create temporary table claimed on commit drop as select * from quantumflow.claim_tasks(gen_random_uuid());

select results_eq(
  $$select o.outcome from quantumflow.complete_tasks((
      select jsonb_build_array(
        to_jsonb(c) || '{"lease_token": 1, "output": "wrong"}',
        to_jsonb(c) || '{"output": "first"}',
        to_jsonb(c) || '{"lease_token": null, "output": "by hand"}',
        to_jsonb(c) || '{"output": "second"}',
        to_jsonb(c) - 'lease_token')
      from claimed c)) o$$,
  $$values ('stale'), ('completed'), ('duplicate'), ('duplicate'), ('stale')$$,
  'the first that may act does, the rest are told');
select is((select output from quantumflow.step_tasks), '"first"'::jsonb, 'and only its output is recorded');

select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000002');
create temporary table failing on commit drop as select * from quantumflow.claim_tasks(gen_random_uuid());
select results_eq(
  $$select o.outcome
  from quantumflow.fail_tasks((select jsonb_build_array(to_jsonb(f), to_jsonb(f), to_jsonb(f) || '{"lease_token": 1}') from failing f)) o$$,
  $$values ('retrying'), ('duplicate'), ('stale')$$,
  'so it is with failures');
select results_eq(
  $$select status, attempts from quantumflow.step_tasks where right(run_id::text, 1) = '2'$$, $$values ('queued', 1)$$, 'it failed once');
select is((select count(*) from quantumflow.task_failures), 1::bigint, 'as its history says');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
