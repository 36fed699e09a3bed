-- The only statements that touch pgmq's tables directly: reading by vt, and setting vt row by row.
-- A message is looked up by its msg_id alone, and the rest asked outside (offset 0, limit 1): with statistics of an empty queue the
-- index on vt seems as good, and then each look-up reads all of it.
-- What pgmq's functions would do is said here as they say it. Whoever may make functions in its schema can make one more of a name, with
-- a default, and then PostgreSQL finds that a call is not unique and refuses it.
-- pgmq.read() sorts all messages by msg_id, visible or not, so delayed ones make every read slow.

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

create function quantumflow._entries_read(p_queue text)
returns bigint
language sql
volatile
return coalesce(pg_stat_get_xact_tuples_returned(to_regclass(format('pgmq.%I', 'q_' || p_queue || '_vt_idx'))), 0);

comment on function quantumflow._entries_read(text) is
'How many entries of the queue''s index on vt this transaction has read, dead ones too; 0 where PostgreSQL does not count.';

create function quantumflow._front(p_queue text, p_now timestamptz)
returns timestamptz
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_front$
declare
  v_noted numeric[] := nullif(current_setting('quantumflow.front_' || p_queue, true), '')::numeric[];
begin
  if extract(epoch from p_now) between v_noted[1] and v_noted[2] then
    return to_timestamp(v_noted[1]);
  end if;

  return '-infinity'::timestamptz;
end
$_front$;

comment on function quantumflow._front(text, timestamptz) is
'From which vt on this session is to look for visible messages: -infinity, or what _remember_front has noted.';

