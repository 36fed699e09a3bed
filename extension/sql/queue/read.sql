-- What is read of the queues' tables: messages by their vt, the longest visible first. pgmq.read() sorts all messages by msg_id,
-- visible or not, so delayed ones make every read slow.

create type quantumflow._message as (
  msg_id     bigint,
  run_id     text,
  step_slug  text,
  task_index text,
  vt         timestamptz,
  part       oid,
  tid        tid
);

comment on type quantumflow._message is
'A message that was read and locked: its id, the task that it names, if it names one, since when it is visible, and where it is: part
is the table, of a partitioned queue the partition.';

create function quantumflow._read_messages(p_queue text, p_quantity int, p_now timestamptz)
returns quantumflow._message[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_read_messages$
declare
  v_front    timestamptz := quantumflow._front(p_queue, p_now);
  v_passed   bigint := quantumflow._entries_read(p_queue);
  v_messages quantumflow._message[];
begin
  execute format(
    $$
    select array_agg(
      row(
        m.msg_id, m.message ->> 'workflow_run_id', m.message ->> 'step_name', m.message ->> 'task_index', m.vt, m.part, m.tid
      )::quantumflow._message
      order by m.vt, m.msg_id)
    from (
      select q.msg_id, q.vt, q.message, q.tableoid as part, q.ctid as tid
      from pgmq.%I q
      where q.vt >= $3
        and q.vt <= $1
      order by q.vt
      limit $2
      for update skip locked
    ) m
    $$,
    'q_' || p_queue)
  using p_now, p_quantity, v_front
  into v_messages;

  v_passed := quantumflow._entries_read(p_queue) - v_passed;
  if v_passed > 2000 or v_front > '-infinity' then
    perform quantumflow._remember_front(p_queue, v_front, v_messages[1].vt, v_passed, p_now);
  end if;

  return v_messages;
end
$_read_messages$;

comment on function quantumflow._read_messages(text, int, timestamptz) is
'Locks the p_quantity messages that have been visible longest, skipping those that others hold, and changes nothing.

Null when there is none. The lock is what makes a claim exclusive until _hide hides the message. See _remember_front for what
may be overlooked, and for how long.';

create function quantumflow._oldest_vt(p_queue text, p_now timestamptz)
returns timestamptz
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_oldest_vt$
declare
  v_front  timestamptz;
  v_passed bigint;
  v_vt     timestamptz;
begin
  v_front := quantumflow._front(p_queue, p_now);
  v_passed := quantumflow._entries_read(p_queue);

  execute format('select q.vt from pgmq.%I q where q.vt >= $2 and q.vt <= $1 order by q.vt limit 1', 'q_' || p_queue)
  using p_now, v_front
  into v_vt;

  v_passed := quantumflow._entries_read(p_queue) - v_passed;
  if v_passed > 2000 or v_front > '-infinity' then
    perform quantumflow._remember_front(p_queue, v_front, v_vt, v_passed, p_now);
  end if;

  return v_vt;
end
$_oldest_vt$;

comment on function quantumflow._oldest_vt(text, timestamptz) is
'Since when the message has been visible that has been visible longest; null when none is. The caller holds the queue.';

create function quantumflow._read_lapsed(p_queue text, p_now timestamptz)
returns quantumflow._message[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_read_lapsed$
declare
  v_msg_ids  bigint[];
  v_messages quantumflow._message[];
begin
  -- Visible messages of started tasks, among those visible longest. A message that was never read, nor sent with a lease, belongs to a
  -- task that was never claimed: the first condition leaves it out, and its task need not be looked at.
  execute format(
    $$
    select array_agg(q.msg_id)
    from (
      select m.msg_id, m.read_ct, m.enqueued_at, m.vt, m.message
      from pgmq.%I m
      where m.vt >= $2
        and m.vt <= $1
      order by m.vt
      limit 10000
    ) q
    where (q.read_ct > 0 or q.vt >= q.enqueued_at + interval '1 ms')
      and exists (
        select
        from quantumflow.step_tasks t
        where t.run_id = quantumflow._as_uuid(q.message ->> 'workflow_run_id')
          and t.step_slug = q.message ->> 'step_name'
          and t.task_index = quantumflow._as_number(q.message ->> 'task_index', 9)::int
          and t.status = 'started'
        offset 0
      )
    $$,
    'q_' || p_queue)
  using p_now, quantumflow._front(p_queue, p_now)
  into v_msg_ids;

  if v_msg_ids is null then
    return null;
  end if;

  execute format(
    $$
    select array_agg(
      row(
        m.msg_id, m.message ->> 'workflow_run_id', m.message ->> 'step_name', m.message ->> 'task_index', m.vt, m.part, m.tid
      )::quantumflow._message
      order by m.vt, m.msg_id)
    from (
      select q.msg_id, q.vt, q.message, q.tableoid as part, q.ctid as tid
      from pgmq.%I q
      where q.msg_id = any ($2)
      offset 0
      for update skip locked
    ) m
    where m.vt <= $1
    $$,
    'q_' || p_queue)
  using p_now, v_msg_ids
  into v_messages;

  return v_messages;
end
$_read_lapsed$;

comment on function quantumflow._read_lapsed(text, timestamptz) is
'Locks messages of started tasks that are visible, so that their lease has run out. Null when there is none.';

create function quantumflow._all_messages()
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_all_messages$
begin
  return coalesce(
    (
      select string_agg(
        format('select %L as queue, q.msg_id, q.vt, q.message from pgmq.%I q', k.queue, 'q_' || k.queue), ' union all ')
      from quantumflow._known_queues() k (queue)
    ),
    'select null::text as queue, null::bigint as msg_id, null::timestamptz as vt, null::jsonb as message where false');
end
$_all_messages$;

comment on function quantumflow._all_messages() is
'The text of a query for the messages of all queues: queue, msg_id, vt, message.';
