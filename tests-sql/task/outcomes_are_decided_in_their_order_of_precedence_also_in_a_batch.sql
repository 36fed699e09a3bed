begin;
select plan(8);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "retry_delay": 0, "steps": [{"name": "a"}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
create temporary table claimed on commit drop as select * from quantumflow.claim_tasks(gen_random_uuid());

select results_eq(
  $$select o.outcome from quantumflow.complete_tasks((
      select jsonb_build_array(
        to_jsonb(c) || '{"lease_token": 1, "output": "wrong"}',
        to_jsonb(c) || '{"lease_token": null, "output": "of nobody"}',
        to_jsonb(c) || '{"output": "first"}',
        to_jsonb(c) || '{"lease_token": null, "output": "of nobody"}',
        to_jsonb(c) || '{"output": "second"}',
        to_jsonb(c) - 'lease_token')
      from claimed c)) o$$,
  $$values ('stale'), ('stale'), ('completed'), ('stale'), ('duplicate'), ('stale')$$,
  'the first that may act does, the rest are told');
select is((select output from quantumflow.step_tasks), '"first"'::jsonb, 'and only its output is recorded');

select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000002');
create temporary table failing on commit drop as select * from quantumflow.claim_tasks(gen_random_uuid());
select results_eq(
  $$select o.outcome
  from quantumflow.fail_tasks((
    select jsonb_build_array(
      to_jsonb(f) || '{"lease_token": null}', to_jsonb(f), to_jsonb(f) || '{"lease_token": null}', to_jsonb(f), to_jsonb(f) || '{"lease_token": 1}')
    from failing f)) o$$,
  $$values ('stale'), ('retrying'), ('stale'), ('duplicate'), ('stale')$$,
  'so it is with failures');
select results_eq(
  $$select status, attempts from quantumflow.step_tasks where right(run_id::text, 1) = '2'$$, $$values ('queued', 1)$$, 'it failed once');
select is((select count(*) from quantumflow.task_failures), 1::bigint, 'as its history says');

-- Without a token a batch acts on nothing, whatever the task is: completed, queued, started, cancelled, failed.
select quantumflow.start_flow('w', run_id => format('10000000-0000-0000-0000-00000000000%s', n)::uuid) from generate_series(3, 5) n;
select count(*) from quantumflow.claim_tasks(gen_random_uuid());
select quantumflow.cancel_run('10000000-0000-0000-0000-000000000004');
select quantumflow.fail_task('10000000-0000-0000-0000-000000000005', 'a', retryable => false);
select results_eq(
  $$select concat_ws(', ', t.status, c.outcome, f.outcome, n.outcome) collate "C"
  from quantumflow.step_tasks t
  cross join lateral quantumflow.complete_tasks(jsonb_build_array(to_jsonb(t) || '{"lease_token": null}')) c
  cross join lateral quantumflow.fail_tasks(jsonb_build_array(to_jsonb(t) || '{"lease_token": null, "retryable": false}')) f
  cross join lateral (
    select string_agg(a.outcome, ' ') as outcome
    from quantumflow.complete_and_claim(gen_random_uuid(), jsonb_build_array(to_jsonb(t) || '{"lease_token": null}'), commands => '{none}') a) n
  order by t.run_id$$,
  $$values
    ('completed, stale, stale, stale' collate "C"), ('started, stale, stale, stale'), ('queued, stale, stale, stale'),
    ('cancelled, stale, stale, stale'), ('failed, stale, stale, stale')$$,
  'without a token a batch acts on nothing');
select results_eq(
  $$select concat_ws(', ', t.status,
      quantumflow.complete_task(t.run_id, t.step_slug, t.task_index),
      quantumflow.fail_task(t.run_id, t.step_slug, t.task_index)) collate "C"
    from quantumflow.step_tasks t order by t.run_id$$,
  $$values
    ('completed, duplicate, duplicate' collate "C"), ('started, completed, duplicate'), ('queued, completed, duplicate'),
    ('cancelled, run_ended, run_ended'), ('failed, duplicate, duplicate')$$,
  'and by hand one acts on what is live');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
