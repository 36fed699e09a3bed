-- How vt is set, row by row: what is hidden, delayed, shown again or kept longer.
-- A message is looked up by its msg_id alone. Any other condition stands outside the look-up, which offset 0 or limit 1 keeps apart:
-- with the statistics of an empty queue the index on vt seems as good for it, and each look-up would read the whole queue.

create function quantumflow._hide_statement(p_queue text, p_what text default 'unnest($1, $2, $3) k (part, tid, vt)')
returns text
language sql
immutable
return format(
  $$
  update pgmq.%I q
  set
    vt = k.vt,
    read_ct = q.read_ct + 1
  from %s
  where q.tableoid = k.part
    and q.ctid = k.tid
  $$,
  'q_' || p_queue, p_what);

comment on function quantumflow._hide_statement(text, text) is
'The statement of _hide, which has its arguments in their order. p_what: whatever else has part, tid and vt of messages, as k.';

create function quantumflow._hide(p_queue text, p_parts oid[], p_tids tid[], p_vts timestamptz[])
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_hide$
begin
  if p_queue = 'quantum_flow_queue' then
    perform quantumflow._hide_default(p_parts, p_tids, p_vts);
  else
    execute quantumflow._hide_statement(p_queue)
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

  -- Locked in a statement of its own: a message may move while this waits for it, and the next statement sees where it is.
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
'Sets when each message becomes visible. Waits for whoever holds one: at most a claim, which itself waits for nothing.';

create function quantumflow._wake(p_queue text, p_msg_ids bigint[], p_vts timestamptz[])
returns int[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_wake$
declare
  v_woken int[];
begin
  execute format(
    $$
    with woken as (
      update pgmq.%1$I q
      set vt = k.vt
      from (
        select u.vt, u.n, m.part, m.tid
        from unnest($1, $2) with ordinality u (msg_id, vt, n)
        cross join lateral (
          select l.tableoid as part, l.ctid as tid, l.vt
          from pgmq.%1$I l
          where l.msg_id = u.msg_id
          offset 0
          for update skip locked
        ) m
        where m.vt = 'infinity'
        offset 0
      ) k
      where q.tableoid = k.part
        and q.ctid = k.tid
      returning k.n
    )
    select coalesce(array_agg(w.n::int), '{}')
    from woken w
    $$,
    'q_' || p_queue)
  using p_msg_ids, p_vts
  into v_woken;

  return v_woken;
end
$_wake$;

comment on function quantumflow._wake(text, bigint[], timestamptz[]) is
'Makes messages visible that sleep for ever, and returns the places of those: not one that somebody holds, nor one that is leased. The caller holds
the queue.';

create function quantumflow._asleep(p_queue text, p_msg_ids bigint[])
returns bigint[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_asleep$
declare
  v_asleep bigint[];
begin
  execute format(
    'select coalesce(array_agg(q.msg_id) filter (where q.vt = ''infinity''), ''{}'') from pgmq.%I q where q.msg_id = any ($1)', 'q_' || p_queue)
  using p_msg_ids
  into v_asleep;

  return v_asleep;
end
$_asleep$;

comment on function quantumflow._asleep(text, bigint[]) is
'Those of the messages that sleep for ever. The caller holds the queue.';

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

create function quantumflow._make_due(p_msg_ids bigint[], p_lane text, p_now timestamptz)
returns bigint[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_make_due$
declare
  v_held bigint[];
begin
  if quantumflow._hold_queue(quantumflow._system_queue()) is null then
    return '{}';
  end if;

  with held as materialized (
    select k.msg_id, m.part, m.tid
    from unnest(p_msg_ids) k (msg_id)
    cross join lateral (
      select l.tableoid as part, l.ctid as tid
      from pgmq.q_quantum_flow_system l
      where l.msg_id = k.msg_id
      offset 0
      for update skip locked
    ) m
  ),
  shown as (
    update pgmq.q_quantum_flow_system q
    set vt = p_now
    from held h
    where q.tableoid = h.part
      and q.ctid = h.tid
      and q.vt > p_now
  )
  select coalesce(array_agg(h.msg_id), '{}')
  into v_held
  from held h;

  perform quantumflow._notify(quantumflow._system_queue(), array[p_lane], p_now);

  return v_held;
end
$_make_due$;

comment on function quantumflow._make_due(bigint[], text, timestamptz) is
'Makes messages of what is settled, of one lane, due, unless somebody holds them; returns those that nobody held, and tells workers.';

-- Without a path of its own, so that it is inlined where it is called.
create function quantumflow._visible_at(p_queued_at timestamptz, p_priority int, p_now timestamptz)
returns timestamptz
language sql
stable
return case when p_queued_at > p_now then p_queued_at else p_queued_at - make_interval(secs => p_priority) end;

comment on function quantumflow._visible_at(timestamptz, int, timestamptz) is
'When the message of a queued task becomes visible: at the end of its delay, if it has one; else p_priority seconds before
queued_at, which is its place in the queue.';

create function quantumflow._left_messages(p_queue text, p_commands text[], p_now timestamptz)
returns table (msg_id bigint, vt timestamptz, run_id uuid, step_slug text)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_left_messages$
begin
  -- A queued task whose time has come but whose message is hidden was left to other code.
  return query execute format(
    $$
    select q.msg_id, q.vt, t.run_id, t.step_slug::text
    from unnest($2) l (lane)
    cross join lateral (
      select m.msg_id, m.vt, m.message
      from pgmq.%I m
      where %s = hashtext(l.lane)
        and quantumflow._command_of(m.message) = l.lane
        and m.vt > $1
        and m.vt <= $1 + interval '60 s'
      order by m.vt
      limit 1000
    ) q
    cross join lateral quantumflow._task_of(q.message, q.msg_id) t
    where t.status = 'queued'
      and t.queued_at <= $1
    $$,
    'q_' || p_queue, quantumflow._lane())
  using p_now, coalesce(p_commands, quantumflow._lanes_of(p_queue));
end
$_left_messages$;

comment on function quantumflow._left_messages(text, text[], timestamptz) is
'The messages of tasks of these commands, null: of all, that were left to other code and are hidden still, and their steps: of each command
among the 1,000 hidden messages that come back soonest. The caller holds the queue.';

create function quantumflow._recall_left(p_queue text, p_commands text[], p_now timestamptz)
returns int
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_recall_left$
declare
  v_msg_ids bigint[] := array(select m.msg_id from quantumflow._left_messages(p_queue, p_commands, p_now) m);
begin
  -- Nearly always there is none.
  if v_msg_ids = '{}' then
    return 0;
  end if;

  execute format(
    'select array_agg(k.msg_id) from (select q.msg_id from pgmq.%I q where q.msg_id = any ($1) for update skip locked) k',
    'q_' || p_queue)
  using v_msg_ids
  into v_msg_ids;

  -- Again, now that nobody can claim them: one that came back by itself meanwhile may have been claimed before it was locked.
  v_msg_ids := array(
    select m.msg_id
    from quantumflow._left_messages(p_queue, p_commands, p_now) m
    where m.msg_id = any (v_msg_ids));

  if v_msg_ids = '{}' then
    return 0;
  end if;

  perform quantumflow._set_vt(p_queue, v_msg_ids, array_fill(p_now, array[cardinality(v_msg_ids)]));

  return cardinality(v_msg_ids);
end
$_recall_left$;

comment on function quantumflow._recall_left(text, text[], timestamptz) is
'Makes tasks of these commands claimable at once that were left to other code (see release_tasks), as far as _left_messages finds them: the
others come back by themselves within a minute. Returns how many.';
