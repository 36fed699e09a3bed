begin;
select plan(2);

select pgmq.create('shared_queue');
select pgmq.send('shared_queue', '{"kept": true}');
create temporary table options on commit drop as
select reloptions from pg_class where oid = 'pgmq.q_shared_queue'::regclass;
select quantumflow._ensure_queue('shared_queue');

select is((select count(*)::int from pgmq.q_shared_queue), 1, 'its messages');
select is(
  (select reloptions from pg_class where oid = 'pgmq.q_shared_queue'::regclass), (select reloptions from options), 'its settings');

select * from finish();
rollback;
