-- How many tasks of a key may be with workers at once, or begin in a second.
--
--     key        slots                            waiting room, by place
--     "acme"     1: lease 4711   live             t t t t t t t t      asleep: vt infinity
--                2: lease 4712   ended: free      t                    let go: visible, a claim looks for a slot
--
-- The slot decides, and a claim takes it. What is let go is only a guess at how many will find one, so it may be wrong either way: who finds no
-- slot goes back to sleep, and whoever ends an attempt, or sweeps, lets others go. Locked in this order: turns, slots, waits, messages.

create function quantumflow._limit_room(p_name text, p_key text, p_queue text, p_command text)
returns bigint
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_limit_room$
declare
  v_limit quantumflow.limits;
  v_room  bigint;
  v_gone  bigint;
begin
  select *
  into v_limit
  from quantumflow.limits l
  where l.limit_name = p_name;

  -- Of what is not held back a hundred at a time: who ends one lets the next go.
  v_room := least(
    v_limit.at_once - (
      select count(*)
      from quantumflow._limit_slots s
      where (s.limit_name, s.limit_key) = (p_name, p_key)
        and s.lease_token is not null
    ),
    case when v_limit.per_second is not null then greatest(1, ceil(v_limit.per_second * 3)) end,
    case when v_limit.at_once is null then 100 end);

  if v_room <= 0 then
    return 0;
  end if;

  -- Those that were let go, and nobody has claimed since, or taken away: who claimed one may have had to leave its row.
  v_gone := (
    select count(*)
    from (
      select w.run_id, w.step_slug, w.task_index, w.message_id, w.let_go_at + make_interval(secs => w.priority) as let_go_at
      from quantumflow._limit_waits w
      where (w.limit_name, w.limit_key, w.queue, w.command) = (p_name, p_key, p_queue, p_command)
        and w.let_go_at is not null
      limit v_room
    ) w
    cross join lateral (
      select
      from quantumflow.step_tasks t
      where (t.run_id, t.step_slug, t.task_index) = (w.run_id, w.step_slug, w.task_index)
        and t.status = 'queued'
        and t.message_id = w.message_id
        and t.queued_at <= w.let_go_at
      limit 1
    ) t
  );

  return greatest(0, v_room - v_gone);
end
$_limit_room$;

comment on function quantumflow._limit_room(text, text, text, text) is
'How many more tasks of a key and a command may be let go: as many as there are free slots, or as may begin within three seconds, without
those that have been and wait for a worker. So a command that no worker has holds back no other of the same key.';

create type quantumflow._next_limited as (
  limit_name text,
  limit_key  text,
  queue      text,
  command    text,
  message_id bigint,
  priority   int,
  place      timestamptz,
  tid        tid
);

comment on type quantumflow._next_limited is 'A task that sleeps until it is its turn, and is next: its row in _limit_waits, which the caller has locked.';

create function quantumflow._next_in_turn(p_names text[], p_keys text[], p_with_turns boolean)
returns setof quantumflow._next_limited
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_next_in_turn$
begin
  -- From one command to the next along the index, however many tasks of it wait.
  return query
  select k.limit_name, k.limit_key, w.queue, w.command, w.message_id, w.priority, w.place, w.tid
  from (
    select u.limit_name, u.limit_key
    from unnest(p_names, p_keys) u (limit_name, limit_key)
    where p_with_turns = exists (
      select
      from quantumflow.limits l
      where l.limit_name = u.limit_name
        and l.per_second is not null
    )
    offset 0
  ) k
  cross join lateral (
    with recursive lane as (
      (
        select f.queue, f.command
        from quantumflow._limit_waits f
        where (f.limit_name, f.limit_key) = (k.limit_name, k.limit_key)
        order by f.queue, f.command
        limit 1
      )
      union all
      select n.queue, n.command
      from lane l
      cross join lateral (
        select f.queue, f.command
        from quantumflow._limit_waits f
        where (f.limit_name, f.limit_key) = (k.limit_name, k.limit_key)
          and (f.queue, f.command) > (l.queue, l.command)
        order by f.queue, f.command
        limit 1
      ) n
    )
    select l.queue, l.command, quantumflow._limit_room(k.limit_name, k.limit_key, l.queue, l.command) as room
    from lane l
    offset 0
  ) l
  cross join lateral (
    select f.queue, f.command, f.message_id, f.priority, f.place, f.ctid as tid
    from quantumflow._limit_waits f
    where (f.limit_name, f.limit_key, f.queue, f.command) = (k.limit_name, k.limit_key, l.queue, l.command)
      and f.let_go_at is null
    order by f.place, f.message_id
    limit l.room
    for update skip locked
  ) w;
end
$_next_in_turn$;

