begin;
set transaction isolation level repeatable read;
select plan(3);

select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}]}');
select lives_ok($$select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001')$$, 'in repeatable read');
select is(
  (select quantumflow.complete_task(run_id, step_slug, task_index, '1', lease_token) from quantumflow.claim_tasks(gen_random_uuid())),
  'completed', 'and goes to its end');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
