begin;
select plan(7);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "m", "type": "map"}]}');
select quantumflow.start_flow('w', '[0, 1, 2, 3]', run_id => '10000000-0000-0000-0000-000000000001');
create temporary table claimed on commit drop as select * from quantumflow.claim_tasks(gen_random_uuid(), 10);

create function pg_temp.with_odd(odd jsonb, others jsonb default '{}') returns jsonb language sql as $$
  select jsonb_agg(to_jsonb(c) || case c.task_index when 1 then odd else others end order by c.task_index) from pg_temp.claimed c
$$;

select results_eq(
  $$select task_index, outcome, reason, detail from quantumflow.complete_tasks(pg_temp.with_odd('{"outptu": 1, "Output": 2}'))
    where task_index = 1$$,
  $$values (1, 'stale', 'unknown_key',
    'nobody knows its key "Output", "outptu"; there are run_id, step_slug, task_index, lease_token, output, error_message, retryable, '
    'retry_after, error_details, reason, seconds, usage')$$,
  'complete_tasks names it');
select results_eq(
  'select task_index, status from quantumflow.step_tasks order by 1',
  $$values (0, 'completed'), (1, 'started'), (2, 'completed'), (3, 'completed')$$,
  'the others are completed; rows of a claim are known, and so is what is null');
select results_eq(
  $$select outcome, reason, detail like 'nobody knows its key "error"; %'
    from quantumflow.fail_tasks(pg_temp.with_odd('{"error": "no"}')) where task_index = 1$$,
  $$values ('stale', 'unknown_key', true)$$, 'fail_tasks too');
select results_eq(
  $$select state, detail like 'nobody knows its key "lease"; %'
    from quantumflow.extend_leases(gen_random_uuid(), pg_temp.with_odd('{"lease": "1 h"}'), '1 s') where task_index = 1$$,
  $$values ('lost', true)$$,
  'extend_leases names it');
select is(quantumflow.release_tasks(pg_temp.with_odd('{"why": "late"}')), 0, 'release_tasks hands nothing of it back, and warns');
select results_eq(
  $$select state, detail from quantumflow.extend_leases(gen_random_uuid(), pg_temp.with_odd('{"why": null, "output": 1}'), '1 s') where task_index = 1$$,
  $$values ('held', null::text)$$, 'a key that says nothing, or says it to another call, does no harm');
select is(quantumflow.release_tasks(pg_temp.with_odd('{}')), 1, 'without it the task is handed back');

select * from finish();
rollback;
