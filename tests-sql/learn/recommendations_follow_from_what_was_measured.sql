begin;
select plan(15);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow($$
  {"slug": "w", "retry_delay": 8, "steps": [
    {"name": "quick", "timeout": 600}, {"name": "late", "timeout": 10}, {"name": "flaky"}, {"name": "locked"},
    {"name": "rows", "type": "map", "chunk_size": 1, "timeout": 600}]}
$$);
select is_empty($$ select * from quantumflow.recommendations('w', 'advanced') $$, 'no history, no advice');

-- What step_hours says: so many attempts at a step, and how long they took.
create function pg_temp.seen(p_step text, p_n int, p_seconds numeric[], p_failures jsonb default '{}') returns void language sql as $$
  insert into quantumflow.step_hours as h
    (hour, workflow_slug, version, step_slug, command, n, retries, waited_seconds, worked_seconds, took_seconds, failures, waited, worked, took, usage)
  select '-infinity', 'w', 1, p_step, p_step, p_n, 0, 0, 0, 0, p_failures, '{}', jsonb_object_agg(b.bucket, p_n), jsonb_object_agg(b.bucket, p_n), '{}'
  from (select distinct quantumflow._bucket(s) as bucket from unnest(p_seconds) s) b
  on conflict on constraint step_hours_pkey do update
  set n = excluded.n, failures = excluded.failures, worked = excluded.worked, took = excluded.took;
$$;
select pg_temp.seen('_run', 4, '{2}');
select pg_temp.seen('quick', 100, '{0.5,2}');
select is_empty($$ select * from quantumflow.recommendations('w') $$, 'four runs are not enough');
select pg_temp.seen('_run', 30, '{20}');
select results_eq(
  $$ select step_slug, key, current, n, suggested::numeric between 6 and 6.6 from quantumflow.recommendations('w') $$,
  $$ values ('quick', 'timeout', '600'::jsonb, 100::bigint, true) $$, 'a timeout becomes three times the longest of 100 attempts');
select pg_temp.seen('quick', 50, '{0.5,2}');
select is((select suggested::numeric between 20 and 22 from quantumflow.recommendations('w')), true, 'ten times with fewer');
select pg_temp.seen('quick', 19, '{0.5,2}');
select is_empty($$ select * from quantumflow.recommendations('w') $$, 'nothing with fewer than 20');
select pg_temp.seen('quick', 200, '{0.5,2}', '{"timeout": 1}');
select is_empty($$ select * from quantumflow.recommendations('w') $$, 'one that timed out would have taken nobody knows how long: nothing becomes shorter');
select pg_temp.seen('late', 200, '{5,9}', '{"timeout": 3}');
select results_eq(
  $$ select step_slug, key, suggested::numeric from quantumflow.recommendations('w') $$, $$ values ('late', 'timeout', 20::numeric) $$,
  'longer where some time out and others complete late');

-- Ten runs in which two steps fail once, and a map of 40 items takes 10 ms a call and 1 ms an item; half of them with other chunks.
select quantumflow._store_tuned('w', 1, '[{"step_slug": "rows", "key": "chunk_size", "suggested": 7}]', quantumflow._now());
create function pg_temp.work(p_version int) returns void language plpgsql as $$
declare
  v_run  uuid := quantumflow.start_flow('w', (select jsonb_agg(n) from generate_series(1, 40) n), version => p_version);
  v_task record;
begin
  for v_round in 1 .. 3 loop
    for v_task in
      select * from quantumflow.claim_tasks(gen_random_uuid(), quantity => 1000)
    loop
      if v_task.step_slug in ('flaky', 'locked') and v_task.attempt = 1 then
        perform quantumflow.fail_tasks(jsonb_build_array(jsonb_build_object(
          'run_id', v_run, 'step_slug', v_task.step_slug, 'task_index', 0, 'lease_token', v_task.lease_token,
          'error_message', case v_task.step_slug when 'locked' then 'the table is locked' else 'a connection broke' end)));
      else
        update quantumflow.step_tasks set started_at = started_at - make_interval(secs => 0.01 + 0.001 * jsonb_array_length(item_value))
        where run_id = v_run and step_slug = v_task.step_slug and task_index = v_task.task_index and step_slug = 'rows';
        perform quantumflow.complete_task(
          v_run, v_task.step_slug, v_task.task_index,
          (select coalesce(t.item_value, '1') from quantumflow.step_tasks t where (t.run_id, t.step_slug, t.task_index) = (v_run, v_task.step_slug, v_task.task_index)),
          v_task.lease_token);
      end if;
    end loop;
    perform set_config('quantumflow.now', (quantumflow._now() + interval '10 s')::text, true);
  end loop;
end
$$;
select pg_temp.seen('rows', 1200, '{0.011}');
select pg_temp.work(1 + n % 2) from generate_series(1, 10) n;
select is((select array_agg(distinct status) from quantumflow.workflow_runs), '{completed}', 'ten runs');
select results_eq(
  $$ select step_slug, current, suggested, n, predicted_gain from quantumflow.recommendations('w') where key = 'retry_delay' $$,
  $$ values ('flaky', '8'::jsonb, '4'::jsonb, 10::bigint, 0.4::numeric) $$, 'half the delay where second attempts complete, but not where something is locked');
select is_empty($$ select * from quantumflow.recommendations('w') where key = 'chunk_size' $$, 'basic leaves chunks alone');
select results_eq(
  $$ select suggested, predicted_gain > 0 from quantumflow.recommendations('w', 'advanced') where key = 'chunk_size' $$, $$ values ('4'::jsonb, true) $$,
  'advanced makes them four times as large at most');
select throws_ok($$ select * from quantumflow.recommendations('w', 'aggressive') $$, 'QF611', null, 'aggressive asks for 100 runs');
select pg_temp.seen('_run', 99, '{20}');
select throws_ok($$ select * from quantumflow.recommendations('w', 'aggressive') $$, 'QF611', null, '99 are not enough');
select pg_temp.seen('_run', 100, '{20}');
select results_eq(
  $$ select suggested from quantumflow.recommendations('w', 'aggressive') where key = 'chunk_size' $$, $$ values ('10'::jsonb) $$,
  'with 100 they become as large as leaves a slot four tasks');
select throws_ok($$ select * from quantumflow.recommendations('w', 'wild') $$, 'QF616', null, 'an unknown level is refused');

select * from finish();
rollback;
