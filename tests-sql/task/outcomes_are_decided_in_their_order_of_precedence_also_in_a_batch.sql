begin;
select plan(3);

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
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
