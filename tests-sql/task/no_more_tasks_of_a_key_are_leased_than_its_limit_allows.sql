begin;
select plan(15);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.set_limit('api', 2);
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a", "type": "map", "limit": "api"}]}');
select quantumflow.start_flow('w', '[0, 1, 2, 3, 4]', run_id => '10000000-0000-0000-0000-000000000001');

select results_eq(
  'select task_index, limit_key, vt < ''infinity'' from quantumflow.step_tasks t join pgmq.q_quantum_flow_queue q on q.msg_id = t.message_id order by 1',
  $$values (0, '', true), (1, '', true), (2, '', false), (3, '', false), (4, '', false)$$,
  'two of five are let go, and the others sleep');
select results_eq(
  'select task_index, let_go_at is not null from quantumflow._limit_waits order by 1',
  $$values (0, true), (1, true), (2, false), (3, false), (4, false)$$,
  'all of them wait');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

create temporary table got as select * from quantumflow.claim_tasks(gen_random_uuid(), 10);
select results_eq('select task_index from got order by 1', 'values (0), (1)', 'two are handed out');
select is_empty('select * from quantumflow.claim_tasks(gen_random_uuid(), 10)', 'and no third');
select results_eq(
  'select * from quantumflow.list_limits()', $$values ('api', null::text, 2, null::numeric, 2::bigint, 3::bigint)$$, 'list_limits counts them');
select set_eq(
  $$select reason, tasks from quantumflow.why('10000000-0000-0000-0000-000000000001')$$,
  $$values ('running', 2::bigint), ('waits for a limit', 3)$$, 'why says so');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select quantumflow.complete_task(run_id, step_slug, task_index, '1', lease_token) from got where task_index = 0;
select results_eq(
  'select task_index from quantumflow.claim_tasks(gen_random_uuid(), 10)', 'values (2)', 'as one ends the next goes, and only it');
select is(
  (select array_agg(quantumflow.fail_task(run_id, step_slug, task_index, 'x', lease_token)) from got where task_index = 1),
  '{retrying}', 'another fails, and is tried again later');
select results_eq(
  'select task_index from quantumflow.claim_tasks(gen_random_uuid(), 10)', 'values (3)', 'which lets the next go');
select results_eq('select task_index from quantumflow._limit_waits', 'values (4)', 'one waits');
set local quantumflow.now = '2030-01-01 00:00:05+00';
select is_empty('select * from quantumflow.claim_tasks(gen_random_uuid(), 10)', 'what comes again has no slot for itself');
select results_eq('select task_index from quantumflow._limit_waits order by place', 'values (4), (1)', 'and waits with the others');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
