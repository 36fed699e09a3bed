begin;
select plan(5);

select quantumflow.setup();
create role app_rw;
create role order_worker;
create role looker;
prepare grants as select state, fact from quantumflow.doctor() where subject = 'grants';

select quantumflow.grant_access('order_worker', 'worker');
select quantumflow.grant_access('looker', 'operator');
select results_eq(
  'grants', $$values ('ok', 'nobody has a right that no access gives')$$, 'what grant_access gives is as it should be');

grant insert on quantumflow.settings to app_rw;
grant create on schema quantumflow to looker;
grant execute on function quantumflow.complete_task(uuid, text, int, jsonb, bigint) to order_worker;
grant execute on function quantumflow._now() to public;
grant select on pgmq.q_quantum_flow_queue to looker;
grant select on quantumflow.step_tasks to order_worker;
grant update (status) on quantumflow.workflow_runs to app_rw;
select results_eq(
  $$select state, unnest(string_to_array(substr(fact, length('rights that no access gives: ') + 1), ', ')) collate "C" as what
    from quantumflow.doctor() where subject = 'grants' order by what$$,
  $$
  select 'warning', k collate "C" from unnest(array[
    'CREATE on schema quantumflow to looker',
    'EXECUTE on quantumflow._now() to PUBLIC',
    'EXECUTE on quantumflow.complete_task(uuid,text,integer,jsonb,bigint) to order_worker',
    'INSERT on quantumflow.settings to app_rw',
    'SELECT on pgmq.q_quantum_flow_queue to looker',
    'SELECT on quantumflow.step_tasks to order_worker',
    'UPDATE on quantumflow.workflow_runs (status) to app_rw'
  ]) k
  $$,
  'each other right is named, of schema, functions, tables and queues');

select quantumflow.revoke_access('app_rw');
revoke create on schema quantumflow from looker;
revoke execute on function quantumflow.complete_task(uuid, text, int, jsonb, bigint) from order_worker;
revoke execute on function quantumflow._now() from public;
revoke select on pgmq.q_quantum_flow_queue from looker;
revoke select on quantumflow.step_tasks from order_worker;
select results_eq('grants', $$values ('ok', 'nobody has a right that no access gives')$$, 'and taken back, they are gone');

alter default privileges grant all on tables to app_rw;
alter default privileges grant all on sequences to app_rw;
select quantumflow.define_flow('{"slug": "w", "queue": "later", "steps": [{"name": "a"}]}');
select ok(
  not has_table_privilege('app_rw', 'pgmq.q_later', 'select, insert, update, delete, trigger')
    and not has_table_privilege('app_rw', 'pgmq.a_later', 'select, insert, update, delete, trigger')
    and not has_sequence_privilege('app_rw', 'pgmq.q_later_msg_id_seq', 'usage, select, update'),
  'default privileges give nobody a right to a queue that is made');
select results_eq('grants', $$values ('ok', 'nobody has a right that no access gives')$$, 'so there is nothing to name');

select * from finish();
rollback;
