-- By what the tasks of limited steps are told apart, and which of new ones need not sleep.

-- Without a path of its own, so that it is inlined where it is called.
create function quantumflow._limit_key(p_value jsonb)
returns text
language sql
immutable
return case
  when octet_length(p_value::text) <= 200 then p_value::text
  else left(p_value::text, 40) || '... ' || encode(sha256(convert_to(p_value::text, 'UTF8')), 'hex')
end;

comment on function quantumflow._limit_key(jsonb) is
'How the key of a limit is written: as JSON; of one with more than 200 bytes its beginning and its SHA-256.';

create function quantumflow._keys_of_tasks(
  p_run_id       uuid,
  p_path         text,
  p_dependencies text[],
  p_after        text[],
  p_items        jsonb[])
returns text[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_keys_of_tasks$
declare
  v_path      jsonpath;
  v_input     jsonb;
  v_variables jsonb;
begin
  v_path := p_path;

  select coalesce(jsonb_object_agg(g.key, g.value), '{}')
  into v_input
  from (
    select 'run' as key, r.input as value
    from quantumflow.workflow_runs r
    where r.id = p_run_id
      and quantumflow._names(p_path, 'run')
    union all
    select u.slug, quantumflow._step_output(p_run_id, u.slug)
    from unnest(p_dependencies) u (slug)
    cross join lateral (
      select l.status
      from quantumflow.step_states l
      where (l.run_id, l.step_slug) = (p_run_id, u.slug)
      limit 1
    ) s
    where s.status = 'completed'
      and quantumflow._names(p_path, u.slug)
  ) g;

  select jsonb_build_object('status', coalesce(jsonb_object_agg(u.slug, s.status), '{}'))
  into v_variables
  from unnest(p_dependencies || p_after) u (slug)
  cross join lateral (
    select l.status
    from quantumflow.step_states l
    where (l.run_id, l.step_slug) = (p_run_id, u.slug)
    limit 1
  ) s;

  if pg_column_size(v_input #> '{}') > 65536 and quantumflow._bytes(v_input) > quantumflow._limit('max_condition_bytes') then
    return array_fill(null::text, array[cardinality(p_items)]);
  end if;

  return array(
    select case when jsonb_array_length(f.found) = 1 then quantumflow._limit_key(f.found -> 0) end
    from unnest(p_items) with ordinality i (item, n)
    cross join lateral (
      select jsonb_path_query_array(
        case when i.item is null then v_input else v_input || jsonb_build_object('item', i.item) end,
        v_path, v_variables, silent => true) as found
      offset 0
    ) f
    order by i.n);
exception
  when others then
    -- A deadlock, a lack of memory or a shutdown says nothing of the path.
    if quantumflow._is_of_the_call(sqlstate) then
      raise;
    end if;

    return array_fill(null::text, array[cardinality(p_items)]);
end
$_keys_of_tasks$;

comment on function quantumflow._keys_of_tasks(uuid, text, text[], text[], jsonb[]) is
'The keys by which the tasks of a step are limited, in the order of their items, null for one that the path does not lead to one value. p_items:
what each task of a map has; of another step one null. Of the input only what the path may name is read.

Raises what says nothing of the path or the input: errors of class 40, 53 and 57.';

create function quantumflow._with_limits(p_tasks quantumflow._new_task[], p_now timestamptz)
returns quantumflow._new_task[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_with_limits$
begin
  -- By step, which has one path and one input; then by key, which has one room, asked for with the first task of it. No join: tens of
  -- thousands may come at once.
  return (
    select array_agg(
      quantumflow._new_task_of(
        k.run_id, k.step_slug, k.task_index, k.item_value, k.workflow_slug, k.version, k.gathers, k.command, k.timeout, k.queue, k.ready_at,
        case when k.rank > k.room then 'infinity' else k.vt end, k.headers, k.is_taken, k.limit_name, k.limit_key,
        case when k.room is not null then k.vt end,
        case when k.limit_key is null and k.limit_name is not null
          then format('its limit %s has no key: %s leads to no one value', k.limit_name, k.limit_path) end))
    from (
      select
        r.*,
        max(case when r.rank = 1 and r.is_due then quantumflow._room_for_new(r.limit_name, r.limit_key, r.queue, r.command) end) over (
          partition by r.limit_name, r.limit_key, r.is_due, r.queue, r.command
        ) as room
      from (
        select
          l.*,
          row_number() over (
            partition by l.limit_name, l.limit_key, l.is_due, l.queue, l.command
            order by l.vt, l.task_index
          ) as rank
        from (
          select
            k.run_id, k.step_slug, k.task_index, k.item_value, k.workflow_slug, k.version, k.gathers, k.command, k.timeout, k.queue,
            k.ready_at, k.vt, k.headers, k.is_taken, g.limit_name, g.limit_path,
            case when g.limit_name is not null then coalesce(k.key, case when g.limit_path is null then '' end) end as limit_key,
            g.limit_name is not null and (k.key is not null or g.limit_path is null)
              and k.ready_at <= p_now and k.vt < 'infinity' as is_due
          from (
            select
              w.limit_name, w.limit_path, s.tasks,
              case when w.limit_path is not null
                then quantumflow._keys_of_tasks(s.run_id, w.limit_path, w.dependencies, w.after, s.items)
              end as keys
            from (
              select t.run_id, t.step_slug, t.workflow_slug, t.version, array_agg(t) as tasks, array_agg(t.item_value) as items
              from unnest(p_tasks) t
              group by t.run_id, t.step_slug, t.workflow_slug, t.version
            ) s
            cross join lateral (
              select l.limit_name, l.limit_path, l.dependencies, l.after
              from quantumflow.workflow_steps l
              where (l.workflow_slug, l.version, l.step_slug) = (s.workflow_slug, s.version, s.step_slug)
              limit 1
            ) w
            offset 0
          ) g
          cross join lateral unnest(g.tasks, g.keys) k (
            run_id, step_slug, task_index, item_value, workflow_slug, version, gathers, command, timeout, queue, ready_at, vt, headers, is_taken,
            no_name, no_key, no_place, no_flaw, key)
        ) l
      ) r
    ) k);
end
$_with_limits$;

comment on function quantumflow._with_limits(quantumflow._new_task[], timestamptz) is
'Tasks that are to be made, some of them of limited steps, with their limits and keys. What is due, and finds no room behind those that wait for
the same, is to sleep. One whose key cannot be told has a flaw.';

create function quantumflow._room_for_new(p_name text, p_key text, p_queue text, p_command text)
returns bigint
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_room_for_new$
begin
  if not exists (select from quantumflow.limits l where l.limit_name = p_name) then
    return null;
  end if;

  -- Behind those that sleep already.
  if exists (
    select
    from quantumflow._limit_waits w
    where (w.limit_name, w.limit_key, w.queue, w.command) = (p_name, p_key, p_queue, p_command)
      and w.let_go_at is null
  )
  then
    return 0;
  end if;

  return quantumflow._limit_room(p_name, p_key, p_queue, p_command);
end
$_room_for_new$;

comment on function quantumflow._room_for_new(text, text, text, text) is
'How many new tasks of a key and a command need not sleep; null: nobody has set the limit.';
