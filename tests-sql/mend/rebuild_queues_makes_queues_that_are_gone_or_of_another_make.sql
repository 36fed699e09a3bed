begin;
select plan(8);

select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "a"}, {"name": "b", "queue": "other"}, {"name": "c", "queue": "third"}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select pgmq.archive('other', (select max(msg_id) from pgmq.q_other));
\ir ../fixtures/queues_are_no_members.sql
-- As a dump of a pgmq before 1.6 and before 1.10 leaves them in a newer one.
drop table pgmq.q_other;
alter table pgmq.q_third drop column headers;
alter table pgmq.a_third drop column headers;
drop table pgmq.q_quantum_flow_queue, pgmq.a_quantum_flow_queue;
delete from pgmq.meta;

select results_eq(
  'select * from quantumflow.rebuild_queues()',
  $$values ('other', 1::bigint), ('quantum_flow_queue', 1), ('third', 1)$$,
  'each has its message');
select is_empty('select * from quantumflow.check_state()', 'every rule holds');
select set_eq(
  'select queue_name::text from pgmq.list_queues()', array['other', 'quantum_flow_queue', 'third'], 'pgmq knows them');
select is((select count(*)::int from pgmq.a_other), 1, 'the archive is kept');
select is(
  (select reloptions @> '{fillfactor=50}' from pg_class where relname = 'q_other'), true, 'the settings are those of a busy queue');
insert into quantumflow.queues values ('other', true), ('third', true);
select lives_ok(
  $$select quantumflow.complete_task(run_id, step_slug, task_index, '1', lease_token)
    from quantumflow.claim_tasks(gen_random_uuid(), 5, '{other,third,quantum_flow_queue}')$$,
  'tasks are claimed from them, completed, and their messages archived');
select is((select count(*)::int from pgmq.a_other), 2, 'beside what was there');
select is((select status from quantumflow.workflow_runs), 'completed', 'the run gets to its end');

select * from finish();
rollback;
