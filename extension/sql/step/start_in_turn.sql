create function quantumflow._start_in_turn(
  p_workflow_slug text,
  p_turns         jsonb,
  p_run_ids       uuid[],
  p_inputs        jsonb[],
  p_now           timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_start_in_turn$
declare
  v_keys  text[] := quantumflow._turn_keys(p_workflow_slug, p_turns ->> 'key', p_inputs);
  v_going uuid[];
begin
  -- Nearly always one turn; another where somebody else has started one of the same key in between.
  loop
    if p_turns ->> 'when_busy' = 'cancel' then
      perform quantumflow._cancel_those_before(p_workflow_slug, p_run_ids, v_keys, p_now);
    end if;

    v_going := quantumflow._take_turns(p_workflow_slug, p_run_ids, v_keys, p_now);

    exit when p_turns ->> 'when_busy' <> 'cancel'
      or cardinality(v_going) = (select count(distinct k) from unnest(v_keys) k);

    delete from quantumflow._run_turns t
    where t.run_id = any (p_run_ids);
  end loop;

  if cardinality(v_going) < cardinality(p_run_ids) and p_turns ->> 'when_busy' = 'refuse' then
    perform quantumflow._refuse_busy(p_workflow_slug, v_keys[array_position(p_run_ids, u.run_id)])
    from unnest(p_run_ids) u (run_id)
    where u.run_id <> all (v_going);
  end if;

  perform quantumflow._start_ready(r, p_now)
  from quantumflow.workflow_runs r
  where r.id = any (v_going)
    and r.status = 'started';
end
$_start_in_turn$;

comment on function quantumflow._start_in_turn(text, jsonb, uuid[], jsonb[], timestamptz) is
'Starts those runs, which have been inserted, beside which no other of their key goes on; the others wait for their turn, or are refused, or
cancel those before them, as p_turns says, the version''s one_at_a_time.

Errors: QF225 another run of its key goes on; QF226 it has no key.';

create function quantumflow._turn_keys(p_workflow_slug text, p_path text, p_inputs jsonb[])
returns text[]
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_turn_keys$
declare
  v_keys text[];
begin
  if p_path is null then
    return array_fill(''::text, array[cardinality(p_inputs)]);
  end if;

  begin
    v_keys := array(
      select case when jsonb_array_length(f.found) = 1 then quantumflow._limit_key(f.found -> 0) end
      from unnest(p_inputs) with ordinality i (input, n)
      cross join lateral (
        select jsonb_path_query_array(
          jsonb_build_object('run', i.input), quantumflow._with_mode(p_path)::jsonpath, silent => true) as found
        offset 0
      ) f
      order by i.n);
  exception
    when others then
      -- A deadlock, a lack of memory or a shutdown says nothing of the path.
      if quantumflow._is_of_the_call(sqlstate) then
        raise;
      end if;

      v_keys := array_fill(null::text, array[cardinality(p_inputs)]);
  end;

  if array_position(v_keys, null) is not null then
    raise exception 'a run of workflow "%" has no key for its turn', p_workflow_slug
    using
      errcode = 'QF226',
      detail = format(
        'Its runs go on one at a time, and %s leads to no one value of input %s.', p_path, array_position(v_keys, null)),
      hint = 'Start it with an input that has it.';
  end if;

  return v_keys;
end
$_turn_keys$;

comment on function quantumflow._turn_keys(text, text, jsonb[]) is
'The keys by which runs go on one at a time, in the order of their inputs. p_path: null: one for all.

Errors: QF226 an input has none.';

create function quantumflow._take_turns(p_workflow_slug text, p_run_ids uuid[], p_keys text[], p_now timestamptz)
returns uuid[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_take_turns$
declare
  v_going uuid[];
begin
  -- Of each key the first, unless others wait already. Who starts one of the same key in the same moment is waited for.
  with taken as (
    insert into quantumflow._run_turns (run_id, workflow_slug, turn_key, holds, queued_at)
    select f.run_id, p_workflow_slug, f.key, true, p_now
    from (
      select distinct on (u.key) u.key, u.run_id
      from unnest(p_run_ids, p_keys) with ordinality u (run_id, key, n)
      order by u.key, u.n
    ) f
    where not exists (
      select
      from quantumflow._run_turns t
      where (t.workflow_slug, t.turn_key) = (p_workflow_slug, f.key)
        and not t.holds
      offset 0
    )
    order by f.key
    on conflict (workflow_slug, turn_key) where holds do nothing
    returning run_id
  )
  select coalesce(array_agg(t.run_id), '{}')
  into v_going
  from taken t;

  insert into quantumflow._run_turns (run_id, workflow_slug, turn_key, holds, queued_at)
  select u.run_id, p_workflow_slug, u.key, false, p_now
  from unnest(p_run_ids, p_keys) u (run_id, key)
  where u.run_id <> all (v_going);

  update quantumflow.workflow_runs r
  set
    turn_key = u.key,
    status = case when r.id = any (v_going) then 'started' else 'paused' end,
    paused_at = case when r.id = any (v_going) then null else p_now end
  from unnest(p_run_ids, p_keys) u (run_id, key)
  where r.id = u.run_id;

  return v_going;
end
$_take_turns$;

comment on function quantumflow._take_turns(text, uuid[], text[], timestamptz) is
'Which of these runs, which have just been inserted, may go on; the others wait for their turn, and are paused until then.';

create function quantumflow._cancel_those_before(p_workflow_slug text, p_run_ids uuid[], p_keys text[], p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_cancel_those_before$
declare
  v_held uuid[];
begin
  -- In order of their ids; who ends one meanwhile has ended it.
  v_held := array(
    select l.id
    from (
      select t.run_id
      from quantumflow._run_turns t
      where t.workflow_slug = p_workflow_slug
        and t.turn_key = any (p_keys)
        and t.run_id <> all (p_run_ids)
      order by t.run_id
      offset 0
    ) t
    cross join lateral (
      select r.id
      from quantumflow.workflow_runs r
      where r.id = t.run_id
        and r.status in ('started', 'paused')
      for update
    ) l);

  if v_held <> '{}' then
    perform quantumflow._cancel_runs(v_held, format('another run of its key was started: %s', p_run_ids[cardinality(p_run_ids)]), p_now);
  end if;
end
$_cancel_those_before$;

comment on function quantumflow._cancel_those_before(text, uuid[], text[], timestamptz) is
'Cancels the open runs of these keys, which others are to take the place of.';
