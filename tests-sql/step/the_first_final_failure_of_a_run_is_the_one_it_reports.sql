begin;
select plan(5);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "max_attempts": 1, "steps": [{"name": "a"}, {"name": "b"}, {"name": "m", "type": "map"}]}');
select quantumflow.start_flow('w', '[1, 2]', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.start_flow('w', '[1, 2]', run_id => '10000000-0000-0000-0000-000000000002');
create temporary table claimed on commit drop as select * from quantumflow.claim_tasks(gen_random_uuid(), 20);

select results_eq(
  $$select o.outcome from quantumflow.fail_tasks((
      select jsonb_agg(to_jsonb(c) || jsonb_build_object('error_message', step_slug || task_index) order by step_slug, task_index)
      from claimed c where right(run_id::text, 1) = '1')) o$$,
  $$values ('failed'), ('failed'), ('failed'), ('failed')$$,
  'four final failures of one run in one call');
select results_eq(
  'select id = ''10000000-0000-0000-0000-000000000001'', status, error_message from quantumflow.workflow_runs order by id',
  $$values (true, 'failed', 'step a: a0'), (false, 'started', null)$$,
  'the run has failed once');
select results_eq(
  'select step_slug, task_index, status, error_message from quantumflow.step_tasks where right(run_id::text, 1) = ''1'' order by 1, 2',
  $$values ('a' collate "C", 0, 'failed', 'a0'), ('b', 0, 'failed', 'b0'), ('m', 0, 'failed', 'm0'), ('m', 1, 'failed', 'm1')$$,
  'each task keeps its own error');
select is((select count(*)::int from pgmq.q_quantum_flow_queue), 4, 'the other run''s messages stay');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
