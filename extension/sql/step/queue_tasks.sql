-- A step's tasks, and their messages.

create type quantumflow._task_batch as (
  queue    text,
  vt       timestamptz,
  is_taken boolean,
  tasks    quantumflow._new_task[],
  messages jsonb[],
  headers  jsonb[],
  commands text[],
  waits    boolean
);

comment on type quantumflow._task_batch is
'Tasks whose messages are sent by one statement: to one queue, with one vt, which is the end of the lease where a worker is to have them.
headers is null where no message has any; commands are theirs, each once.
waits: some of them wait for a limit.';

create type quantumflow._queued as (
  stranded quantumflow._new_task[],
  taken    quantumflow._taken_task[]
);

comment on type quantumflow._queued is
'Of tasks that were to be made those whose queue is gone, or somebody else''s, null when there is none, and those that were handed over.';

create function quantumflow._queue_tasks(
  p_tasks quantumflow._new_task[],
  p_offer quantumflow._offer default null,
  p_now   timestamptz default null)
returns quantumflow._queued
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_queue_tasks$
declare
  v_secret   uuid := case when p_offer.free > 0 then gen_random_uuid() end;
  v_batch    quantumflow._task_batch;
  v_msg_ids  bigint[];
  v_stranded quantumflow._new_task[];
  v_taken    quantumflow._taken_task[] := array[]::quantumflow._taken_task[];
begin
  -- Nearly always one batch.
  for v_batch in
    select *
    from quantumflow._in_batches(p_tasks, p_offer.lease, p_now)
  loop
    v_msg_ids := quantumflow._send_tasks(v_batch.queue, v_batch.commands, v_batch.messages, v_batch.headers, v_batch.vt);

    if v_msg_ids is null then
      v_stranded := v_stranded || v_batch.tasks;
      continue;
    end if;

    insert into quantumflow.step_tasks
      (run_id, step_slug, task_index, queue, message_id, queued_at, item_value,
       attempts, worker_id, lease_token, started_at, status, limit_key)
    select
      t.run_id, t.step_slug, t.task_index, t.queue, v_msg_ids[t.ordinality], t.ready_at, t.item_value,
      t.is_taken::int,
      case when t.is_taken then p_offer.worker_id end,
      case when t.is_taken then quantumflow._token_of(v_secret, v_msg_ids[t.ordinality]) end,
      case when t.is_taken then p_now end,
      case when t.is_taken then 'started' else 'queued' end,
      t.limit_key
    from unnest(v_batch.tasks) with ordinality t;

    if v_batch.waits then
      perform quantumflow._note_limit_waits(v_batch.tasks, v_msg_ids);
    end if;

    if v_batch.is_taken then
      v_taken := v_taken || array(
        select row(
          t.run_id, t.step_slug, t.task_index, t.queue, 1, 0, quantumflow._token_of(v_secret, v_msg_ids[t.ordinality])
        )::quantumflow._taken_task
        from unnest(v_batch.tasks) with ordinality t);
    end if;
  end loop;

  return row(v_stranded, v_taken)::quantumflow._queued;
end
$_queue_tasks$;

comment on function quantumflow._queue_tasks(quantumflow._new_task[], quantumflow._offer, timestamptz) is
'Makes tasks: a message each, and the row that knows its message. What is handed over to the worker that has made the offer is born started.';

create function quantumflow._note_limit_waits(p_tasks quantumflow._new_task[], p_msg_ids bigint[])
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_note_limit_waits$
begin
  insert into quantumflow._limit_waits
    (run_id, step_slug, task_index, limit_name, limit_key, queue, command, message_id, place, priority, let_go_at)
  select
    t.run_id, t.step_slug, t.task_index, t.limit_name, t.limit_key, t.queue, t.command, p_msg_ids[t.ordinality], t.place, r.priority,
    case when t.vt < 'infinity' then t.vt end
  from unnest(p_tasks) with ordinality t
  cross join lateral (
    select l.priority
    from quantumflow.workflow_runs l
    where l.id = t.run_id
    limit 1
  ) r
  where t.place is not null
  on conflict do nothing;
end
$_note_limit_waits$;

comment on function quantumflow._note_limit_waits(quantumflow._new_task[], bigint[]) is
'Notes new tasks of limited steps that wait to be claimed; p_msg_ids: their messages, in the order of the tasks.';

create function quantumflow._in_batches(p_tasks quantumflow._new_task[], p_lease interval default null, p_now timestamptz default null)
returns setof quantumflow._task_batch
language sql
stable
begin atomic
  select
    t.queue,
    v.vt,
    t.is_taken,
    array_agg(t order by t.run_id, t.step_slug, t.task_index),
    array_agg(
      quantumflow._message_of(t.run_id, t.step_slug, t.task_index, t.gathers, t.command)
      order by t.run_id, t.step_slug, t.task_index),
    case
      when count(t.headers) > 0
      then array_agg(t.headers order by t.run_id, t.step_slug, t.task_index)
    end,
    array_agg(distinct t.command),
    bool_or(t.place is not null)
  from unnest(p_tasks) t
  cross join lateral (select case when t.is_taken then p_now + least(p_lease, t.timeout) else t.vt end as vt) v
  group by t.queue, v.vt, t.is_taken
  order by t.queue, v.vt;
end;

comment on function quantumflow._in_batches(quantumflow._new_task[], interval, timestamptz) is
'Tasks with their messages, by what one statement can send. p_lease: that of the worker that is to have some of them.';

create function quantumflow._send_tasks(
  p_queue    text,
  p_commands text[],
  p_messages jsonb[],
  p_headers  jsonb[],
  p_vt       timestamptz)
returns bigint[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_send_tasks$
begin
  if quantumflow._hold_to_send(p_queue, p_commands, p_vt) is null then
    return null;
  end if;

  return quantumflow._send_messages(p_queue, p_messages, p_headers, p_vt);
end
$_send_tasks$;

comment on function quantumflow._send_tasks(text, text[], jsonb[], jsonb[], timestamptz) is
'Sends the messages of tasks, and returns their ids, in the order of the tasks; p_commands are theirs, each at least once. Idle workers are
woken for what can be claimed at once. Null: the queue is gone, or somebody else''s.';

create function quantumflow._hold_to_send(p_queue text, p_commands text[], p_vt timestamptz)
returns regclass
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_hold_to_send$
declare
  v_now     timestamptz := quantumflow._now();
  v_table   regclass := quantumflow._hold_queue(p_queue);
  v_is_told boolean := v_table is not null and p_vt <= v_now and quantumflow._notify(p_queue, p_commands, v_now);
begin
  return v_table;
end
$_hold_to_send$;

comment on function quantumflow._hold_to_send(text, text[], timestamptz) is
'Holds a queue to which messages are about to be sent that become visible at p_vt, and wakes idle workers for what can be claimed at once. Null:
the queue is gone, or somebody else''s.';

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
