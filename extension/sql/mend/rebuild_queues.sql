create function quantumflow.rebuild_queues()
returns table (queue text, messages bigint)
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '3 s'
set client_min_messages = 'warning'
set standard_conforming_strings = on
as $rebuild_queues$
declare
  v_now     timestamptz := quantumflow._now();
  v_model   jsonb;
  v_queue   text;
  v_run_ids uuid[];
  v_tids    tid[];
begin
  perform quantumflow._require_read_committed('rebuild queues');
  perform quantumflow._require_pgmq();
  perform quantumflow._lock_all_work();

  v_model := quantumflow._queue_model();

  for v_queue in
    select *
    from quantumflow._named_queues()
  loop
    perform quantumflow._renew_queue(v_queue, v_model);
  end loop;

  -- These were other messages. The next claims park what is still to be parked.
  delete from quantumflow._parked;

  select coalesce(array_agg(l.run_id), '{}'), array_agg(l.tid)
  into v_run_ids, v_tids
  from (
    select t.run_id, t.ctid as tid
    from quantumflow.step_tasks t
    where t.status in ('queued', 'started')
    order by t.queue, t.queued_at, t.run_id, t.step_slug, t.task_index
  ) l;

  for n in 0 .. cardinality(v_run_ids) / 10000 loop
    perform quantumflow._send_again(
      v_run_ids[n * 10000 + 1 : (n + 1) * 10000], v_tids[n * 10000 + 1 : (n + 1) * 10000], v_now);
  end loop;

  perform quantumflow._record_act('rebuild_queues', v_now);

  return query
  select n.queue, count(t.queue)
  from quantumflow._named_queues() n (queue)
  left join quantumflow.step_tasks t
    on t.queue = n.queue
    and t.status in ('queued', 'started')
  group by n.queue
  order by n.queue;
end
$rebuild_queues$;

comment on function quantumflow.rebuild_queues() is
'Makes the queues anew from the tasks, and returns how many messages each has then: after a restore, whatever the dump carried of
pgmq, and whenever a queue was lost, emptied or filled with somebody else''s messages.

Every queue that definitions or settings name exists afterwards, with the columns that the installed pgmq wants, and holds one message
per queued or started task and nothing else. Queued tasks get their places back, their delays kept; messages of paused runs
sleep. What was started has lost its lease: the next claim hands it out again, though a report that comes before still counts.
Messages that name no task of ours go to pgmq''s archive; the archives are kept. It can be repeated.

Stop the workers first. Everything else waits meanwhile: 220,000 messages took 4 s of processor time.

Errors: QF405 others hold tasks, runs or queues; QF403 a queue that is somebody else''s, or to which something was added that pgmq does
not make: a trigger, a policy, a constraint, a default, an index on an expression, a type; nothing has changed then; QF402 when pgmq is
missing or older than 1.5.1; 0A000 unless the transaction is read committed.';

create function quantumflow._lock_all_work()
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_lock_all_work$
declare
  v_queue regclass;
begin
  -- In the order in which reports lock. Not with NOWAIT, since autovacuum gives way only to somebody who has waited for a moment.
  lock table quantumflow.step_tasks, quantumflow.step_states, quantumflow.workflow_runs, quantumflow._unfinished_ends
    in exclusive mode;

  for v_queue in
    select quantumflow._queue_table(k.queue)
    from quantumflow._known_queues() k (queue)
    order by k.queue
  loop
    execute format('lock table %s in access exclusive mode', v_queue);
  end loop;
exception
  when lock_not_available or deadlock_detected then
    raise exception 'queues cannot be rebuilt while others work'
    using
      errcode = 'QF405',
      detail = format('PostgreSQL says: %s.', sqlerrm),
      hint = 'Stop the workers, end transactions that are open, and call it again.';
end
$_lock_all_work$;

comment on function quantumflow._lock_all_work() is
'Takes the tables of runs, steps and tasks and the queues, so that nobody else changes or holds a row of them.

Errors: QF405 others have them.';
