begin;
select plan(4);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "max_attempts": 1, "on_complete": "c", "on_failure": "f", "steps": [
  {"name": "a"}, {"name": "b"}, {"name": "m", "type": "map"}, {"name": "z", "dependencies": ["a", "m"]}]}');
select quantumflow.start_flow('w', '[1, 2]', run_id => format('10000000-0000-0000-0000-00000000000%s', i)::uuid)
from generate_series(1, 4) i;
select count(*) from quantumflow.claim_tasks(gen_random_uuid(), 5);

-- One is completed, one fails, one is cancelled, one loses a worker.
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', s, i)
from (values ('a', 0), ('b', 0), ('m', 0), ('m', 1), ('z', 0)) t (s, i);
select quantumflow.fail_task('10000000-0000-0000-0000-000000000002', 'b');
select quantumflow.cancel_run('10000000-0000-0000-0000-000000000003');
select quantumflow.fail_task('10000000-0000-0000-0000-000000000004', 'm', 1);

select results_eq(
  'select status from quantumflow.workflow_runs order by id',
  $$values ('completed'), ('failed'), ('cancelled'), ('failed')$$, 'all have ended');
select results_eq(
  'select right(run_id::text, 1), step_slug from quantumflow.step_tasks where status in (''queued'', ''started'') order by 1',
  $$values ('1', '_on_complete' collate "C"), ('2', '_on_failure'), ('4', '_on_failure')$$, 'only callbacks are live');
select results_eq(
  $$select right(message ->> 'workflow_run_id', 1), message ->> 'step_name' from pgmq.q_quantum_flow_queue order by 1$$,
  $$values ('1', '_on_complete'), ('2', '_on_failure'), ('4', '_on_failure')$$, 'and only they have messages');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
