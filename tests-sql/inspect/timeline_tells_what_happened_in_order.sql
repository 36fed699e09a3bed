begin;
select plan(3);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow(
  '{"slug": "w", "timeout": 600, "steps": [{"name": "a"}, {"name": "m", "type": "map", "map_over": "a", "dependencies": ["a"]}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.register_worker('a0000000-0000-0000-0000-00000000000a', 'mine', '{a,m}', '{quantum_flow_queue}');

set local quantumflow.now = '2030-01-01 00:00:10+00';
create temporary table got as
select * from quantumflow.claim_tasks('a0000000-0000-0000-0000-00000000000a');
set local quantumflow.now = '2030-01-01 00:00:15+00';
select quantumflow.complete_tasks((select jsonb_agg(to_jsonb(g) || '{"output": []}') from got g));

select results_eq(
  $$select extract(epoch from at - '2030-01-01 00:00:00+00')::int, what, step_slug, attempt, who, detail
    from quantumflow.timeline('10000000-0000-0000-0000-000000000001')$$,
  $$values
    (0, 'run started', null::text, null::int, null::text, 'workflow w, version 1'),
    (0, 'step started', 'a', null, null, null),
    (10, 'attempt started', 'a', 1, 'mine', 'after waiting for 00:00:10'),
    (15, 'attempt completed', 'a', 1, 'mine', null),
    (15, 'step completed', 'a', null, null, null),
    (15, 'step started', 'm', null, null, '0 tasks'),
    (15, 'step completed', 'm', null, null, null),
    (15, 'run completed', null, null, null, null)$$,
  'what ended before what it made start, in one instant too');

set local quantumflow.now = '2030-01-01 01:00:00+00';
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000002');
select quantumflow.pause_run('10000000-0000-0000-0000-000000000002');
set local quantumflow.now = '2030-01-01 01:00:10+00';
select quantumflow.fail_task('10000000-0000-0000-0000-000000000002', 'a', 0, 'by hand', retryable => false);

select results_eq(
  $$select what, step_slug, detail from quantumflow.timeline('10000000-0000-0000-0000-000000000002') where what <> 'run started'$$,
  $$values
    ('run paused', null::text, 'and resumed, or ended, since'),
    ('step started', 'a', null),
    ('attempt failed', 'a', 'by hand'),
    ('step failed', 'a', 'by hand'),
    ('run failed', null, 'step a: by hand')$$,
  'a pause, and a failure with what was said');
select throws_ok($$select quantumflow.timeline(gen_random_uuid())$$, 'QF201', null, 'no such run');

select * from finish();
rollback;
