begin;
select plan(2);

select is(
  (quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a", "start_delay": 0.0000001, "retry_delay": 1.0000000, "dependencies": []}]}')).definition,
  '{"slug": "w", "version": "1.0", "steps": [{"name": "a", "type": "single", "retry_delay": 1}]}',
  'it is rounded before it is found to be the default');
select is(
  (quantumflow.define_flow(quantumflow.get_flow('w'))).content_hash,
  (select content_hash from quantumflow.workflow_versions),
  'so what get_flow returns is the same content');

select * from finish();
rollback;
