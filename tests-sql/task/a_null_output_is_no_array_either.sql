begin;
select plan(5);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "list"}, {"name": "each", "type": "map", "dependencies": ["list"]}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');

select is(
  quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'list', output => null), 'type_violation', 'null');
select results_eq(
  'select r.status, t.status, t.output, r.error_message from quantumflow.workflow_runs r, quantumflow.step_tasks t',
  $$values ('failed', 'failed', 'null'::jsonb,
    'step list: the output must be an array, because a map maps over it, but is JSON of type null (QF305)')$$,
  'the run has failed');
select is_empty('select from pgmq.q_quantum_flow_queue', 'no message is left');

select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000002');
create temporary table claimed on commit drop as select * from quantumflow.claim_tasks(gen_random_uuid());
select results_eq(
  $$select o.outcome from quantumflow.complete_tasks((select jsonb_agg(to_jsonb(c)) from claimed c)) o$$,
  $$values ('type_violation')$$,
  'nor is one that was left out');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
