begin;
select plan(1);

select pgmq.create('shared_queue');
create temporary table options on commit drop as
select reloptions from pg_class where oid = 'pgmq.q_shared_queue'::regclass;
insert into quantumflow.queues (queue) values ('shared_queue');
select quantumflow._ensure_queue('shared_queue');

select is(
  (select reloptions from pg_class where oid = 'pgmq.q_shared_queue'::regclass), (select reloptions from options), 'its settings');

select * from finish();
rollback;
