begin;
select plan(2);

select quantumflow.define_flow('{"slug": "w", "announce": true, "one_at_a_time": {"key": "$.run"}, "steps": [{"name": "a"}]}');
select quantumflow._store_tuned('w', 1, '[{"step_slug": "a", "key": "timeout", "suggested": 7}]', quantumflow._now());
select results_eq(
  'select turns, announces from quantumflow.workflow_versions where version = 2',
  $$values ('{"key": "$.run", "when_busy": "queue"}'::jsonb, true)$$, 'the version says what the flow says');

select quantumflow.start_flow('w', '1', version => v) from unnest(array[1, 2]) v;
select results_eq(
  'select version, status, announced from quantumflow.workflow_runs order by version',
  $$values (1, 'started', true), (2, 'paused', true)$$, 'so that a run of it waits for those before it');

select * from finish();
rollback;
