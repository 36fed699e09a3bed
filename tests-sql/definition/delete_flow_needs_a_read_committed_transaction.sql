begin isolation level repeatable read;
select plan(2);

select lives_ok($$select quantumflow.create_flow('order')$$, 'a workflow');

-- A run that was started while delete_flow waited for its turn would be invisible to it.
select throws_ok(
  $$select quantumflow.delete_flow('order')$$,
  '0A000', 'could not delete a workflow at this isolation level', 'another isolation level is refused');

select * from finish();
rollback;
