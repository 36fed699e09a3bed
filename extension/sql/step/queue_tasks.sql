create function quantumflow._queue_tasks(p_tasks quantumflow._new_task[], p_again boolean default false)
returns quantumflow._new_task[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_queue_tasks$
declare
  v_now      timestamptz := quantumflow._now();
  v_batch    record;
  v_messages bigint[];
  v_stranded quantumflow._new_task[];
begin
  -- A loop, because one send goes to one queue with one delay; nearly always it runs once.
  for v_batch in
    select
      t.queue,
      t.vt,
      array_agg(t order by t.run_id, t.step_slug, t.task_index) as tasks,
      array_agg(
        jsonb_build_object(
          'workflow_run_id', t.run_id,
          'step_name', t.step_slug,
          'task_index', t.task_index,
          'is_map_task', t.gathers)
        order by t.run_id, t.step_slug, t.task_index) as messages,
      case
        when count(t.headers) > 0
        then array_agg(t.headers order by t.run_id, t.step_slug, t.task_index)
      end as headers
    from unnest(p_tasks) t
    group by t.queue, t.vt
    order by t.queue, t.vt
  loop
    if quantumflow._hold_queue(v_batch.queue) is null then
      v_stranded := v_stranded || v_batch.tasks;
      continue;
    end if;

    if v_batch.vt <= v_now then
      perform quantumflow._notify(v_batch.queue, v_now);
    end if;

    v_messages := quantumflow._send_messages(v_batch.queue, v_batch.messages, v_batch.headers, v_batch.vt);

    if p_again then
      update quantumflow.step_tasks t
      set message_id = k.sent_id
      from (
        select n.run_id, v_messages[n.ordinality] as sent_id, l.ctid as tid
        from unnest(v_batch.tasks) with ordinality n
        cross join lateral (
          select m.ctid
          from quantumflow.step_tasks m
          where (m.run_id, m.step_slug, m.task_index) = (n.run_id, n.step_slug, n.task_index)
          limit 1
        ) l
      ) k
      where t.run_id is not distinct from k.run_id
        and t.ctid = k.tid;

      continue;
    end if;

    insert into quantumflow.step_tasks
      (run_id, step_slug, task_index, queue, message_id, queued_at, item_value,
       attempts, worker_id, lease_token, started_at, status)
    select
      t.run_id, t.step_slug, t.task_index, t.queue, v_messages[t.ordinality], t.ready_at, t.item_value,
      (t.lease_token is not null)::int, t.worker_id, t.lease_token, t.started_at,
      case when t.lease_token is null then 'queued' else 'started' end
    from unnest(v_batch.tasks) with ordinality t;
  end loop;

  return v_stranded;
end
$_queue_tasks$;

comment on function quantumflow._queue_tasks(quantumflow._new_task[], boolean) is
'Makes tasks: a message each, and the row that knows its message; or, with p_again, new messages for tasks that are there.

What is handed over is born started; for the rest that can be claimed at once, idle workers are woken. Returns, and does not make, those
whose queue is gone, or somebody else''s; null when there is none.';

create function quantumflow._why_stranded(p_queue text)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_why_stranded$
declare
  v_what text;
  v_code text;
begin
  perform quantumflow._raise_unusable_queue(p_queue);
exception
  when sqlstate 'QF401' or sqlstate 'QF403' then
    get stacked diagnostics
      v_what = message_text,
      v_code = returned_sqlstate;

    return format('%s (%s)', v_what, v_code);
end
$_why_stranded$;

comment on function quantumflow._why_stranded(text) is
'The error message of a task that has no queue.';

create function quantumflow._refuse_unusable_queues(p_queues text[])
returns void
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_refuse_unusable_queues$
declare
  v_queue text;
begin
  foreach v_queue in array p_queues loop
    if quantumflow._queue_table(v_queue) is null then
      perform quantumflow._raise_unusable_queue(v_queue);
    end if;
  end loop;
end
$_refuse_unusable_queues$;

comment on function quantumflow._refuse_unusable_queues(text[]) is
'Refuses what would put tasks into queues that are not there.

Errors: QF401 a queue is gone; QF403 it is somebody else''s.';
