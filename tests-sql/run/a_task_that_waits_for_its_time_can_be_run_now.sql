begin;
select plan(15);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "retry_delay": 600, "steps": [
  {"name": "a"}, {"name": "b", "start_delay": 300}, {"name": "c"}, {"name": "nap", "type": "sleep", "seconds": 900},
  {"name": "d", "dependencies": ["a"]}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
create temporary table got as select * from quantumflow.claim_tasks('20000000-0000-0000-0000-000000000001', 10, commands => '{a}');

select is(quantumflow.run_now('10000000-0000-0000-0000-000000000001', 'a'), 'running', 'what a worker has');
select quantumflow.fail_tasks((select jsonb_agg(to_jsonb(g) || '{"error_message": "503"}') from got g));
select is_empty($$select from quantumflow.claim_tasks(gen_random_uuid(), 10, commands => '{a,b}')$$, 'both wait');

select is(quantumflow.run_now('10000000-0000-0000-0000-000000000001', 'a'), 'due', 'what was to be tried again later');
select is(quantumflow.run_now('10000000-0000-0000-0000-000000000001', 'b'), 'due', 'what was to start later');
select is(quantumflow.run_now('10000000-0000-0000-0000-000000000001', 'b'), 'was_due', 'again');
select is(quantumflow.run_now('10000000-0000-0000-0000-000000000001', 'c'), 'was_due', 'what is due');
select is(quantumflow.run_now('10000000-0000-0000-0000-000000000001', 'nap'), 'waits', 'what sleeps');
select results_eq(
  $$select step_slug, attempt from quantumflow.claim_tasks(gen_random_uuid(), 10, commands => '{a,b}')$$,
  $$values ('a', 2), ('b', 1)$$,
  'they are handed out now');
select results_eq(
  $$
  select step_slug collate "default", detail ->> 'queued_at' >= '2030-01-01T00:05:00+00:00'
  from quantumflow.audit_log
  where what = 'run_now'
  order by entry_id
  $$,
  $$values ('a', true), ('b', true)$$,
  'it is written down what they waited for');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select throws_ok($$select quantumflow.run_now(gen_random_uuid(), 'a')$$, 'QF201', null, 'an unknown run');
select throws_ok($$select quantumflow.run_now('10000000-0000-0000-0000-000000000001', 'x')$$, 'QF307', null, 'an unknown step');
select throws_ok($$select quantumflow.run_now('10000000-0000-0000-0000-000000000001', 'd')$$, 'QF307', null, 'a step without a task yet');
select throws_ok($$select quantumflow.run_now('10000000-0000-0000-0000-000000000001', 'a', 1)$$, 'QF307', null, 'a task that it has not');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'c');
select is(quantumflow.run_now('10000000-0000-0000-0000-000000000001', 'c'), 'ended', 'what has ended');

select * from finish();
rollback;
