begin transaction isolation level repeatable read;
select plan(1);

select throws_ok(
  'select * from quantumflow.rebuild_queues()', '0A000', 'could not rebuild queues at this isolation level', 'since it waits for locks');

select * from finish();
rollback;
