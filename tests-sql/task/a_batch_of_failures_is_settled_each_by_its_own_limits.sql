begin;
select plan(5);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "retry_delay": 0, "steps": [{"name": "a"}]}');
select quantumflow.define_flow('{"slug": "q", "queue": "other_queue", "max_attempts": 1, "steps": [{"name": "b"}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000002');
select quantumflow.start_flow('q', run_id => '10000000-0000-0000-0000-000000000003');
create temporary table claimed on commit drop as
select * from quantumflow.claim_tasks(gen_random_uuid(), 10, '{quantum_flow_queue,other_queue}');

select results_eq(
  $$select right(o.run_id::text, 1), o.outcome from quantumflow.fail_tasks((
      select jsonb_agg(
        to_jsonb(c) || jsonb_build_object('error_message', 'e' || right(run_id::text, 1), 'retryable', right(run_id::text, 1) <> '2')
        order by run_id desc)
      from claimed c)) o$$,
  $$values ('3', 'failed'), ('2', 'failed'), ('1', 'retrying')$$,
  'in the order of the results');
select results_eq(
  'select status, error_message from quantumflow.workflow_runs order by id',
  $$values ('started', null), ('failed', 'step a: e2'), ('failed', 'step b: e3')$$,
  'each with its own error');
select is((select count(*)::int from pgmq.q_quantum_flow_queue), 1, 'one message is left in the one queue');
select is((select count(*)::int from pgmq.q_other_queue), 0, 'and none in the other');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
