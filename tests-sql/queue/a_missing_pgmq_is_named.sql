begin;
select plan(2);

alter extension pgmq drop function pgmq.send_batch(text, jsonb[], jsonb[], timestamptz);
drop function pgmq.send_batch(text, jsonb[], jsonb[], timestamptz);

select throws_ok(
  $$select quantumflow.setup()$$, 'QF402', 'pgmq is missing or too old', 'by setup');
select throws_ok(
  $$select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}]}')$$, 'QF402', null, 'and when a workflow is defined');

select * from finish();
rollback;
