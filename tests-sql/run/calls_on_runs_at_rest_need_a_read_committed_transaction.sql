begin isolation level repeatable read;
select plan(5);

select throws_ok(
  format('select quantumflow.%s(%s)', verb, argument),
  '0A000', message, verb)
from (values
  ('resume_run', 'gen_random_uuid()', 'could not resume a run at this isolation level'),
  ('retry_run', 'gen_random_uuid()', 'could not retry a run at this isolation level'),
  ('delete_run', 'gen_random_uuid()', 'could not delete a run at this isolation level'),
  ('prune', '''1 day''', 'could not prune at this isolation level')) v (verb, argument, message);
select lives_ok(
  $$select quantumflow.retry_preview(r.id) from quantumflow.workflow_runs r$$, 'looking is not refused');

select * from finish();
rollback;
