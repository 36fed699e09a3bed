create function quantumflow._send_again(p_run_ids uuid[], p_tids tid[], p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $_send_again$
declare
  v_tasks   quantumflow._new_task[];
  v_batch   quantumflow._task_batch;
  v_msg_ids bigint[];
begin
  select array_agg(
    quantumflow._new_task_of(
      p_run_id => t.run_id,
      p_step_slug => t.step_slug,
      p_task_index => t.task_index,
      p_item_value => null,
      p_workflow_slug => r.workflow_slug,
      p_version => r.version,
      p_gathers => w.gathers,
      p_command => w.command,
      p_timeout => w.timeout,
      p_queue => t.queue,
      p_ready_at => t.queued_at,
      p_vt => case
        when t.status = 'started' then least(p_now, t.started_at + w.timeout - interval '1 ms')
        when r.status = 'paused' and w.counts then 'infinity'
        -- It waits for its turn, below.
        when t.limit_key is not null and t.queued_at <= p_now then 'infinity'
        else quantumflow._shown_at(t.run_id, w.signals, t.queued_at, r.priority, p_now)
      end,
      p_headers => r.headers))
  into v_tasks
  from unnest(p_run_ids, p_tids) k (run_id, tid)
  join quantumflow.step_tasks t
    on t.run_id is not distinct from k.run_id
    and t.ctid = k.tid
  cross join lateral (
    select l.*
    from quantumflow.workflow_runs l
    where l.id = t.run_id
    limit 1
  ) r
  cross join lateral (
    select l.gathers, l.command, l.timeout, l.counts, l.signals
    from quantumflow.workflow_steps l
    where (l.workflow_slug, l.version, l.step_slug) = (r.workflow_slug, r.version, t.step_slug)
    limit 1
  ) w;

  for v_batch in
    select *
    from quantumflow._in_batches(v_tasks)
  loop
    v_msg_ids := quantumflow._send_tasks(v_batch.queue, v_batch.commands, v_batch.messages, v_batch.headers, v_batch.vt);

    if v_msg_ids is null then
      perform quantumflow._raise_unusable_queue(v_batch.queue);
    end if;

    perform quantumflow._note_messages(v_batch.tasks, v_msg_ids);
  end loop;

  -- Counted as read (the last argument): a sweep looks at no message that was never read.
  perform quantumflow._set_vt(s.queue, s.msg_ids, s.vts, 1)
  from (
    select k.queue, array_agg(t.message_id) as msg_ids, array_agg(k.vt) as vts
    from unnest(v_tasks) k
    cross join lateral (
      select l.message_id, l.status
      from quantumflow.step_tasks l
      where (l.run_id, l.step_slug, l.task_index) = (k.run_id, k.step_slug, k.task_index)
      limit 1
    ) t
    where t.status = 'started'
    group by k.queue
  ) s;

  perform quantumflow._enter_waiting_room(
    array(
      select distinct k.run_id
      from unnest(v_tasks) k
      cross join lateral (
        select
        from quantumflow.step_tasks l
        where (l.run_id, l.step_slug, l.task_index) = (k.run_id, k.step_slug, k.task_index)
          and l.status = 'queued'
          and l.limit_key is not null
        limit 1
      ) t),
    p_now);
end
$_send_again$;

comment on function quantumflow._send_again(uuid[], tid[], timestamptz) is
'Gives queued and started tasks, by their runs and where their rows are, a new message each. The caller holds them.

A queued task gets its place in the queue back; in a paused run its message sleeps. A started task has lost its lease with its
message: the next claim or sweep finds that it was lost, though a report that comes before still counts.';

create function quantumflow._note_messages(p_tasks quantumflow._new_task[], p_msg_ids bigint[])
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_note_messages$
begin
  update quantumflow.step_tasks t
  set message_id = k.sent_id
  from (
    select n.run_id, p_msg_ids[n.ordinality] as sent_id, l.ctid as tid
    from unnest(p_tasks) with ordinality n
    cross join lateral (
      select m.ctid
      from quantumflow.step_tasks m
      where (m.run_id, m.step_slug, m.task_index) = (n.run_id, n.step_slug, n.task_index)
      limit 1
    ) l
  ) k
  where t.run_id is not distinct from k.run_id
    and t.ctid = k.tid;
end
$_note_messages$;

comment on function quantumflow._note_messages(quantumflow._new_task[], bigint[]) is
'Writes into the rows of tasks which messages they have now, in the order of the tasks.';
