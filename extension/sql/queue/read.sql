-- What is read of the queues' tables: messages by their lanes and vt, the longest visible first. pgmq.read() sorts all messages by
-- msg_id, visible or not, so delayed ones make every read slow.

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

create type quantumflow._sighting as (
  lane text,
  vt   timestamptz
);

comment on type quantumflow._sighting is 'A visible message that was seen, and not locked: in which lane, and since when it has been visible.';

create type quantumflow._reading as (
  messages quantumflow._message[],
  seen     int
);

comment on type quantumflow._reading is 'Messages that were locked, of so many that were seen.';

create function quantumflow._look_into(p_queue text, p_lanes text[], p_front timestamptz, p_now timestamptz)
returns quantumflow._sighting[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_look_into$
declare
  v_seen quantumflow._sighting[];
begin
  execute format(
    $$
    select array(
      select row(l.lane, m.vt)::quantumflow._sighting
      from unnest($1) l (lane)
      cross join lateral (
        select q.vt, q.msg_id
        from pgmq.%I q
        where %s = hashtext(l.lane)
          and q.vt >= $2
          and q.vt <= $3
        order by q.vt
        limit 1
      ) m
      order by m.vt, m.msg_id)
    $$,
    'q_' || p_queue, quantumflow._lane())
  using p_lanes, p_front, p_now
  into v_seen;

  return v_seen;
end
$_look_into$;

comment on function quantumflow._look_into(text, text[], timestamptz, timestamptz) is
'Of each lane in which anything is visible, since when; first the lane of what has been visible longest. From p_front on: see _front.';

create function quantumflow._lock_messages_statement(p_queue text)
returns text
language sql
immutable
return format(
  $$
  select array(
    select row(
      m.msg_id, m.message ->> 'workflow_run_id', m.message ->> 'step_name', m.message ->> 'task_index', m.vt, m.part, m.tid
    )::quantumflow._message
    from (
      select q.msg_id, q.vt, q.message, q.tableoid as part, q.ctid as tid
      from pgmq.%I q
      where q.msg_id = any ($1)
      offset 0
      for update skip locked
    ) m
    where m.vt <= $2
    order by m.vt, m.msg_id)
  $$,
  'q_' || p_queue);

comment on function quantumflow._lock_messages_statement(text) is
'The statement of _lock_messages, which has its arguments in their order.';

create function quantumflow._lock_messages(p_queue text, p_msg_ids bigint[], p_now timestamptz)
returns quantumflow._message[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_lock_messages$
declare
  v_messages quantumflow._message[];
begin
  if p_queue = 'quantum_flow_system' then
    return quantumflow._lock_messages_system(p_msg_ids, p_now);
  end if;

  execute quantumflow._lock_messages_statement(p_queue)
  using p_msg_ids, p_now
  into v_messages;

  return v_messages;
end
$_lock_messages$;

comment on function quantumflow._lock_messages(text, bigint[], timestamptz) is
'Locks messages that are still visible, skipping those that others hold.';

create function quantumflow._lane_query(p_queue text)
returns text
language sql
immutable
return format(
  $$
  select
    q.msg_id, q.message ->> 'workflow_run_id' as run_id, q.message ->> 'step_name' as step_slug, q.message ->> 'task_index' as task_index,
    q.vt, q.tableoid as part, q.ctid as tid
  from pgmq.%I q
  where %s = hashtext($1)
    and quantumflow._command_of(q.message) = $1
    and q.vt >= $4
    and q.vt <= $5
    and q.msg_id <> all ($3)
  order by q.vt
  limit $2
  for update skip locked
  $$,
  'q_' || p_queue, quantumflow._lane());

comment on function quantumflow._lane_query(text) is
'The query that locks messages of one lane, see _read_lane, which has its arguments in their order.';

create function quantumflow._read_lane_statement(p_queue text)
returns text
language sql
immutable
return format('select array(select row(m.*)::quantumflow._message from (%s) m)', quantumflow._lane_query(p_queue));

comment on function quantumflow._read_lane_statement(text) is
'The statement of _read_lane.';

create function quantumflow._read_lane(
  p_queue    text,
  p_lane     text,
  p_quantity int,
  p_except   bigint[],
  p_front    timestamptz,
  p_now      timestamptz)
returns quantumflow._message[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_read_lane$
declare
  v_messages quantumflow._message[];
begin
  if p_queue = 'quantum_flow_queue' then
    return quantumflow._read_lane_default(p_lane, p_quantity, p_except, p_front, p_now);
  end if;

  execute quantumflow._read_lane_statement(p_queue)
  using p_lane, p_quantity, p_except, p_front, p_now
  into v_messages;

  return v_messages;
end
$_read_lane$;

comment on function quantumflow._read_lane(text, text, int, bigint[], timestamptz, timestamptz) is
'Locks the p_quantity messages of one lane that have been visible longest, but those of p_except, skipping those that others hold.';

create function quantumflow._choice_of_lanes(p_queue text)
returns text
language sql
immutable
return format(
  -- First any, at half of what it takes to look into each lane: nearly always these are all. If not, no message that has been visible for
  -- less long than p_quantity of these is among the first p_quantity, and that bounds what is looked for in each lane.
  $$
  anyhow as materialized (
    select q.msg_id, q.vt, q.tableoid as part, q.ctid as tid
    from pgmq.%1$I q
    where %2$s = any ($5)
      and q.vt >= $3
      and q.vt <= $4
    limit $2 + 21
  ),
  extent as materialized (
    select count(*) <= $2 + 20 as is_all, (array_agg(s.vt order by s.vt))[$2] as vt
    from anyhow s
  ),
  chosen as materialized (
    select k.part, k.tid
    from (
      select s.msg_id, s.vt, s.part, s.tid
      from anyhow s
      where (select e.is_all from extent e)
      union all
      select m.msg_id, m.vt, m.part, m.tid
      from unnest($1) l (lane)
      cross join lateral (
        select q.msg_id, q.vt, q.tableoid as part, q.ctid as tid
        from pgmq.%1$I q
        where %2$s = hashtext(l.lane)
          and q.vt >= $3
          and q.vt <= (select e.vt from extent e)
        order by q.vt
        limit $2
      ) m
      where not (select e.is_all from extent e)
    ) k
    order by k.vt, k.msg_id
    limit $2
  )
  $$,
  'q_' || p_queue, quantumflow._lane());

comment on function quantumflow._choice_of_lanes(text) is
'What stands before a query of messages of several lanes: the chosen ones are those that have been visible longest. See _read_first, which has
its arguments in their order, and the hashes of the lanes last.';

create function quantumflow._lanes_query(p_queue text)
returns text
language sql
immutable
return format(
  -- What was looked for is locked, and nothing else: to lock as many in each lane, and keep the first, would hide most of it from others
  -- meanwhile.
  $$
  select
    m.msg_id, m.message ->> 'workflow_run_id' as run_id, m.message ->> 'step_name' as step_slug, m.message ->> 'task_index' as task_index,
    m.vt, m.part, m.tid
  from chosen f
  cross join lateral (
    select q.msg_id, q.vt, q.message, q.tableoid as part, q.ctid as tid
    from pgmq.%I q
    where q.tableoid = f.part
      and q.ctid = f.tid
    offset 0
    for update skip locked
  ) m
  where m.vt <= $4
    and quantumflow._command_of(m.message) = any ($1)
  order by m.vt, m.msg_id
  $$,
  'q_' || p_queue);

comment on function quantumflow._lanes_query(text) is
'The query that locks what _choice_of_lanes has chosen.';

create function quantumflow._read_first_statement(p_queue text)
returns text
language sql
immutable
return format(
  'with %s select array(select row(m.*)::quantumflow._message from (%s) m), (select count(*)::int from chosen)',
  quantumflow._choice_of_lanes(p_queue), quantumflow._lanes_query(p_queue));

comment on function quantumflow._read_first_statement(text) is
'The statement of _read_first.';

create function quantumflow._read_first(p_queue text, p_lanes text[], p_quantity int, p_front timestamptz, p_now timestamptz)
returns quantumflow._reading
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_read_first$
declare
  v_hashes  int[] := array(select hashtext(l) from unnest(p_lanes) l);
  v_reading quantumflow._reading;
begin
  if p_queue = 'quantum_flow_queue' then
    return quantumflow._read_first_default(p_lanes, p_quantity, p_front, p_now, v_hashes);
  end if;

  execute quantumflow._read_first_statement(p_queue)
  using p_lanes, p_quantity, p_front, p_now, v_hashes
  into v_reading;

  return v_reading;
end
$_read_first$;

comment on function quantumflow._read_first(text, text[], int, timestamptz, timestamptz) is
'Looks for the p_quantity messages of these lanes that have been visible longest, and locks those that are still visible, skipping what
others hold, and what is of other commands with the same hash. From p_front on: see _front.';

create function quantumflow._read_lanes(p_queue text, p_lanes text[], p_quantity int, p_front timestamptz, p_now timestamptz)
returns quantumflow._message[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_read_lanes$
declare
  v_first    quantumflow._reading := quantumflow._read_first(p_queue, p_lanes, p_quantity, p_front, p_now);
  v_messages quantumflow._message[] := v_first.messages;
  v_lane     text;
begin
  if cardinality(v_messages) = v_first.seen then
    return v_messages;
  end if;

  -- Others hold some of what was seen. So as much is taken where there is more, lane after lane.
  for v_lane in
    select s.lane
    from unnest(quantumflow._look_into(p_queue, p_lanes, p_front, p_now)) s
  loop
    v_messages := v_messages || quantumflow._read_lane(
      p_queue, v_lane, v_first.seen - cardinality(v_messages), array(select m.msg_id from unnest(v_messages) m), p_front, p_now);

    exit when cardinality(v_messages) = v_first.seen;
  end loop;

  return v_messages;
end
$_read_lanes$;

comment on function quantumflow._read_lanes(text, text[], int, timestamptz, timestamptz) is
'Locks the p_quantity messages of several lanes that have been visible longest, or as many others where somebody holds some of these.';

create function quantumflow._read_messages(p_queue text, p_commands text[], p_quantity int, p_now timestamptz)
returns quantumflow._message[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_read_messages$
declare
  v_lanes    text[] := coalesce(p_commands, quantumflow._lanes_of(p_queue));
  v_front    timestamptz := quantumflow._front(p_queue, p_commands, p_now);
  v_passed   bigint := quantumflow._entries_read(p_queue);
  v_messages quantumflow._message[];
begin
  if v_lanes = '{}' then
    return '{}';
  end if;

  v_messages := case
    when cardinality(v_lanes) = 1 and v_lanes[1] is not null
    then quantumflow._read_lane(p_queue, v_lanes[1], p_quantity, '{}', v_front, p_now)
    else quantumflow._read_lanes(p_queue, v_lanes, p_quantity, v_front, p_now)
  end;

  v_passed := quantumflow._entries_read(p_queue) - v_passed;
  if v_passed > 2000 or v_front > '-infinity' then
    perform quantumflow._remember_front(p_queue, p_commands, v_front, v_messages[1].vt, v_passed, p_now);
  end if;

  return v_messages;
end
$_read_messages$;

comment on function quantumflow._read_messages(text, text[], int, timestamptz) is
'Locks the p_quantity messages that have been visible longest in the lanes of these commands, skipping those that others hold, and
changes nothing. p_commands: null for all.

The lock is what makes a claim exclusive until _hide hides the message. The order is exact while nobody else claims from these lanes.
See _remember_front for what may be overlooked, and for how long.';

create function quantumflow._look_statement(p_queue text)
returns text
language sql
immutable
return format(
  -- Mostly there is nothing, and that is soon seen.
  $$
  select min(m.vt)
  from unnest($1) l (lane)
  cross join lateral (
    select q.vt
    from pgmq.%1$I q
    where %2$s = hashtext(l.lane)
      and q.vt >= $2
      and q.vt <= $3
    order by q.vt
    limit 1
  ) m
  where exists (
    select
    from pgmq.%1$I q
    where %2$s = any ($4)
      and q.vt >= $2
      and q.vt <= $3
  )
  $$,
  'q_' || p_queue, quantumflow._lane());

comment on function quantumflow._look_statement(text) is
'The statement of _oldest_vt: since when the message has been visible that has been visible longest in these lanes, whose hashes come last.';

create function quantumflow._oldest_vt(p_queue text, p_commands text[], p_now timestamptz)
returns timestamptz
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_oldest_vt$
declare
  v_lanes  text[] := coalesce(p_commands, quantumflow._lanes_of(p_queue));
  v_hashes int[] := array(select hashtext(l) from unnest(v_lanes) l);
  v_front  timestamptz := quantumflow._front(p_queue, p_commands, p_now);
  v_passed bigint := quantumflow._entries_read(p_queue);
  v_oldest timestamptz;
begin
  if p_queue = 'quantum_flow_queue' then
    v_oldest := quantumflow._look_default(v_lanes, v_front, p_now, v_hashes);
  else
    execute quantumflow._look_statement(p_queue)
    using v_lanes, v_front, p_now, v_hashes
    into v_oldest;
  end if;

  v_passed := quantumflow._entries_read(p_queue) - v_passed;
  if v_passed > 2000 or v_front > '-infinity' then
    perform quantumflow._remember_front(p_queue, p_commands, v_front, v_oldest, v_passed, p_now);
  end if;

  return v_oldest;
end
$_oldest_vt$;

comment on function quantumflow._oldest_vt(text, text[], timestamptz) is
'Since when the message of these commands has been visible that has been visible longest; null when none is. p_commands: null for all.
The caller holds the queue.';

create function quantumflow._next_vt(p_queue text, p_now timestamptz)
returns timestamptz
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_next_vt$
declare
  v_next timestamptz;
begin
  execute format(
    $$
    select min(m.vt)
    from unnest($1) l (lane)
    cross join lateral (
      select q.vt
      from pgmq.%I q
      where %s = hashtext(l.lane)
        and q.vt > $2
        and q.vt < 'infinity'
      order by q.vt
      limit 1
    ) m
    $$,
    'q_' || p_queue, quantumflow._lane())
  using quantumflow._lanes_of(p_queue), p_now
  into v_next;

  return v_next;
end
$_next_vt$;

comment on function quantumflow._next_vt(text, timestamptz) is
'When the next message of a queue becomes visible that is not yet; null when none will by itself. The caller holds the queue.';

create function quantumflow._read_strays(p_queue text, p_now timestamptz)
returns quantumflow._message[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_read_strays$
declare
  v_msg_ids bigint[];
begin
  -- Between the lanes that have a name; the hashes are integers.
  execute format(
    $$
    select array_agg(m.msg_id)
    from (
      select coalesce(lag(n.hash) over (order by n.hash), -3000000000) as above, n.hash as below
      from (
        select hashtext(l.lane)::bigint as hash
        from unnest($1) l (lane)
        union
        select 3000000000
      ) n
    ) b
    cross join lateral (
      select q.msg_id
      from pgmq.%1$I q
      where %2$s > b.above
        and %2$s < b.below
        and q.vt <= $2
      order by %2$s, q.vt
      limit 1000
    ) m
    $$,
    'q_' || p_queue, quantumflow._lane())
  using quantumflow._lanes_of(p_queue), p_now
  into v_msg_ids;

  if v_msg_ids is null then
    return '{}';
  end if;

  return quantumflow._lock_messages(p_queue, v_msg_ids, p_now);
end
$_read_strays$;

comment on function quantumflow._read_strays(text, timestamptz) is
'Locks visible messages of a command that no step of the queue has, or of none: no claim looks for them. At most 1,000
between two commands.';

create function quantumflow._read_lapsed(p_queue text, p_now timestamptz)
returns quantumflow._message[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_read_lapsed$
declare
  v_msg_ids bigint[];
begin
  -- Visible messages of started tasks, among those visible longest. A message that was never read, nor sent with a lease, belongs to a
  -- task that was never claimed: the first condition leaves it out, and its task need not be looked at.
  execute format(
    $$
    select array_agg(q.msg_id)
    from unnest($3) l (lane)
    cross join lateral (
      select m.msg_id, m.read_ct, m.enqueued_at, m.vt, m.message
      from pgmq.%I m
      where %s = hashtext(l.lane)
        and m.vt >= $2
        and m.vt <= $1
      order by m.vt
      limit greatest(100, 10000 / greatest(1, cardinality($3)))
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
    'q_' || p_queue, quantumflow._lane())
  using p_now, quantumflow._front(p_queue, null, p_now), quantumflow._lanes_of(p_queue)
  into v_msg_ids;

  if v_msg_ids is null then
    return '{}';
  end if;

  return quantumflow._lock_messages(p_queue, v_msg_ids, p_now);
end
$_read_lapsed$;

comment on function quantumflow._read_lapsed(text, timestamptz) is
'Locks messages of started tasks that are visible, so that their lease has run out.';

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
