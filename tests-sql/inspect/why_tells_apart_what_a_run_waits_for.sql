begin;
select plan(17);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "timeout": 600, "retry_delay": 3600, "steps": [
  {"name": "a"}, {"name": "later", "start_delay": 3600}, {"name": "far", "queue": "elsewhere"}, {"name": "gone", "queue": "lost"},
  {"name": "b", "dependencies": ["a", "later"]}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select pgmq.drop_queue('lost');

create function pg_temp.why(step text) returns text language sql as $$
  select concat_ws('; ', y.tasks, y.reason, extract(epoch from y.since - '2030-01-01 00:00:00+00')::int,
    extract(epoch from y.until - '2030-01-01 00:00:00+00')::int, y.detail)
  from quantumflow.why('10000000-0000-0000-0000-000000000001') y
  where y.step_slug = step
$$;

select is(pg_temp.why('far'), '1; no live worker serves its queue; 0; queue elsewhere', 'nobody serves the queue');
select is(pg_temp.why('gone'), '1; its queue is gone; 0; queue lost', 'there is no queue');
select is(pg_temp.why('later'), '1; not due yet; 3600', 'a start_delay');
select is(pg_temp.why('b'), 'waits for steps; a, later', 'steps before it');

select quantumflow.register_worker('b0000000-0000-0000-0000-00000000000b', 'b', '{b}', '{quantum_flow_queue}', slots => 4, running => 0);
select is(pg_temp.why('a'), '1; no live worker has its command; 0; queue quantum_flow_queue', 'nobody has the command');

select quantumflow.register_worker('a0000000-0000-0000-0000-00000000000a', 'mine', '{a}', '{quantum_flow_queue}', slots => 4, running => 4);
select is(pg_temp.why('a'), '1; waits for a free worker; 0; 0 ahead; 1 worker, 4 slots, 0 free', 'all that have it are busy');

set local quantumflow.now = '2030-01-01 00:00:10+00';
create temporary table got as
select * from quantumflow.claim_tasks('a0000000-0000-0000-0000-00000000000a', commands => '{a}', lease => '400 s');
select is(pg_temp.why('a'), '1; running; 10; 610; mine', 'somebody works on it, until the deadline at most');

set local quantumflow.now = '2030-01-01 00:05:00+00';
select is(pg_temp.why('a'), '1; held by a silent worker; 10; 410; mine', 'and has not been heard of');
select is(
  (select array_agg(y.step_slug order by y.step_slug) from quantumflow.why('10000000-0000-0000-0000-000000000001', only_stuck => true) y),
  '{a,far,gone}', 'what does not go on by itself');

select quantumflow.fail_tasks((select jsonb_agg(to_jsonb(g) || '{"error_message": "503"}') from got g));
select matches(pg_temp.why('a'), '^1; waits before its next attempt; \d+; attempt 2 of 3; the last: 503$', 'it failed, and waits');

set local quantumflow.now = '2030-01-01 04:00:00+00';
select quantumflow.register_worker('a0000000-0000-0000-0000-00000000000a', 'mine', '{a}', '{quantum_flow_queue}');
truncate got;
insert into got
select * from quantumflow.claim_tasks('a0000000-0000-0000-0000-00000000000a', commands => '{a}');
select quantumflow.release_tasks((select jsonb_agg(to_jsonb(g) || '{"reason": "it asks for x"}') from got g));
select matches(pg_temp.why('a'), '^1; left to other code; \d+; left to other code: it asks for x$', 'its code does not fit');

select quantumflow.pause_run('10000000-0000-0000-0000-000000000001');
select is(pg_temp.why('a'), '1; paused; 14400; run', 'the run is paused');

select quantumflow.cancel_run('10000000-0000-0000-0000-000000000001', 'enough');
select results_eq(
  $$select step_slug, tasks, reason, detail from quantumflow.why('10000000-0000-0000-0000-000000000001')$$,
  $$values (null::text, null::bigint, 'cancelled', 'enough')$$, 'it has ended');

-- What decided at a gate.
select quantumflow.define_flow('{"slug": "gated", "steps": [
  {"name": "no", "if": "$.run.x == 1"}, {"name": "after_no", "dependencies": ["no"]}]}');
select quantumflow.start_flow('gated', '{"x": 2}', run_id => '20000000-0000-0000-0000-000000000001');
select results_eq(
  $$select step_slug, reason, detail from quantumflow.why('20000000-0000-0000-0000-000000000001') where step_slug is not null$$,
  $$values
    ('after_no', 'skipped', 'not enough of its dependencies completed: it joins all of them'),
    ('no', 'skipped', 'its condition was false: strict $.run.x == 1')$$,
  'what was skipped, and why');
select results_eq(
  $$select what, step_slug, detail from quantumflow.timeline('20000000-0000-0000-0000-000000000001') where step_slug is not null$$,
  $$values
    ('step skipped', 'no', 'because of its condition'),
    ('step skipped', 'after_no', 'because of its dependencies')$$,
  'which its timeline tells');

-- Without a run.
set local quantumflow.now = '2030-01-02 00:00:00+00';
select quantumflow.setup();
select quantumflow.start_flow('w', run_id => gen_random_uuid()) from generate_series(1, 3);
select results_eq(
  $$select workflow_slug, step_slug, command, tasks, reason from quantumflow.why()$$,
  $$values
    ('w', 'a', 'a', 3::bigint, 'no live worker serves its queue'),
    ('w', 'far', 'far', 3, 'no live worker serves its queue'),
    ('w', 'gone', 'gone', 3, 'no live worker serves its queue'),
    ('w', 'later', 'later', 3, 'not due yet')$$,
  'all runs together, the worst first');
select throws_ok($$select quantumflow.why(gen_random_uuid())$$, 'QF201', null, 'no such run');

select * from finish();
rollback;
