-- What a claim asks of limits. It comes here where some message takes a closer look, and the message of a limited task always does.

create type quantumflow._limited as (
  place      int,
  limit_name text,
  limit_key  text,
  verdict    text,
  slot       int,
  vt         timestamptz
);

comment on type quantumflow._limited is
'What its limit says of a held task, by its place among them. verdict: passes, with its slot; turn: it has been given a moment, vt; full: it has to wait until
others end; busy: somebody holds what it takes to tell.';

create function quantumflow._pass_limits(
  p_queue  text,
  p_held   quantumflow._held_task[],
  p_most   int,
  p_secret uuid,
  p_now    timestamptz)
returns quantumflow._held_task[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_pass_limits$
declare
  v_held    quantumflow._held_task[] := p_held;
  v_in_turn int[] := quantumflow._in_turn(p_held, p_now);
  v_said    quantumflow._limited[] := '{}';
  v_of_key  quantumflow._limited[];
  v_one     quantumflow._limited;
  v_asked   boolean;
  v_key     record;
begin
  perform quantumflow._wait_no_more(p_held, p_now);

  -- Those for which the worker has room; where some have to wait, others come in their place. Keys in order, as for all who lock their rows.
  loop
    v_asked := false;

    for v_key in
      select
        l.limit_name, l.limit_key, l.per_second, array_agg(l.place order by l.place) filter (where l.is_first) as places,
        coalesce(array_agg(l.place order by l.place) filter (where not l.is_first), '{}') as others
      from quantumflow._limited_of(v_held, p_most) l
      where l.place not in (select s.place from unnest(v_said) s)
      group by l.limit_name, l.limit_key, l.per_second
      having bool_or(l.is_first)
      order by l.limit_name, l.limit_key
    loop
      v_asked := true;
      v_of_key := quantumflow._judge_key(
        v_key.limit_name, v_key.limit_key, v_key.per_second, v_key.places, v_key.others, v_in_turn, p_now);
      v_said := v_said || v_of_key;

      foreach v_one in array v_of_key loop
        if v_one.verdict <> 'passes' then
          v_held[v_one.place].outcome := 'limited';
        end if;
      end loop;
    end loop;

    exit when not v_asked;
  end loop;

  perform quantumflow._take_named_slots(v_said, v_held, p_secret, p_now);
  perform quantumflow._put_to_sleep(p_queue, v_said, v_held, p_now);

  return v_held;
end
$_pass_limits$;

comment on function quantumflow._pass_limits(text, quantumflow._held_task[], int, uuid, timestamptz) is
'Of held tasks that may be claimed those that their limits let pass, at most p_most, which have slots then; the messages of the others sleep, until
their turn or until one is let go. p_secret: that of the claim, from which their tokens are made.';

create function quantumflow._limited_of(p_held quantumflow._held_task[], p_most int)
returns table (place int, limit_name text, limit_key text, per_second numeric, is_first boolean)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_limited_of$
begin
  return query
  select h.place, w.limit_name, h.limit_key, o.per_second, h.number <= p_most
  from (
    select
      k.workflow_slug, k.version, k.step_slug, k.limit_key, k.ordinality::int as place, row_number() over (order by k.ordinality) as number
    from unnest(p_held) with ordinality k
    where k.outcome = 'claim'
  ) h
  cross join lateral (
    select l.limit_name
    from quantumflow.workflow_steps l
    where (l.workflow_slug, l.version, l.step_slug) = (h.workflow_slug, h.version, h.step_slug)
    limit 1
  ) w
  left join lateral (
    select l.per_second
    from quantumflow.limits l
    where l.limit_name = w.limit_name
    limit 1
  ) o on true
  where h.limit_key is not null;
end
$_limited_of$;

comment on function quantumflow._limited_of(quantumflow._held_task[], int) is
'The limited ones among the tasks that may be claimed, with what is set of their limits, and whether they are among the first p_most.';

create function quantumflow._judge_key(
  p_name       text,
  p_key        text,
  p_per_second numeric,
  p_places       int[],
  p_others     int[],
  p_in_turn    int[],
  p_now        timestamptz)
returns quantumflow._limited[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_judge_key$
declare
  v_step  interval := interval '1 s' / p_per_second::float8;
  v_turns quantumflow._limit_turns[];
  v_next  timestamptz := p_now;
  v_found quantumflow._slots;
  v_said  quantumflow._limited[] := '{}';
  v_used  int := 0;
  v_place   int;
begin
  if p_per_second is not null then
    v_turns := quantumflow._hold_turns(array[p_name], array[p_key], p_now, false);

    if v_turns = '{}' then
      return array(select row(o.place, p_name, p_key, 'busy', null, null)::quantumflow._limited from unnest(p_places || p_others) o (place));
    end if;

    v_next := greatest(v_turns[1].next_at, p_now);
  end if;

  v_found := quantumflow._take_slots(p_name, p_key, cardinality(p_places));

  foreach v_place in array p_places || p_others loop
    exit when v_used = cardinality(p_places);

    if v_used = cardinality(v_found.slots) and v_used < cardinality(p_places) then
      v_said := v_said || row(
        v_place, p_name, p_key, case when v_found.is_busy then 'busy' else 'full' end, null, null)::quantumflow._limited;
    elsif v_place = any (p_places) and (p_per_second is null or v_place = any (p_in_turn) or v_next <= p_now) then
      v_used := v_used + 1;
      v_said := v_said || row(v_place, p_name, p_key, 'passes', v_found.slots[v_used], null)::quantumflow._limited;
      v_next := case when v_place = any (p_in_turn) then v_next else v_next + v_step end;
    elsif v_next <= p_now + interval '3 s' then
      v_said := v_said || row(v_place, p_name, p_key, 'turn', null, v_next)::quantumflow._limited;
      v_next := v_next + v_step;
    else
      v_said := v_said || row(v_place, p_name, p_key, 'full', null, null)::quantumflow._limited;
    end if;
  end loop;

  if p_per_second is not null and v_next > v_turns[1].next_at then
    update quantumflow._limit_turns t
    set next_at = v_next
    where (t.limit_name, t.limit_key) = (p_name, p_key);
  end if;

  return v_said;
end
$_judge_key$;

comment on function quantumflow._judge_key(text, text, numeric, int[], int[], int[], timestamptz) is
'What a limit says of the tasks of one key: of p_places, which the worker could take, and, unless all of these pass, of p_others, which were found
besides. p_in_turn: those whose moment it is.';

create function quantumflow._in_turn(p_held quantumflow._held_task[], p_now timestamptz)
returns int[]
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_in_turn$
begin
  return array(
    select h.ordinality::int
    from unnest(p_held) with ordinality h
    cross join lateral (
      select l.turn_at
      from quantumflow._limit_waits l
      where (l.run_id, l.step_slug, l.task_index) = (h.run_id, h.step_slug, h.task_index)
      limit 1
    ) w
    where h.limit_key is not null
      and w.turn_at <= p_now
      and w.turn_at >= p_now - interval '2 s');
end
$_in_turn$;

comment on function quantumflow._in_turn(quantumflow._held_task[], timestamptz) is
'Which tasks were given a moment that has come. It is good for two seconds: who comes later asks for another, so that what has waited for a worker does
not go all at once.';

create function quantumflow._wait_no_more(p_held quantumflow._held_task[], p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_wait_no_more$
declare
  v_names text[];
  v_keys  text[];
begin
  with gone as (
    delete from quantumflow._limit_waits w
    using unnest(p_held) h
    cross join lateral (
      select l.ctid as tid
      from quantumflow._limit_waits l
      where (l.run_id, l.step_slug, l.task_index) = (h.run_id, h.step_slug, h.task_index)
      for update skip locked
    ) l
    where h.limit_key is not null
      and h.outcome not in ('claim', 'leave', 'astray', 'foreign')
      and w.run_id is not distinct from h.run_id
      and w.ctid = l.tid
    returning w.limit_name, w.limit_key
  )
  select array_agg(g.limit_name order by g.limit_name, g.limit_key), array_agg(g.limit_key order by g.limit_name, g.limit_key)
  into v_names, v_keys
  from (
    select distinct k.limit_name, k.limit_key
    from gone k
  ) g;

  if v_names is not null then
    perform quantumflow._let_go(v_names, v_keys, p_now, false);
  end if;
end
$_wait_no_more$;

comment on function quantumflow._wait_no_more(quantumflow._held_task[], timestamptz) is
'Tasks that were let go, and that are not to be handed out, since their run is paused, say: they do not wait for a slot any more, and others are let
go in their place.';

create function quantumflow._take_named_slots(
  p_said   quantumflow._limited[],
  p_held   quantumflow._held_task[],
  p_secret uuid,
  p_now    timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_take_named_slots$
declare
  -- A variable, so that its elements are found without reading those before them.
  v_held quantumflow._held_task[] := p_held;
begin
  update quantumflow._limit_slots s
  set
    run_id = k.run_id,
    step_slug = k.step_slug,
    task_index = k.task_index,
    lease_token = quantumflow._token_of(p_secret, k.message_id),
    taken_at = p_now
  from (
    select l.limit_name, l.limit_key, l.slot, h.run_id, h.step_slug, h.task_index, h.message_id
    from unnest(p_said) l
    cross join lateral (select (v_held[l.place]).*) h
    where l.verdict = 'passes'
    offset 0
  ) k
  where (s.limit_name, s.limit_key, s.slot) = (k.limit_name, k.limit_key, k.slot);

  delete from quantumflow._limit_waits w
  using unnest(p_said) l
  cross join lateral (select (v_held[l.place]).*) h
  cross join lateral (
    select o.ctid as tid
    from quantumflow._limit_waits o
    where (o.run_id, o.step_slug, o.task_index) = (h.run_id, h.step_slug, h.task_index)
    for update skip locked
  ) o
  where l.verdict = 'passes'
    and w.run_id is not distinct from h.run_id
    and w.ctid = o.tid;

  perform quantumflow._let_go(array_agg(k.limit_name), array_agg(k.limit_key), p_now, false)
  from (
    select distinct l.limit_name, l.limit_key
    from unnest(p_said) l
    where l.verdict = 'passes'
      and exists (
        select
        from quantumflow.limits o
        where o.limit_name = l.limit_name
          and o.per_second is not null
        offset 0
      )
  ) k
  having count(*) > 0;
end
$_take_named_slots$;

comment on function quantumflow._take_named_slots(quantumflow._limited[], quantumflow._held_task[], uuid, timestamptz) is
'Writes into the slots of those that pass which leases have them, and lets those go that have the next moments. What is not claimed in the end has
no live lease, and so its slot is free.';

create function quantumflow._put_to_sleep(
  p_queue text,
  p_said  quantumflow._limited[],
  p_held  quantumflow._held_task[],
  p_now   timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_put_to_sleep$
declare
  -- A variable, so that its elements are found without reading those before them.
  v_held quantumflow._held_task[] := p_held;
begin
  insert into quantumflow._limit_waits as w
    (run_id, step_slug, task_index, limit_name, limit_key, queue, command, message_id, place, priority, let_go_at, turn_at)
  select
    h.run_id, h.step_slug, h.task_index, l.limit_name, l.limit_key, p_queue, s.command, h.message_id,
    h.queued_at - make_interval(secs => r.priority), r.priority, l.vt, l.vt
  from unnest(p_said) l
  cross join lateral (select (v_held[l.place]).*) h
  cross join lateral (
    select o.priority
    from quantumflow.workflow_runs o
    where o.id = h.run_id
    limit 1
  ) r
  cross join lateral (
    select o.command
    from quantumflow.workflow_steps o
    where (o.workflow_slug, o.version, o.step_slug) = (h.workflow_slug, h.version, h.step_slug)
    limit 1
  ) s
  where l.verdict in ('full', 'turn')
  order by h.run_id, h.step_slug, h.task_index
  on conflict (run_id, step_slug, task_index) do update
  set
    limit_name = excluded.limit_name,
    limit_key = excluded.limit_key,
    queue = excluded.queue,
    command = excluded.command,
    message_id = excluded.message_id,
    let_go_at = excluded.let_go_at,
    turn_at = excluded.turn_at;

  perform quantumflow._set_vt(
    p_queue, array_agg(h.message_id),
    array_agg(case l.verdict when 'full' then 'infinity' when 'turn' then l.vt else p_now + interval '100 ms' end))
  from unnest(p_said) l
  cross join lateral (select (v_held[l.place]).*) h
  where l.verdict <> 'passes'
  having count(*) > 0;
end
$_put_to_sleep$;

comment on function quantumflow._put_to_sleep(text, quantumflow._limited[], quantumflow._held_task[], timestamptz) is
'Notes which tasks wait for their limits, and hides their messages: until their moment, until one is let go, or, where somebody holds what it takes to
tell, for 100 ms.';