comment on function quantumflow._next_in_turn(text[], text[], boolean) is
'Those of the tasks of these keys that sleep, and for which there is room: of each command the first, by place. It locks them, and skips those that
others hold. p_with_turns: of limits that say how many may begin in a second, or of the others.';

create function quantumflow._let_go(p_names text[], p_keys text[], p_now timestamptz, p_waits boolean)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_let_go$
begin
  perform quantumflow._let_go_now(p_names, p_keys, p_now);

  if exists (
    select
    from quantumflow.limits l
    where l.limit_name = any (p_names)
      and l.per_second is not null
  )
  then
    perform quantumflow._let_go_in_turn(p_names, p_keys, p_now, p_waits);
  end if;
end
$_let_go$;

comment on function quantumflow._let_go(text[], text[], timestamptz, boolean) is
'Wakes those that are next of these keys, as far as there is room for them: at once, or at the moment that each is given. So keys take turns: what
is woken later comes later in its queue, whichever key has waited longer.

p_waits: whether to wait for who gives turns of the same key; a claim does not. Messages that others hold are left asleep.';

create function quantumflow._let_go_now(p_names text[], p_keys text[], p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_let_go_now$
declare
  v_batch record;
begin
  for v_batch in
    select
      n.queue, array_agg(distinct n.command) as commands, array_agg(n.message_id) as msg_ids, array_agg(n.tid) as tids,
      array_agg(p_now - make_interval(secs => n.priority)) as vts
    from quantumflow._next_in_turn(p_names, p_keys, false) n
    group by n.queue
    order by n.queue
  loop
    perform quantumflow._show_limited(v_batch.queue, v_batch.commands, v_batch.msg_ids, v_batch.tids, v_batch.vts, null, p_now);
  end loop;
end
$_let_go_now$;

comment on function quantumflow._let_go_now(text[], text[], timestamptz) is
'What _let_go does where only the number at once is limited.';

create function quantumflow._let_go_in_turn(p_names text[], p_keys text[], p_now timestamptz, p_waits boolean)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_let_go_in_turn$
declare
  v_held  quantumflow._limit_turns[] := quantumflow._hold_turns(p_names, p_keys, p_now, p_waits);
  v_batch record;
begin
  for v_batch in
    with next as materialized (
      select
        n.*,
        greatest(p_now, h.next_at)
          + (row_number() over (partition by n.limit_name, n.limit_key order by n.place) - 1) * (interval '1 s' / l.per_second::float8)
          as vt,
        interval '1 s' / l.per_second::float8 as step
      from quantumflow._next_in_turn(
        array(select h.limit_name from unnest(v_held) h), array(select h.limit_key from unnest(v_held) h), true) n
      cross join lateral (
        select o.next_at
        from unnest(v_held) o
        where (o.limit_name, o.limit_key) = (n.limit_name, n.limit_key)
        limit 1
      ) h
      cross join lateral (
        select o.per_second
        from quantumflow.limits o
        where o.limit_name = n.limit_name
        limit 1
      ) l
    ),
    counted as (
      update quantumflow._limit_turns t
      set next_at = k.next_at
      from (
        select n.limit_name, n.limit_key, max(n.vt + n.step) as next_at
        from next n
        group by n.limit_name, n.limit_key
      ) k
      where (t.limit_name, t.limit_key) = (k.limit_name, k.limit_key)
    )
    select
      n.queue, array_agg(distinct n.command) as commands, array_agg(n.message_id) as msg_ids, array_agg(n.tid) as tids,
      array_agg(n.vt) as vts
    from next n
    group by n.queue
    order by n.queue
  loop
    perform quantumflow._show_limited(
      v_batch.queue, v_batch.commands, v_batch.msg_ids, v_batch.tids, v_batch.vts, v_batch.vts, p_now);
  end loop;
end
$_let_go_in_turn$;

comment on function quantumflow._let_go_in_turn(text[], text[], timestamptz, boolean) is
'What _let_go does where it is limited how many may begin in a second: each gets the next moment that nobody has, and its message becomes visible
then.';

create function quantumflow._hold_turns(p_names text[], p_keys text[], p_now timestamptz, p_waits boolean)
returns quantumflow._limit_turns[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_hold_turns$
declare
  v_held quantumflow._limit_turns[];
begin
  -- Who makes the row of a key keeps it until the end of his transaction, and nobody else makes it meanwhile.
  insert into quantumflow._limit_turns (limit_name, limit_key, next_at)
  select k.limit_name, k.limit_key, p_now
  from (
    select u.limit_name, u.limit_key
    from unnest(p_names, p_keys) u (limit_name, limit_key)
    cross join lateral (
      select
      from quantumflow.limits l
      where l.limit_name = u.limit_name
        and l.per_second is not null
      limit 1
    ) l
    where not exists (
      select
      from quantumflow._limit_turns t
      where (t.limit_name, t.limit_key) = (u.limit_name, u.limit_key)
      offset 0
    )
    order by u.limit_name, u.limit_key
    offset 0
  ) k
  where quantumflow._is_first_to_make(k.limit_name, k.limit_key, p_waits)
  on conflict do nothing;

  if p_waits then
    v_held := array(
      select t
      from (
        select u.limit_name, u.limit_key
        from unnest(p_names, p_keys) u (limit_name, limit_key)
        order by u.limit_name, u.limit_key
        offset 0
      ) u
      cross join lateral (
        select o.*
        from quantumflow._limit_turns o
        where (o.limit_name, o.limit_key) = (u.limit_name, u.limit_key)
        for no key update
      ) t);
  else
    v_held := array(
      select t
      from unnest(p_names, p_keys) u (limit_name, limit_key)
      cross join lateral (
        select o.*
        from quantumflow._limit_turns o
        where (o.limit_name, o.limit_key) = (u.limit_name, u.limit_key)
        for no key update skip locked
      ) t);
  end if;

  return v_held;
end
$_hold_turns$;

comment on function quantumflow._hold_turns(text[], text[], timestamptz, boolean) is
'Locks the rows by which turns are given, of those of these keys whose limits say how many may begin in a second, and makes them where there are none.
p_waits: in order of the keys, waiting for each; else those that nobody else holds.';

create function quantumflow._is_first_to_make(p_name text, p_key text, p_waits boolean)
returns boolean
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_is_first_to_make$
declare
  v_part int := hashtext(p_key) & 15;
begin
  if p_waits then
    perform
    from quantumflow._limit_makers m
    where (m.limit_name, m.part) = (p_name, v_part)
    for update;
  else
    perform
    from quantumflow._limit_makers m
    where (m.limit_name, m.part) = (p_name, v_part)
    for update skip locked;
  end if;

  return found;
end
$_is_first_to_make$;

comment on function quantumflow._is_first_to_make(text, text, boolean) is
'Whether the caller may make rows for a key until its transaction ends; p_waits: it waits until it may. So a claim waits for nobody who makes the
same row.';

create function quantumflow._show_limited(
  p_queue    text,
  p_commands text[],
  p_msg_ids  bigint[],
  p_tids     tid[],
  p_vts      timestamptz[],
  p_turns    timestamptz[],
  p_now      timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_show_limited$
declare
  v_woken  int[];
  v_asleep bigint[];
begin
  if quantumflow._hold_queue(p_queue) is null then
    return;
  end if;

  if p_now >= any (p_vts) then
    perform quantumflow._notify(p_queue, p_commands, p_now);
  end if;

  v_woken := quantumflow._wake(p_queue, p_msg_ids, p_vts);

  update quantumflow._limit_waits w
  set
    let_go_at = k.vt,
    turn_at = k.turn
  from (
    select p_msg_ids[u.n] as msg_id, p_tids[u.n] as tid, p_vts[u.n] as vt, p_turns[u.n] as turn
    from unnest(v_woken) u (n)
    offset 0
  ) k
  where w.message_id is not distinct from k.msg_id
    and w.ctid = k.tid;

  if cardinality(v_woken) < cardinality(p_msg_ids) then
    v_asleep := quantumflow._asleep(p_queue, p_msg_ids);

    delete from quantumflow._limit_waits w
    using unnest(p_msg_ids, p_tids) k (msg_id, tid)
    where k.msg_id not in (select p_msg_ids[u.n] from unnest(v_woken) u (n))
      and k.msg_id not in (select unnest(v_asleep))
      and w.message_id is not distinct from k.msg_id
      and w.ctid = k.tid;
  end if;
end
$_show_limited$;

comment on function quantumflow._show_limited(text, text[], bigint[], tid[], timestamptz[], timestamptz[], timestamptz) is
'Makes messages of limited tasks visible, and notes it in their rows, which the caller has locked. One that somebody holds is left asleep; of one that
is gone, or does not sleep, the row goes, since a claim that finds it asks the limit. p_turns: the moments that they were given; null: none.';

create function quantumflow._leave_limits(
  p_run_ids uuid[],
  p_steps   text[],
  p_indexes int[],
  p_now     timestamptz,
  p_waits   boolean default true)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_leave_limits$
declare
  v_left  quantumflow._limit_slots[];
  v_names text[];
  v_keys  text[];
begin
  -- Of what is started another attempt has the slot, and what is queued waits, or has been let go.
  v_left := array(
    select row(w.limit_name, t.limit_key, 0, u.run_id, u.step_slug, u.task_index, t.lease_token, null)::quantumflow._limit_slots
    from (
      select distinct k.run_id, k.step_slug, k.task_index
      from unnest(p_run_ids, p_steps, p_indexes) k (run_id, step_slug, task_index)
    ) u
    cross join lateral (
      select l.limit_key, l.lease_token
      from quantumflow.step_tasks l
      where (l.run_id, l.step_slug, l.task_index) = (u.run_id, u.step_slug, u.task_index)
        and l.limit_key is not null
        and l.status <> 'started'
      limit 1
    ) t
    cross join lateral (
      select l.workflow_slug, l.version
      from quantumflow.workflow_runs l
      where l.id = u.run_id
      limit 1
    ) r
    cross join lateral (
      select l.limit_name
      from quantumflow.workflow_steps l
      where (l.workflow_slug, l.version, l.step_slug) = (r.workflow_slug, r.version, u.step_slug)
      limit 1
    ) w);

  if v_left = '{}' then
    return;
  end if;

  select array_agg(k.limit_name order by k.limit_name, k.limit_key), array_agg(k.limit_key order by k.limit_name, k.limit_key)
  into v_names, v_keys
  from (
    select distinct l.limit_name, l.limit_key
    from unnest(v_left) l
  ) k;

  if p_waits and exists (
    select
    from quantumflow.limits l
    where l.limit_name = any (v_names)
      and l.per_second is not null
  )
  then
    perform quantumflow._hold_turns(v_names, v_keys, p_now, true);
  end if;

  perform quantumflow._give_slots_back(v_left, p_waits);

  delete from quantumflow._limit_waits w
  using unnest(v_left) u
  cross join lateral (
    select l.ctid as tid
    from quantumflow._limit_waits l
    where (l.run_id, l.step_slug, l.task_index) = (u.run_id, u.step_slug, u.task_index)
      and not exists (
        select
        from quantumflow.step_tasks t
        where (t.run_id, t.step_slug, t.task_index) = (l.run_id, l.step_slug, l.task_index)
          and t.status = 'queued'
        offset 0
      )
    for update skip locked
  ) l
  where w.run_id is not distinct from u.run_id
    and w.ctid = l.tid;

  perform quantumflow._let_go(v_names, v_keys, p_now, p_waits);
end
$_leave_limits$;

comment on function quantumflow._leave_limits(uuid[], text[], int[], timestamptz, boolean) is
'What the end of attempts, or of tasks, does to limits: their slots are free, which is written so that nobody need look, they wait no more, and
those that are next are let go. The caller has written the tasks; those that are not limited are passed over.

p_waits: whether to wait for claims that look for a slot of the same keys; a claim does not, and what it misses a sweep finds.';

create function quantumflow._leave_limits_of(p_held quantumflow._held_task[], p_now timestamptz, p_waits boolean default true)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_leave_limits_of$
begin
  if p_held <> '{}' then
    perform quantumflow._leave_limits(
      array(select h.run_id from unnest(p_held) h),
      array(select h.step_slug from unnest(p_held) h),
      array(select h.task_index from unnest(p_held) h),
      p_now, p_waits);
  end if;
end
$_leave_limits_of$;

comment on function quantumflow._leave_limits_of(quantumflow._held_task[], timestamptz, boolean) is
'_leave_limits of held tasks, which are limited; there may be none.';

create function quantumflow._give_slots_back(p_left quantumflow._limit_slots[], p_waits boolean)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_give_slots_back$
declare
  v_slots quantumflow._limit_slots[] := array(
    select s
    from unnest(p_left) u
    cross join lateral (
      select l.*
      from quantumflow._limit_slots l
      where (l.limit_name, l.limit_key) = (u.limit_name, u.limit_key)
        and (l.run_id, l.step_slug, l.task_index) = (u.run_id, u.step_slug, u.task_index)
        and l.lease_token is not null
      offset 0
    ) s
    order by s.limit_name, s.limit_key, s.slot);
begin
  -- Whoever puts a task of the key to sleep holds its slots: it is waited for, and what it has done is seen by the next statement.
  if p_waits then
    perform
    from unnest(v_slots) k
    cross join lateral (
      select
      from quantumflow._limit_slots l
      where (l.limit_name, l.limit_key, l.slot) = (k.limit_name, k.limit_key, k.slot)
      for no key update
    ) l;
  end if;

  update quantumflow._limit_slots s
  set lease_token = null
  from unnest(v_slots) k
  cross join lateral (
    select l.ctid as tid
    from quantumflow._limit_slots l
    where (l.limit_name, l.limit_key, l.slot) = (k.limit_name, k.limit_key, k.slot)
      and l.lease_token = k.lease_token
    for no key update skip locked
  ) l
  where s.limit_name is not distinct from k.limit_name
    and s.ctid = l.tid;
end
$_give_slots_back$;

comment on function quantumflow._give_slots_back(quantumflow._limit_slots[], boolean) is
'Marks the slots free that tasks had whose attempts have ended: p_left says of which limits and keys these are. p_waits: waits for claims that hold
them, in their order.';

create function quantumflow._has_slot_live(p_slot quantumflow._limit_slots)
returns boolean
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_has_slot_live$
begin
  return exists (
    select
    from quantumflow.step_tasks t
    where (t.run_id, t.step_slug, t.task_index) = (p_slot.run_id, p_slot.step_slug, p_slot.task_index)
      and t.status = 'started'
      and t.lease_token = p_slot.lease_token
  );
end
$_has_slot_live$;

comment on function quantumflow._has_slot_live(quantumflow._limit_slots) is
'Whether the lease that a slot names is the live one of its task.';

create type quantumflow._slots as (
  slots   int[],
  is_busy boolean
);

comment on type quantumflow._slots is
'Slots of a key that a claim has found free, and has locked. is_busy: there are fewer than it asked for, and others hold some, which may be free
soon; else all others have live leases, and this transaction holds them.';

create function quantumflow._take_slots(p_name text, p_key text, p_most int)
returns quantumflow._slots
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_take_slots$
declare
  v_limit  int := (select l.at_once from quantumflow.limits l where l.limit_name = p_name);
  v_most   int := quantumflow._slots_to_take(p_name, p_key, v_limit);
  v_slots  int[];
  v_others int[];
  v_made   int[];
begin

  if v_most <= 0 then
    return row('{}', false)::quantumflow._slots;
  end if;

  v_slots := array(
    select s.slot
    from quantumflow._limit_slots s
    where (s.limit_name, s.limit_key) = (p_name, p_key)
      and s.slot <= coalesce(v_most, s.slot)
      and s.lease_token is null
    order by s.slot
    limit p_most
    for update skip locked);

  if cardinality(v_slots) = p_most then
    return row(v_slots, false)::quantumflow._slots;
  end if;

  -- What is left, as far as it is there: a lease may have ended without a word. Whether it has is asked when nobody else can take the slot.
  if v_limit is not null then
    v_others := array(
      select s.slot
      from quantumflow._limit_slots s
      where (s.limit_name, s.limit_key) = (p_name, p_key)
        and s.slot <> all (v_slots)
      for update skip locked);

    v_slots := v_slots || array(
      select s.slot
      from quantumflow._limit_slots s
      where (s.limit_name, s.limit_key) = (p_name, p_key)
        and s.slot <= v_most
        and s.slot = any (v_others)
        and not (s.lease_token is not null and quantumflow._has_slot_live(s))
      order by s.slot
      limit p_most - cardinality(v_slots));
  end if;

  if cardinality(v_slots) < p_most then
    v_made := quantumflow._make_slots(p_name, p_key, v_most, p_most - cardinality(v_slots));
  end if;

  return row(
    v_slots || v_made,
    cardinality(v_slots) < p_most
      and (
        v_made is null
        or (
          select count(*)
          from quantumflow._limit_slots s
          where (s.limit_name, s.limit_key) = (p_name, p_key)
            and s.slot <> all (v_slots || v_others || v_made)
        ) > 0
      )
  )::quantumflow._slots;
end
$_take_slots$;

comment on function quantumflow._take_slots(text, text, int) is
'Locks up to p_most free slots of a key, without waiting. Where they are not enough it has locked all that nobody else holds: so whoever ends an
attempt of the key meanwhile waits, and sees which tasks this call has put to sleep.';

create function quantumflow._slots_to_take(p_name text, p_key text, p_limit int)
returns int
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_slots_to_take$
declare
  v_most  int := p_limit;
  v_above int;
begin
  -- Nearly always there is none above.
  while v_most > 0 loop
    v_above := (
      select count(*)
      from quantumflow._limit_slots s
      where (s.limit_name, s.limit_key) = (p_name, p_key)
        and s.slot > v_most
        and s.lease_token is not null
        and quantumflow._has_slot_live(s)
    );

    exit when v_most + v_above <= p_limit;

    v_most := p_limit - v_above;
  end loop;

  return v_most;
end
$_slots_to_take$;

comment on function quantumflow._slots_to_take(text, text, int) is
'Up to which number the slots of a key may be taken: so many that they, and those above that are live since the limit was lowered, are not more than
it. Null: up to any.';

create function quantumflow._make_slots(p_name text, p_key text, p_most int, p_wanted int)
returns int[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_make_slots$
declare
  v_made int[];
begin
  -- Nearly always all are there.
  if p_most <= (
    select count(*)
    from quantumflow._limit_slots s
    where (s.limit_name, s.limit_key) = (p_name, p_key)
      and s.slot <= p_most
  )
  then
    return '{}';
  end if;

  if not quantumflow._is_first_to_make(p_name, p_key, false) then
    return null;
  end if;

  -- Nobody else makes any now, and what others have made is seen.
  with made as (
    insert into quantumflow._limit_slots (limit_name, limit_key, slot)
    select p_name, p_key, n.n
    from generate_series(
      1,
      least(
        p_most,
        p_wanted + (
          select coalesce(max(s.slot), 0)
          from quantumflow._limit_slots s
          where (s.limit_name, s.limit_key) = (p_name, p_key)
        )
      )
    ) n (n)
    where not exists (
      select
      from quantumflow._limit_slots s
      where (s.limit_name, s.limit_key, s.slot) = (p_name, p_key, n.n)
      offset 0
    )
    order by n.n
    limit p_wanted
    on conflict do nothing
    returning slot
  )
  select coalesce(array_agg(m.slot), '{}')
  into v_made
  from made m;

  return v_made;
end
$_make_slots$;

comment on function quantumflow._make_slots(text, text, int, int) is
'Makes up to p_wanted slots of a key that there have not been, numbered up to p_most; null for any number. Null: somebody else makes some now.';

create function quantumflow._waits_for_limit(p_run_id uuid, p_step_slug text, p_task_index int, p_message_id bigint)
returns boolean
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_waits_for_limit$
begin
  return exists (
    select
    from quantumflow._limit_waits w
    where (w.run_id, w.step_slug, w.task_index) = (p_run_id, p_step_slug, p_task_index)
      and w.message_id = p_message_id
      and w.let_go_at is null
  );
end
$_waits_for_limit$;

comment on function quantumflow._waits_for_limit(uuid, text, int, bigint) is
'Whether a task sleeps until its limit lets it go.';

create function quantumflow._keys_that_wait(p_from_name text, p_from_key text, p_most int)
returns table (limit_name text, limit_key text)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_keys_that_wait$
begin
  -- From one key to the next along the index, however many tasks of it wait.
  return query
  with recursive waits as (
    (
      select w.limit_name, w.limit_key, 1 as n
      from quantumflow._limit_waits w
      where (w.limit_name, w.limit_key) >= (p_from_name, p_from_key)
      order by w.limit_name, w.limit_key
      limit 1
    )
    union all
    select n.limit_name, n.limit_key, k.n + 1
    from waits k
    cross join lateral (
      select w.limit_name, w.limit_key
      from quantumflow._limit_waits w
      where (w.limit_name, w.limit_key) > (k.limit_name, k.limit_key)
      order by w.limit_name, w.limit_key
      limit 1
    ) n
    where k.n < p_most
  )
  select k.limit_name, k.limit_key
  from waits k;
end
$_keys_that_wait$;

comment on function quantumflow._keys_that_wait(text, text, int) is
'The keys of which tasks wait, in order, at most p_most, from one on.';

create function quantumflow._put_visible_to_sleep(p_name text, p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_put_visible_to_sleep$
declare
  v_lane     record;
  v_messages quantumflow._message[];
  v_asleep   bigint[];
  v_others   bigint[];
begin
  for v_lane in
    select distinct w.queue, w.command
    from quantumflow.workflow_steps w
    where w.limit_name = p_name
    order by w.queue, w.command
  loop
    continue when quantumflow._hold_queue(v_lane.queue) is null;
    v_others := '{}';

    loop
      v_messages := quantumflow._read_lane(v_lane.queue, v_lane.command, 10000, v_others, '-infinity', p_now);
      exit when v_messages = '{}';

      v_asleep := quantumflow._note_asleep(p_name, v_lane.queue, v_messages);
      perform quantumflow._set_vt(v_lane.queue, v_asleep, array_fill('infinity'::timestamptz, array[cardinality(v_asleep)]));

      -- Those of steps that have not the limit, and what is not queued, stay where they are.
      v_others := v_others || array(
        select m.msg_id
        from unnest(v_messages) m
        where m.msg_id not in (select unnest(v_asleep)));

      exit when cardinality(v_others) > 10000;
    end loop;
  end loop;
end
$_put_visible_to_sleep$;

comment on function quantumflow._put_visible_to_sleep(text, timestamptz) is
'Puts the tasks to sleep that a limit holds back from now on, so that no claim has to: those that can be claimed, and that nobody holds.';

create function quantumflow._note_asleep(p_name text, p_queue text, p_messages quantumflow._message[])
returns bigint[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_note_asleep$
declare
  v_asleep bigint[];
begin
  with noted as (
    insert into quantumflow._limit_waits as w
      (run_id, step_slug, task_index, limit_name, limit_key, queue, command, message_id, place, priority)
    select
      t.run_id, t.step_slug, t.task_index, p_name, t.limit_key, p_queue, s.command, m.msg_id,
      t.queued_at - make_interval(secs => r.priority), r.priority
    from unnest(p_messages) m
    cross join lateral (
      select l.id, l.priority, l.workflow_slug, l.version
      from quantumflow.workflow_runs l
      where l.id = quantumflow._as_uuid(m.run_id)
        and l.status = 'started'
      limit 1
    ) r
    cross join lateral (
      select l.command
      from quantumflow.workflow_steps l
      where (l.workflow_slug, l.version, l.step_slug) = (r.workflow_slug, r.version, m.step_slug)
        and l.limit_name = p_name
      limit 1
    ) s
    cross join lateral (
      select l.*
      from quantumflow.step_tasks l
      where (l.run_id, l.step_slug) = (r.id, m.step_slug)
        and l.task_index = quantumflow._as_number(m.task_index, 9)::int
        and l.message_id = m.msg_id
        and l.status = 'queued'
        and l.limit_key is not null
      limit 1
    ) t
    order by t.run_id, t.step_slug, t.task_index
    on conflict (run_id, step_slug, task_index) do update
    set
      message_id = excluded.message_id,
      let_go_at = null,
      turn_at = null
    returning w.message_id
  )
  select coalesce(array_agg(n.message_id), '{}')
  into v_asleep
  from noted n;

  return v_asleep;
end
$_note_asleep$;

comment on function quantumflow._note_asleep(text, text, quantumflow._message[]) is
'Notes those of the tasks that messages name, and that a limit holds back, as waiting; returns their messages, which the caller has locked.';

create function quantumflow._let_go_of_limit(p_name text, p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_let_go_of_limit$
declare
  v_names text[];
  v_keys  text[];
begin
  select array_agg(k.limit_name), array_agg(k.limit_key)
  into v_names, v_keys
  from quantumflow._keys_that_wait(p_name, '', 1000) k
  where k.limit_name = p_name;

  if v_names is not null then
    perform quantumflow._let_go(v_names, v_keys, p_now, true);
  end if;
end
$_let_go_of_limit$;

comment on function quantumflow._let_go_of_limit(text, timestamptz) is
'Lets go what may go since a limit has changed: of a thousand keys, and sweeps of the others.';

create function quantumflow._sweep_limits(p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_sweep_limits$
declare
  v_names text[];
  v_keys  text[];
begin
  delete from quantumflow._limit_slots s
  using quantumflow._unused_slots(p_now) u
  where s.limit_name is not distinct from u.limit_name
    and s.ctid = u.tid;

  select array_agg(k.limit_name), array_agg(k.limit_key)
  into v_names, v_keys
  from quantumflow._keys_to_sweep(1000) k;

  if v_names is null then
    return;
  end if;

  perform quantumflow._free_lapsed_slots(v_names, v_keys);

  -- What was let go, and was taken away without a word.
  delete from quantumflow._limit_waits w
  using unnest(v_names, v_keys) k (limit_name, limit_key)
  cross join lateral (
    select l.ctid as tid, l.run_id
    from quantumflow._limit_waits l
    where (l.limit_name, l.limit_key) = (k.limit_name, k.limit_key)
      and l.let_go_at < p_now - interval '5 s'
      and not exists (
        select
        from quantumflow.step_tasks t
        where (t.run_id, t.step_slug, t.task_index) = (l.run_id, l.step_slug, l.task_index)
          and t.status = 'queued'
          and t.message_id = l.message_id
        offset 0
      )
    limit 1000
    for update skip locked
  ) l
  where w.run_id is not distinct from l.run_id
    and w.ctid = l.tid;

  perform quantumflow._let_go(v_names, v_keys, p_now, false);
end
$_sweep_limits$;

comment on function quantumflow._sweep_limits(timestamptz) is
'What nobody else would notice of limits: slots of leases that ended without a word are marked free, and those that are next are let go, of a thousand
keys. Slots that nobody has used for an hour go, a thousand at a time. Never waits.';

create function quantumflow._keys_to_sweep(p_most int)
returns table (limit_name text, limit_key text)
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_keys_to_sweep$
declare
  v_from  quantumflow._limit_sweeps;
  v_names text[];
  v_keys  text[];
begin
  select *
  into v_from
  from quantumflow._limit_sweeps c
  limit 1;

  select array_agg(k.limit_name), array_agg(k.limit_key)
  into v_names, v_keys
  from quantumflow._keys_that_wait(coalesce(v_from.limit_name, ''), coalesce(v_from.limit_key, ''), p_most) k;

  if v_from.limit_name is not null and coalesce(cardinality(v_names), 0) < p_most then
    delete from quantumflow._limit_sweeps;
  elsif cardinality(v_names) = p_most then
    delete from quantumflow._limit_sweeps;

    insert into quantumflow._limit_sweeps (limit_name, limit_key)
    values (v_names[p_most], v_keys[p_most]);
  end if;

  return query
  select *
  from unnest(v_names, v_keys);
end
$_keys_to_sweep$;

comment on function quantumflow._keys_to_sweep(int) is
'Of the keys of which tasks wait the next p_most after those of the last sweep.';

create function quantumflow._free_lapsed_slots(p_names text[], p_keys text[])
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_free_lapsed_slots$
declare
  v_held quantumflow._limit_slots[] := array(
    select s
    from unnest(p_names, p_keys) k (limit_name, limit_key)
    cross join lateral (
      select l.*
      from quantumflow._limit_slots l
      where (l.limit_name, l.limit_key) = (k.limit_name, k.limit_key)
        and l.lease_token is not null
        and not quantumflow._has_slot_live(l)
      for no key update skip locked
    ) s);
begin
  -- Asked again, now that nobody else takes them.
  update quantumflow._limit_slots s
  set lease_token = null
  from unnest(v_held) h
  where (s.limit_name, s.limit_key, s.slot) = (h.limit_name, h.limit_key, h.slot)
    and not quantumflow._has_slot_live(s);
end
$_free_lapsed_slots$;

comment on function quantumflow._free_lapsed_slots(text[], text[]) is
'Marks those slots of keys free whose leases are not live, but for those that others hold.';

create function quantumflow._unused_slots(p_now timestamptz)
returns table (limit_name text, tid tid)
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_unused_slots$
begin
  return query
  select s.limit_name, s.ctid
  from quantumflow._limit_slots s
  where s.lease_token is null
    and s.taken_at < p_now - interval '1 hour'
  limit 1000
  for update skip locked;
end
$_unused_slots$;

comment on function quantumflow._unused_slots(timestamptz) is
'Up to a thousand slots that are free, and that nobody has taken for an hour. It locks them.';

create function quantumflow._leave_waiting_room(p_run_id uuid, p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_leave_waiting_room$
declare
  v_names text[];
  v_keys  text[];
begin
  with gone as (
    delete from quantumflow._limit_waits w
    where w.run_id = p_run_id
    returning w.limit_name, w.limit_key, w.let_go_at
  )
  select array_agg(g.limit_name), array_agg(g.limit_key)
  into v_names, v_keys
  from (
    select distinct k.limit_name, k.limit_key
    from gone k
    where k.let_go_at is not null
    order by 1, 2
  ) g;

  if v_names is not null then
    perform quantumflow._let_go(v_names, v_keys, p_now, false);
  end if;
end
$_leave_waiting_room$;

comment on function quantumflow._leave_waiting_room(uuid, timestamptz) is
'A run whose tasks are not to go does not wait for its limits: others are let go in the place of those that had been. The caller holds it.';

create function quantumflow._enter_waiting_room(p_run_ids uuid[], p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_enter_waiting_room$
declare
  v_names text[];
  v_keys  text[];
begin
  insert into quantumflow._limit_waits as w
    (run_id, step_slug, task_index, limit_name, limit_key, queue, command, message_id, place, priority)
  select
    t.run_id, t.step_slug, t.task_index, s.limit_name, t.limit_key, t.queue, s.command, t.message_id,
    t.queued_at - make_interval(secs => r.priority), r.priority
  from quantumflow.step_tasks t
  cross join lateral (
    select l.priority, l.workflow_slug, l.version, l.status
    from quantumflow.workflow_runs l
    where l.id = t.run_id
    limit 1
  ) r
  cross join lateral (
    select l.limit_name, l.command
    from quantumflow.workflow_steps l
    where (l.workflow_slug, l.version, l.step_slug) = (r.workflow_slug, r.version, t.step_slug)
    limit 1
  ) s
  where t.run_id = any (p_run_ids)
    and t.status = 'queued'
    and t.limit_key is not null
    and t.queued_at <= p_now
    and r.status = 'started'
  order by t.run_id, t.step_slug, t.task_index
  on conflict (run_id, step_slug, task_index) do update
  set
    message_id = excluded.message_id,
    let_go_at = null,
    turn_at = null;

  select array_agg(k.limit_name), array_agg(k.limit_key)
  into v_names, v_keys
  from (
    select distinct w.limit_name, w.limit_key
    from quantumflow._limit_waits w
    where w.run_id = any (p_run_ids)
    order by 1, 2
  ) k;

  if v_names is not null then
    perform quantumflow._let_go(v_names, v_keys, p_now, false);
  end if;
end
$_enter_waiting_room$;

comment on function quantumflow._enter_waiting_room(uuid[], timestamptz) is
'The limited tasks of runs that are due wait for their turn, and those for which there is room are let go. The caller holds the runs, and has put
their messages to sleep.';
