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

create function quantumflow._take_up(
  p_offer  quantumflow._offer,
  p_tasks  quantumflow._new_task[],
  p_oldest timestamptz[],
  p_now    timestamptz)
returns quantumflow._new_task[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_take_up$
declare
  v_tasks  quantumflow._new_task[] := p_tasks;
  v_secret uuid := gen_random_uuid();
  v_n      int;
begin
  for v_n in
    select n.ordinality
    from unnest(p_tasks) with ordinality n
    where n.ready_at <= p_now
      and n.queue = any (p_offer.queues)
      and coalesce(n.command = any (p_offer.commands), p_offer.commands is null)
      and coalesce(p_oldest[array_position(p_offer.queues, n.queue)] > n.vt - interval '1 s', true)
    order by n.vt, n.ordinality
    limit p_offer.free - cardinality(p_offer.taken)
  loop
    v_tasks[v_n].vt := p_now + least(p_offer.lease, v_tasks[v_n].timeout);
    v_tasks[v_n].worker_id := p_offer.worker_id;
    v_tasks[v_n].lease_token := quantumflow._token_of(v_secret, v_n);
    v_tasks[v_n].started_at := p_now;
  end loop;

  return v_tasks;
end
$_take_up$;

comment on function quantumflow._take_up(quantumflow._offer, quantumflow._new_task[], timestamptz[], timestamptz) is
'Marks those of the tasks to be made that the worker is to have at once: of a queue and command that it asks for, due now, no more
than it has room for, and only where nothing visible that it could claim in the queue is ahead by more than a second, so that others''
work, older and higher, does not wait for it. p_oldest: what _oldest_vts says of the queues of the offer.';

create function quantumflow._with_taken(
  p_offer  quantumflow._offer,
  p_tasks  quantumflow._new_task[],
  p_oldest timestamptz[])
returns quantumflow._offer
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_with_taken$
declare
  v_given quantumflow._taken_task[] := array(
    select row(
      t.run_id, t.workflow_slug, t.step_slug, t.task_index, t.queue, 1, 0, t.lease_token, t.timeout
    )::quantumflow._taken_task
    from unnest(p_tasks) with ordinality t
    where t.lease_token is not null
    order by t.vt, t.ordinality);
  v_quiet text[] := array[]::text[];
begin
  -- Only if something was handed over: a run that this call ends may leave a callback to claim.
  if v_given <> '{}' then
    for n in 1 .. cardinality(p_oldest) loop
      if p_oldest[n] is null then
        v_quiet := v_quiet || p_offer.queues[n];
      end if;
    end loop;
  end if;

  return row(
    p_offer.worker_id, p_offer.free, p_offer.queues, p_offer.lease, p_offer.commands, p_offer.held, v_quiet, p_offer.taken || v_given
  )::quantumflow._offer;
end
$_with_taken$;

comment on function quantumflow._with_taken(quantumflow._offer, quantumflow._new_task[], timestamptz[]) is
'The offer with those of the tasks just made that were handed over, and with the queues in which nothing of its commands was visible.';
