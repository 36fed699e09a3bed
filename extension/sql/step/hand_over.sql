create function quantumflow._oldest_vts(p_queues text[], p_commands text[], p_now timestamptz)
returns timestamptz[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_oldest_vts$
declare
  v_queue  text;
  v_oldest timestamptz[] := array[]::timestamptz[];
begin
  foreach v_queue in array p_queues loop
    v_oldest := v_oldest || quantumflow._oldest_vt(v_queue, p_commands, p_now);
  end loop;

  return v_oldest;
end
$_oldest_vts$;

comment on function quantumflow._oldest_vts(text[], text[], timestamptz) is
'For each queue, since when the message of these commands has been visible that has been visible longest; null where none is.';

-- Without a path of its own, so that it is inlined where it is called.
create function quantumflow._may_take(
  p_queue    text,
  p_command  text,
  p_ready_at timestamptz,
  p_vt       timestamptz,
  p_queues   text[],
  p_commands text[],
  p_oldest   timestamptz[],
  p_now      timestamptz)
returns boolean
language sql
stable
return p_ready_at <= p_now
  and p_queue = any (p_queues)
  and coalesce(p_command = any (p_commands), p_commands is null)
  and coalesce(p_oldest[array_position(p_queues, p_queue)] > p_vt - interval '1 s', true);

comment on function quantumflow._may_take(text, text, timestamptz, timestamptz, text[], text[], timestamptz[], timestamptz) is
'Whether a worker may have a task as it is made: it is of a queue and command that it asks for, due now, and nothing visible that the worker
could claim in the queue is ahead by more than a second, so that others'' work, older and higher, does not wait for it. p_oldest: what
_oldest_vts says of the queues.';

create function quantumflow._within_room(p_tasks quantumflow._new_task[], p_room int)
returns quantumflow._new_task[]
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_within_room$
begin
  return array(
    select quantumflow._new_task_of(
      k.run_id, k.step_slug, k.task_index, k.item_value, k.workflow_slug, k.version, k.gathers, k.command, k.timeout, k.queue, k.ready_at, k.vt,
      k.headers, k.is_taken and k.number <= p_room, k.limit_name, k.limit_key, k.place, k.flaw)
    from (
      select n.*, row_number() over (partition by n.is_taken order by n.vt, n.ordinality) as number
      from unnest(p_tasks) with ordinality n
    ) k);
end
$_within_room$;

comment on function quantumflow._within_room(quantumflow._new_task[], int) is
'Tasks of which a worker is to have no more than it has room for: those that have waited longest, by their priority.';

create function quantumflow._with_taken(
  p_offer  quantumflow._offer,
  p_taken  quantumflow._taken_task[],
  p_oldest timestamptz[])
returns quantumflow._offer
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_with_taken$
declare
  v_quiet text[] := array[]::text[];
begin
  -- Only if something was handed over: a run that this call ends may leave a callback to claim.
  if p_taken <> '{}' then
    for n in 1 .. cardinality(p_oldest) loop
      if p_oldest[n] is null then
        v_quiet := v_quiet || p_offer.queues[n];
      end if;
    end loop;
  end if;

  return row(
    p_offer.worker_id, p_offer.free, p_offer.queues, p_offer.lease, p_offer.commands, p_offer.held, v_quiet, p_offer.taken || p_taken,
    p_offer.not_flows
  )::quantumflow._offer;
end
$_with_taken$;

comment on function quantumflow._with_taken(quantumflow._offer, quantumflow._taken_task[], timestamptz[]) is
'The offer with tasks that were handed over, and with the queues in which nothing of its commands was visible.';
