begin;
select plan(10);

insert into quantumflow.settings values ('test_clock', 'on');
create function pg_temp.run_at(at text, seconds numeric, fails boolean default false) returns void language plpgsql as $$
begin
  perform set_config('quantumflow.now', at, true);
  perform quantumflow.start_flow('w');
  perform set_config('quantumflow.now', (at::timestamptz + interval '10 s')::text, true);
  create temporary table c on commit drop as select * from quantumflow.claim_tasks(gen_random_uuid());
  perform set_config('quantumflow.now', (at::timestamptz + interval '10 s' + make_interval(secs => seconds))::text, true);
  if fails then
    perform quantumflow.fail_task(run_id, step_slug, 0, 'no', lease_token, retryable => false) from c;
  else
    perform quantumflow.complete_task(run_id, step_slug, 0, '1', lease_token) from c;
  end if;
  drop table c;
  perform quantumflow._make_counting();
  update quantumflow._counting set next_to = quantumflow._uuid_v7(), writers = '{}';
  perform quantumflow._count_runs(quantumflow._now());
end $$;

select quantumflow.define_flow('{"slug": "w", "timeout": 600, "steps": [{"name": "a", "command": "w.a"}]}');
select pg_temp.run_at('2030-03-01 10:00:00+00', 20), pg_temp.run_at('2030-03-01 10:10:00+00', 20);
select pg_temp.run_at('2030-03-03 10:00:00+00', 60), pg_temp.run_at('2030-03-03 10:20:00+00', 60), pg_temp.run_at('2030-03-03 10:30:00+00', 200, true);

select results_eq(
  $$select workflow_slug, version, step_slug, n, failures, change, worked_p50_before is not null from quantumflow.stats()$$,
  $$values ('w', 1, null, 3::bigint, 1::bigint, 2.36::numeric, true), ('w', 1, 'a', 3, 1, 2.85, true)$$,
  'of late, and three times as slow as before');
select is(
  (select bool_and(abs(extract(epoch from worked_p50) / 60 - 1) <= 0.05 and abs(extract(epoch from worked_p95) / 200 - 1) <= 0.05
    and abs(extract(epoch from waited_p50) / 10 - 1) <= 0.05) from quantumflow.stats() where step_slug = 'a'),
  true, 'within 5 % of what they were');
select results_eq(
  $$select step_slug, n, change from quantumflow.stats('w', '7 days')$$, $$values (null, 5::bigint, null::numeric), ('a', 5, null)$$,
  'there is nothing before that');
select is_empty($$select * from quantumflow.stats('nothing')$$, 'an unknown workflow has none');
select throws_ok($$select quantumflow.stats(since => '1 s')$$, 'QF224', 'since must be between 1 min and 1000 years', 'too short a time');

select results_eq(
  $$select name, kind, labels, value from quantumflow.metrics()
    where name ~ '(runs_ended|attempts|retries)_total$|run_seconds_count|worked_seconds_(sum|count)' order by 1, 3$$,
  $$values
    ('quantumflow_attempt_worked_seconds_count', 'histogram', '{"command": "w.a"}'::jsonb, 5::double precision),
    ('quantumflow_attempt_worked_seconds_sum', 'histogram', '{"command": "w.a"}', 360),
    ('quantumflow_attempts_total', 'counter', '{"command": "w.a", "outcome": "completed", "workflow": "w"}', 4),
    ('quantumflow_attempts_total', 'counter', '{"command": "w.a", "outcome": "error", "workflow": "w"}', 1),
    ('quantumflow_retries_total', 'counter', '{"command": "w.a", "workflow": "w"}', 0),
    ('quantumflow_run_seconds_count', 'histogram', '{"workflow": "w"}', 5),
    ('quantumflow_runs_ended_total', 'counter', '{"status": "completed", "workflow": "w"}', 4),
    ('quantumflow_runs_ended_total', 'counter', '{"status": "failed", "workflow": "w"}', 1)$$,
  'metrics: what has ended');
select results_eq(
  $$select labels ->> 'le', value from quantumflow.metrics() where name = 'quantumflow_attempt_worked_seconds_bucket' and value > 0$$,
  $$values ('30', 2::double precision), ('60', 4), ('300', 5), ('900', 5), ('3600', 5), ('14400', 5), ('86400', 5), ('+Inf', 5)$$,
  'how many took no longer');

select quantumflow.start_flow('w'), quantumflow.start_flow('w');
select quantumflow.pause_run(quantumflow.start_flow('w'));
select results_eq(
  $$select name, labels - 'queue', value from quantumflow.metrics() where name in ('quantumflow_runs_open', 'quantumflow_tasks') and value > 0 order by 1, 2$$,
  $$values
    ('quantumflow_runs_open', '{"status": "paused", "workflow": "w"}'::jsonb, 1::double precision),
    ('quantumflow_runs_open', '{"status": "started", "workflow": "w"}', 2),
    ('quantumflow_tasks', '{"state": "due", "command": "w.a"}', 2),
    ('quantumflow_tasks', '{"state": "later", "command": "w.a"}', 1)$$,
  'and what goes on');

select quantumflow.define_flow('{"slug": "l", "steps": [{"name": "a", "type": "map", "limit": {"name": "api", "key": "$.item"}}]}');
select quantumflow.set_limit('api', 1);
select quantumflow.start_flow('l', '[1, 1, 2, 2]');
select quantumflow.claim_tasks(gen_random_uuid(), 10, commands => '{a}');
select quantumflow.pause_command('w.a');
select results_eq(
  $$select name, labels, value from quantumflow.metrics() where name ~ '_(limited|paused)_tasks' order by 1, 2$$,
  $$values
    ('quantumflow_limited_tasks', '{"limit": "api", "state": "running"}'::jsonb, 2::double precision),
    ('quantumflow_limited_tasks', '{"limit": "api", "state": "waiting"}', 2),
    ('quantumflow_paused_tasks', '{"of": "command", "name": "w.a"}', 2)$$,
  'what limits and pauses hold back');
select is_empty(
  $$select name from quantumflow.metrics() group by name having count(distinct (kind, help)) > 1
    union all select name from quantumflow.metrics() group by name, labels having count(*) > 1$$,
  'each series is there once, and all of a name say the same of it');

select * from finish();
rollback;