create function quantumflow._remember_front(
  p_queue  text,
  p_front  timestamptz,
  p_oldest timestamptz,
  p_passed bigint,
  p_now    timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_remember_front$
declare
  v_name  text := 'quantumflow.front_' || p_queue;
  v_first timestamptz := coalesce(p_oldest, p_now);
  v_until numeric;
begin
  if p_front > '-infinity' then
    v_until := (current_setting(v_name)::numeric[])[2];
  else
    v_until := extract(epoch from p_now) + 0.000002 * p_passed;
  end if;

  -- A sender reads the clock some time before it commits; only where very many are sent at once there is no room for that.
  if p_front = '-infinity' or p_passed <= 2000 then
    v_first := greatest(p_front, v_first - interval '100 ms');
  end if;

  perform set_config(v_name, array[extract(epoch from v_first), v_until]::text, false);
end
$_remember_front$;

comment on function quantumflow._remember_front(text, timestamptz, timestamptz, bigint, timestamptz) is
'Notes, in a setting of this session, where the visible messages of a queue begin, since many dead index entries lie before them.

They pile up while some transaction keeps an old snapshot: no vacuum may remove them, and to pass one by takes about 0.2 us.
p_front: from where was read. p_oldest: the vt of the first message found. p_passed: how many entries were read. The next
reads begin 100 ms before that message, until 2 us for each entry passed are over; then one begins at the beginning. So that costs a
tenth of the time at most, and what has a vt before the front (by its priority, a release, a slow commit) is overlooked no longer.';

create function quantumflow._hide(p_queue text, p_parts oid[], p_tids tid[], p_vts timestamptz[])
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_hide$
begin
  if cardinality(p_tids) > 0 then
    execute format(
      $$
      update pgmq.%I q
      set
        vt = k.vt,
        read_ct = q.read_ct + 1
      from unnest($1, $2, $3) k (part, tid, vt)
      where q.tableoid = k.part
        and q.ctid = k.tid
      $$,
      'q_' || p_queue)
    using p_parts, p_tids, p_vts;
  end if;
end
$_hide$;

comment on function quantumflow._hide(text, oid[], tid[], timestamptz[]) is
'Hides messages that the caller has read until each one''s vt, and counts the reading, as pgmq.read does.

The caller has locked them, so they are still where they were read.';

create function quantumflow._set_vt(p_queue text, p_msg_ids bigint[], p_vts timestamptz[], p_reads int default 0)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_set_vt$
begin
  if cardinality(p_msg_ids) > 0 then
    execute format(
      $$
      update pgmq.%1$I q
      set
        vt = c.vt,
        read_ct = q.read_ct + $3
      from (
        select k.vt, l.part, l.tid
        from unnest($1, $2) k (msg_id, vt)
        cross join lateral (
          select m.tableoid as part, m.ctid as tid
          from pgmq.%1$I m
          where m.msg_id = k.msg_id
          limit 1
        ) l
      ) c
      where q.tableoid = c.part
        and q.ctid = c.tid
      $$,
      'q_' || p_queue)
    using p_msg_ids, p_vts, p_reads;
  end if;
end
$_set_vt$;

comment on function quantumflow._set_vt(text, bigint[], timestamptz[], int) is
'Sets when each message becomes visible, in one statement; p_reads is added to read_ct.

The caller holds the messages. They are found one by one and updated by ctid: statistics of an empty queue, which is what
autovacuum mostly finds, would have a join by msg_id read the whole queue for every call.';

create function quantumflow._redelay(p_queue text, p_msg_ids bigint[], p_vts timestamptz[])
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_redelay$
begin
  if quantumflow._hold_queue(p_queue) is null then
    return;
  end if;

  -- A statement of its own, because what was waited for may have moved.
  execute format(
    $$
    select
    from (
      select k.msg_id
      from unnest($1) k (msg_id)
      order by k.msg_id
      offset 0
    ) k
    cross join lateral (
      select
      from pgmq.%I m
      where m.msg_id = k.msg_id
      for update
    ) m
    $$,
    'q_' || p_queue)
  using p_msg_ids;

  perform quantumflow._set_vt(p_queue, p_msg_ids, p_vts);
end
$_redelay$;

comment on function quantumflow._redelay(text, bigint[], timestamptz[]) is
'Sets when each message becomes visible, after waiting for whoever holds it: a claim, at most, which does not wait itself.';

create function quantumflow._send_messages(p_queue text, p_messages jsonb[], p_headers jsonb[], p_vt timestamptz)
returns bigint[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_send_messages$
declare
  v_msg_ids bigint[];
begin
  execute format(
    $$
    with sent as (
      insert into pgmq.%I (vt, message, headers)
      select $3, k.message, $2[k.n]
      from unnest($1) with ordinality k (message, n)
      order by k.n
      returning msg_id
    )
    select array_agg(s.msg_id)
    from sent s
    $$,
    'q_' || p_queue)
  using p_messages, p_headers, p_vt
  into v_msg_ids;

  return v_msg_ids;
end
$_send_messages$;

comment on function quantumflow._send_messages(text, jsonb[], jsonb[], timestamptz) is
'Puts messages into a queue, as pgmq.send_batch does, and returns their ids in order. p_headers may be null. The caller holds the queue.';

create function quantumflow._remove_messages(p_queue text, p_msg_ids bigint[])
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_remove_messages$
begin
  if cardinality(p_msg_ids) = 0 or quantumflow._hold_queue(p_queue) is null then
    return;
  end if;

  if exists (select from quantumflow.queues q where q.queue = p_queue and q.archive)
    and quantumflow._hold_queue(p_queue, 'a_') is not null
  then
    perform quantumflow._archive_messages(p_queue, p_msg_ids);
  else
    execute format('delete from pgmq.%I where msg_id = any ($1)', 'q_' || p_queue)
    using p_msg_ids;
  end if;
end
$_remove_messages$;

comment on function quantumflow._remove_messages(text, bigint[]) is
'Takes messages out of a queue: deleted, or archived where the queue''s settings say so and there is an archive. A dropped queue has
none.';

create function quantumflow._archive_messages(p_queue text, p_msg_ids bigint[])
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_archive_messages$
declare
  -- pgmq has it since 1.10.
  v_more text := (
    select string_agg(', ' || quote_ident(a.attname), '')
    from pg_attribute a
    where a.attrelid = to_regclass(format('pgmq.%I', 'a_' || p_queue))
      and a.attname = 'last_read_at');
begin
  execute format(
    $$
    with archived as (
      delete from pgmq.%1$I
      where msg_id = any ($1)
      returning msg_id, vt, read_ct, enqueued_at, message, headers%3$s
    )
    insert into pgmq.%2$I (msg_id, vt, read_ct, enqueued_at, message, headers%3$s)
    select msg_id, vt, read_ct, enqueued_at, message, headers%3$s
    from archived
    $$,
    'q_' || p_queue, 'a_' || p_queue, v_more)
  using p_msg_ids;
end
$_archive_messages$;

comment on function quantumflow._archive_messages(text, bigint[]) is
'Moves messages to a queue''s archive, as pgmq.archive does. The caller holds both.';

create function quantumflow._remove_free_messages(p_queue text, p_msg_ids bigint[])
returns bigint[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_remove_free_messages$
declare
  v_free bigint[];
  v_busy bigint[];
begin
  if quantumflow._hold_queue(p_queue) is null then
    return array[]::bigint[];
  end if;

  execute format(
    $$
    select coalesce(array_agg(m.msg_id order by m.msg_id), '{}')
    from (
      select q.msg_id
      from pgmq.%I q
      where q.msg_id = any ($1)
      for update skip locked
    ) m
    $$,
    'q_' || p_queue)
  using p_msg_ids
  into v_free;

  perform quantumflow._remove_messages(p_queue, v_free);

  execute format(
    $$
    select coalesce(array_agg(q.msg_id), '{}')
    from pgmq.%I q
    where q.msg_id = any ($1)
    $$,
    'q_' || p_queue)
  using p_msg_ids
  into v_busy;

  return v_busy;
end
$_remove_free_messages$;

comment on function quantumflow._remove_free_messages(text, bigint[]) is
'Takes messages out of a queue without waiting, and returns those that stayed because others hold them.';

create function quantumflow._archive_foreign(p_queue text, p_msg_ids bigint[])
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_archive_foreign$
begin
  -- Where there is no archive they stay, out of the way.
  if quantumflow._hold_queue(p_queue, 'a_') is null then
    perform quantumflow._set_vt(p_queue, p_msg_ids, array_fill('infinity'::timestamptz, array[cardinality(p_msg_ids)]));
  else
    perform quantumflow._archive_messages(p_queue, p_msg_ids);
  end if;

  raise warning '% % of queue "%" that name no task of quantumflow',
    case when quantumflow._queue_table(p_queue, 'a_') is null then 'hid' else 'archived' end,
    case cardinality(p_msg_ids) when 1 then 'a message' else cardinality(p_msg_ids) || ' messages' end, p_queue
  using
    detail = format('Their msg_id: %s.', array_to_string(p_msg_ids[1:20], ', ')),
    hint = format('They are in pgmq.%s_%s. Send other messages to another queue.',
      case when quantumflow._queue_table(p_queue, 'a_') is null then 'q' else 'a' end, p_queue);
end
$_archive_foreign$;

comment on function quantumflow._archive_foreign(text, bigint[]) is
'Moves messages that are not ours, cannot be read or are not the one their task names to pgmq''s archive, with a warning.';

create function quantumflow._extend_vt(p_queue text, p_msg_ids bigint[], p_vts timestamptz[])
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_extend_vt$
declare
  v_msg_ids bigint[];
  v_vts     timestamptz[];
begin
  if quantumflow._hold_queue(p_queue) is null then
    return;
  end if;

  -- A message that somebody holds is being claimed or reported: then there is nothing to extend.
  execute format(
    $$
    select array_agg(k.msg_id), array_agg(k.vt)
    from unnest($1, $2) k (msg_id, vt)
    cross join lateral (
      select m.vt
      from pgmq.%I m
      where m.msg_id = k.msg_id
      offset 0
      for update skip locked
    ) m
    where m.vt < k.vt
    $$,
    'q_' || p_queue)
  using p_msg_ids, p_vts
  into v_msg_ids, v_vts;

  perform quantumflow._set_vt(p_queue, v_msg_ids, v_vts);
end
$_extend_vt$;

comment on function quantumflow._extend_vt(text, bigint[], timestamptz[]) is
'Makes messages stay hidden for longer, never shorter, skipping those that others hold.';

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
  -- Visible messages of started tasks, among those visible longest. The first condition spares most of the others a look at their
  -- task: what was never read, nor sent with a lease, has never been claimed.
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

create function quantumflow._recall_put_back(p_queue text, p_commands text[], p_now timestamptz)
returns int
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_recall_put_back$
declare
  v_msg_ids bigint[];
begin
  -- A queued task whose time has come but whose message is hidden was put back for want of a handler.
  execute format(
    $$
    select array_agg(q.msg_id)
    from (
      select m.msg_id
      from pgmq.%I m
      cross join lateral (
        select l.run_id, l.step_slug
        from quantumflow.step_tasks l
        where l.run_id = quantumflow._as_uuid(m.message ->> 'workflow_run_id')
          and l.step_slug = m.message ->> 'step_name'
          and l.task_index = quantumflow._as_number(m.message ->> 'task_index', 9)::int
          and l.message_id = m.msg_id
          and l.status = 'queued'
          and l.queued_at <= $1
        limit 1
      ) t
      cross join lateral (
        select l.workflow_slug, l.version
        from quantumflow.workflow_runs l
        where l.id = t.run_id
        limit 1
      ) r
      cross join lateral (
        select l.command
        from quantumflow.workflow_steps l
        where (l.workflow_slug, l.version, l.step_slug) = (r.workflow_slug, r.version, t.step_slug)
        limit 1
      ) w
      where m.vt > $1
        and m.vt <= $1 + interval '60 s'
        and ($2 is null or w.command = any ($2))
      for update of m skip locked
    ) q
    $$,
    'q_' || p_queue)
  using p_now, p_commands
  into v_msg_ids;

  if v_msg_ids is null then
    return 0;
  end if;

  perform quantumflow._set_vt(p_queue, v_msg_ids, array_fill(p_now, array[cardinality(v_msg_ids)]));

  return cardinality(v_msg_ids);
end
$_recall_put_back$;

comment on function quantumflow._recall_put_back(text, text[], timestamptz) is
'Makes the tasks of these commands that claims had put back for want of a handler claimable at once. Returns how many.';

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

create function quantumflow._tasks_without_message(p_run_id uuid, p_callbacks_only boolean)
returns tid[]
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_tasks_without_message$
declare
  v_queue text;
  v_found tid[];
  v_tids  tid[] := array[]::tid[];
begin
  for v_queue in
    select distinct t.queue
    from quantumflow.step_tasks t
    where t.run_id = p_run_id
      and t.status in ('queued', 'started')
    order by t.queue
  loop
    continue when quantumflow._hold_queue(v_queue) is null;

    execute format(
      $$
      select array_agg(t.ctid order by t.step_slug, t.task_index)
      from quantumflow.step_tasks t
      where t.run_id = $1
        and t.queue = $2
        and t.status in ('queued', 'started')
        and (not $3 or t.step_slug in ('_on_complete', '_on_failure'))
        and not exists (
          select
          from pgmq.%I q
          where q.msg_id = t.message_id
            and q.message ->> 'workflow_run_id' = t.run_id::text
            and q.message ->> 'step_name' = t.step_slug
            and q.message ->> 'task_index' = t.task_index::text
        )
      $$,
      'q_' || v_queue)
    using p_run_id, v_queue, p_callbacks_only
    into v_found;

    v_tids := v_tids || v_found;
  end loop;

  return v_tids;
end
$_tasks_without_message$;

comment on function quantumflow._tasks_without_message(uuid, boolean) is
'Where the queued and started tasks of a run, or only its callback, are whose message is not in their queue. The caller holds them.';

create function quantumflow._wake_messages(p_run quantumflow.workflow_runs, p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_wake_messages$
declare
  v_queue   text;
  v_msg_ids bigint[];
  v_vts     timestamptz[];
begin
  for v_queue in
    select distinct t.queue
    from quantumflow.step_tasks t
    where t.run_id = p_run.id
      and t.status in ('queued', 'started')
    order by t.queue
  loop
    continue when quantumflow._hold_queue(v_queue) is null;

    execute format(
      $$
      select
        coalesce(array_agg(t.message_id order by t.message_id), '{}'),
        array_agg(
          case t.status
            when 'queued' then quantumflow._visible_at(t.queued_at, $2, $3)
            else $3
          end
          order by t.message_id)
      from quantumflow.step_tasks t
      cross join lateral (
        select m.vt
        from pgmq.%I m
        where m.msg_id = t.message_id
        limit 1
      ) q
      where t.run_id = $1
        and t.queue = $4
        and q.vt = 'infinity'
        and (t.status = 'started' or (t.status = 'queued' and $5 <> 'paused'))
      $$,
      'q_' || v_queue)
    using p_run.id, p_run.priority, p_now, v_queue, p_run.status
    into v_msg_ids, v_vts;

    perform quantumflow._redelay(v_queue, v_msg_ids, v_vts);
  end loop;
end
$_wake_messages$;

comment on function quantumflow._wake_messages(quantumflow.workflow_runs, timestamptz) is
'Makes messages that sleep although they should not visible: at their places in the queue; of started tasks, at once. The caller
holds the run with its tasks.';

create function quantumflow._renew_queue(p_queue text, p_model text)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set enable_nestloop = off
set jit = off
as $_renew_queue$
declare
  v_column  record;
  v_foreign bigint[];
begin
  if quantumflow._is_there(p_queue) and quantumflow._hold_queue(p_queue) is null then
    perform quantumflow._raise_unusable_queue(p_queue);
  end if;

  perform quantumflow._refuse_additions(p_queue, p_model);

  perform quantumflow._create_queue(p_queue);

  insert into quantumflow._own_queues (queue)
  values (p_queue)
  on conflict do nothing;

  -- A dump of an older pgmq brings tables without the columns that came later.
  for v_column in
    select k.prefix || p_queue as queue_table, a.attname as name, a.atttypid::regtype as type
    from unnest(array['q_', 'a_']) k (prefix)
    join pg_attribute a
      on a.attrelid = to_regclass(format('pgmq.%I', k.prefix || p_model))
    where a.attnum > 0
      and not a.attisdropped
      and not exists (
        select
        from pg_attribute o
        where o.attrelid = to_regclass(format('pgmq.%I', k.prefix || p_queue))
          and o.attname = a.attname
      )
    order by k.prefix, a.attnum
  loop
    execute format('alter table pgmq.%I add column %I %s', v_column.queue_table, v_column.name, v_column.type);
  end loop;

  execute format(
    $$
    select array_agg(q.msg_id)
    from pgmq.%I q
    where not exists (
      select
      from quantumflow.step_tasks t
      where t.run_id::text = q.message ->> 'workflow_run_id'
        and t.step_slug = q.message ->> 'step_name'
        and t.task_index::text = q.message ->> 'task_index'
    )
    $$,
    'q_' || p_queue)
  into v_foreign;

  if v_foreign is not null then
    perform quantumflow._archive_foreign(p_queue, v_foreign);
  end if;

  execute format('truncate pgmq.%I', 'q_' || p_queue);

  -- The archive outlives the queue, and a msg_id that it has already could not be archived again.
  execute format(
    $$
    select setval(pg_get_serial_sequence('pgmq.%1$I', 'msg_id'), a.last_id)
    from (select max(o.msg_id) as last_id from pgmq.%2$I o) a
    where a.last_id > nextval(pg_get_serial_sequence('pgmq.%1$I', 'msg_id'))
    $$,
    'q_' || p_queue, 'a_' || p_queue);
end
$_renew_queue$;

comment on function quantumflow._renew_queue(text, text) is
'Makes a queue empty and what pgmq makes queues like, of which p_model is one; its archive stays. The caller has locked the queue.

Errors: QF403 when it cannot be trusted.';

create function quantumflow._refuse_additions(p_queue text, p_model text)
returns void
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_refuse_additions$
declare
  v_addition text;
begin
  select format('%s has something that pgmq does not make: %s %s', t.name, d.kind, d.text)
  into v_addition
  from unnest(array['q_', 'a_']) k (prefix)
  cross join lateral (
    with recursive tables as (
      select c.oid
      from pg_class c
      where c.oid = to_regclass(format('pgmq.%I', k.prefix || p_queue))
      union
      select i.inhrelid
      from tables p
      join pg_inherits i
        on i.inhparent = p.oid
    )
    select a.oid, a.oid::regclass as name, to_regclass(format('pgmq.%I', k.prefix || p_model)) as model
    from tables a
  ) t
  cross join lateral (
    select 'trigger' as kind, g.tgname::text as text
    from pg_trigger g
    where g.tgrelid = t.oid
      and not g.tgisinternal
    union all
    select 'policy', o.polname
    from pg_policy o
    where o.polrelid = t.oid
    union all
    select 'constraint', pg_get_constraintdef(o.oid)
    from pg_constraint o
    where o.conrelid = t.oid
      and o.contype not in ('p', 'u', 'n')
    union all
    select 'default', a.attname || ' ' || pg_get_expr(f.adbin, f.adrelid)
    from pg_attrdef f
    join pg_attribute a
      on (a.attrelid, a.attnum) = (f.adrelid, f.adnum)
    where f.adrelid = t.oid
      and not exists (
        select
        from pg_attrdef mf
        join pg_attribute ma
          on (ma.attrelid, ma.attnum) = (mf.adrelid, mf.adnum)
        where mf.adrelid = t.model
          and ma.attname = a.attname
          and pg_get_expr(mf.adbin, mf.adrelid) = pg_get_expr(f.adbin, f.adrelid)
      )
    union all
    select 'index on an expression', i.indexrelid::regclass::text
    from pg_index i
    where i.indrelid = t.oid
      and (i.indexprs is not null or i.indpred is not null)
    union all
    select 'type', a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
    from pg_attribute a
    join pg_type y
      on y.oid = a.atttypid
    where a.attrelid = t.oid
      and a.attnum > 0
      and y.typnamespace <> 'pg_catalog'::regnamespace
  ) d
  order by 1
  limit 1;

  if found then
    raise exception 'queue "%" cannot be trusted', p_queue
    using
      errcode = 'QF403',
      detail = format('The table %s.', v_addition),
      hint = 'After a restore it may be what somebody else had made, and the restorer''s now. Drop it, or the table, and call it again.';
  end if;
end
$_refuse_additions$;

comment on function quantumflow._refuse_additions(text, text) is
'Refuses a queue to which something was added that runs code: p_model is one that pgmq has just made. A restore makes the restorer the
owner of whatever it could not give to somebody else.

Errors: QF403 when there is such a thing.';
