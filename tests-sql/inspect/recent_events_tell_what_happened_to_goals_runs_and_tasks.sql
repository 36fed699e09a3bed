begin;
select plan(13);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.register_decomposer('d', 'rules');
select quantumflow.add_method('d', '[{"id": "a", "max_attempts": 2, "retry_delay": 0}, {"id": "b", "depends_on": ["a"]}]', pattern => 'x');
create temporary table g as
select * from quantumflow.execute_goals('["x", "y"]', 'd');
set local quantumflow.now = '2030-01-01 00:00:01+00';
create temporary table t as select * from quantumflow.claim_tasks(gen_random_uuid(), 10);
set local quantumflow.now = '2030-01-01 00:00:02+00';
select quantumflow.fail_tasks((select jsonb_agg(to_jsonb(t) || '{"error_message": "oh"}') from t));
set local quantumflow.now = '2030-01-01 00:00:03+00';
select quantumflow.complete_task(run_id, 'a') from t;
set local quantumflow.now = '2030-01-01 00:00:04+00';
select quantumflow.fail_task(run_id, 'b', error_message => 'no', retryable => false) from t;

select set_eq(
  $$select extract(second from at)::int, kind, step_slug, data from quantumflow.recent_events()$$,
  $$values
    (0, 'decomposition_completed', null, '{}'::jsonb),
    (0, 'decomposition_failed', null, '{"error": "decomposer \"d\" has no rule for goal \"y\""}'),
    (0, 'decomposition_started', null, '{}'),
    (0, 'execution_started', null, '{}'),
    (0, 'task_started', 'a', '{}'),
    (2, 'task_retried', 'a', '{"error": "oh"}'),
    (3, 'task_completed', 'a', '{}'),
    (3, 'task_started', 'b', '{}'),
    (4, 'execution_failed', null, '{"error": "step b: no"}'),
    (4, 'task_failed', 'b', '{"error": "no"}')$$,
  'what happened is told');
select is((select count(*) from quantumflow.recent_events()), 11::bigint, 'once each');
select is((select count(distinct event_id) from quantumflow.recent_events()), 11::bigint, 'each has an id');
select results_eq('select event_id from quantumflow.recent_events()', 'select event_id from quantumflow.recent_events() order by at desc, event_id desc', 'which sorts by time');
select results_eq('select event_id from quantumflow.recent_events()', 'select event_id from quantumflow.recent_events()', 'and is the same again');
select results_eq($$select kind from quantumflow.recent_events('{task_retried,execution_failed}')$$, $$values ('execution_failed'), ('task_retried')$$, 'of some kinds');
select is((select count(*) from quantumflow.recent_events(run_id => (select run_id from t))), 9::bigint, 'of a run');
select is((select count(*) from quantumflow.recent_events(since => '2030-01-01 00:00:03+00')), 4::bigint, 'since a moment');
select results_eq($$select extract(second from at)::int from quantumflow.recent_events(max_events => 2)$$, 'values (4), (4)', 'the last ones');
select throws_ok($$select quantumflow.recent_events('{run_started}')$$, 'QF212', 'there are no events of kind "run_started"', 'an unknown kind');
select throws_ok($$select quantumflow.recent_events(max_events => 0)$$, 'QF211', null, 'at least one');
select quantumflow.configure_orchestrator('{"notifications": {"enabled": false}}');
select is_empty('select * from quantumflow.recent_events()', 'nothing is told when that is off');
select quantumflow.configure_orchestrator('{"notifications": {"enabled": true}}');
select isnt_empty('select * from quantumflow.recent_events()', 'and nothing was lost meanwhile');

select * from finish();
rollback;
