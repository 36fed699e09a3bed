create function quantumflow.complete_and_claim(
  worker_id uuid,
  results   jsonb,
  quantity  int default 1,
  queues    text[] default '{quantum_flow_queue}',
  lease     interval default '300 s',
  commands  text[] default null)
returns setof quantumflow.task_exchange
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set enable_bitmapscan = off
set jit = off
as $complete_and_claim$
declare
  v_now  timestamptz := quantumflow._now();
  v_done quantumflow._completion;
begin
  perform quantumflow._refuse_non_array(complete_and_claim.results, 'results');
  perform quantumflow._refuse_bad_claim(
    complete_and_claim.worker_id, complete_and_claim.quantity, complete_and_claim.queues, complete_and_claim.lease);
  perform quantumflow._refuse_copy();

  v_done := quantumflow._complete(
    complete_and_claim.results,
    v_now,
    row(
      complete_and_claim.worker_id, complete_and_claim.quantity, complete_and_claim.queues, complete_and_claim.lease,
      complete_and_claim.commands, '{}'
    )::quantumflow._offer);

  return query
  select
    o.outcome, o.run_id, null::text, o.step_slug, o.task_index, null::text, null::jsonb, null::jsonb, null::int, null::int,
    null::bigint, null::timestamptz, null::timestamptz, null::text, null::bigint, null::jsonb
  from quantumflow._completion_outcomes(v_done.held) o;

  return query
  select null::text, c.*
  from quantumflow._hand_out_each(quantumflow._claim(v_done.offer, v_now), complete_and_claim.lease, v_now) c;
end
$complete_and_claim$;

comment on function quantumflow.complete_and_claim(uuid, jsonb, int, text[], interval, text[]) is
'Reports tasks as done and hands out the next ones: complete_tasks and claim_tasks in one call and one commit.

results: as for complete_tasks; may be empty. The other arguments are those of claim_tasks; quantity is how many tasks the caller can
start at once. First come rows with the outcome of each result, in order, then rows without one: the tasks.

Steps that the results make ready are handed over as they start, without a claim of their own, if the caller could have claimed
them and nothing in their queue is ahead of them by more than a second. What room is left is filled by a claim.

Errors: as complete_tasks and claim_tasks: QF301, QF302, QF303, QF304, QF401, QF403, QF404; then no result is recorded.';

create function quantumflow._take_up(
  p_offer quantumflow._offer,
  p_steps quantumflow._step_ref[],
  p_tasks quantumflow._new_task[],
  p_now   timestamptz)
returns quantumflow._new_task[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_take_up$
declare
  v_tasks  quantumflow._new_task[] := p_tasks;
  v_oldest timestamptz[];
  v_task   record;
begin
  select array_agg(quantumflow._oldest_vt(u.queue, p_now) order by u.n)
  into v_oldest
  from unnest(p_offer.queues) with ordinality u (queue, n);

  -- No more turns than the worker has room for.
  for v_task in
    select t.n, s.timeout
    from unnest(p_offer.queues, v_oldest) q (queue, oldest)
    join (
      select k.run_id, k.step_slug, w.queue, w.timeout
      from unnest(p_steps) k
      cross join lateral (
        select l.queue, l.timeout, l.command
        from quantumflow.workflow_steps l
        where (l.workflow_slug, l.version, l.step_slug) = (k.workflow_slug, k.version, k.step_slug)
        limit 1
      ) w
      where p_offer.commands is null
        or w.command = any (p_offer.commands)
      offset 0
    ) s
      on s.queue = q.queue
    join unnest(p_tasks) with ordinality t (
      run_id, step_slug, task_index, item_value, is_map, queue, ready_at, vt, headers, worker_id, lease_token, started_at, n)
      on (t.run_id, t.step_slug) = (s.run_id, s.step_slug)
    where t.ready_at <= p_now
      and (q.oldest is null or q.oldest > t.vt - interval '1 s')
    order by t.vt, t.n
    limit p_offer.free - cardinality(p_offer.taken)
  loop
    v_tasks[v_task.n].vt := p_now + least(p_offer.lease, v_task.timeout);
    v_tasks[v_task.n].worker_id := p_offer.worker_id;
    v_tasks[v_task.n].lease_token := floor(random() * 9007199254740991)::bigint;
    v_tasks[v_task.n].started_at := p_now;
  end loop;

  return v_tasks;
end
$_take_up$;

comment on function quantumflow._take_up(quantumflow._offer, quantumflow._step_ref[], quantumflow._new_task[], timestamptz) is
'Marks those of the tasks to be made that the worker is to have at once: of a queue and command that it asks for, due now, no more
than it has room for, and only where nothing visible in the queue is ahead by more than a second, so that others'' work, older and
higher, does not wait for it.';

create function quantumflow._with_taken(
  p_offer quantumflow._offer,
  p_steps quantumflow._step_ref[],
  p_tasks quantumflow._new_task[])
returns quantumflow._offer
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_with_taken$
declare
  v_given quantumflow._held_task[];
begin
  v_given := array(
    select row(
      k.n, k.run_id, k.step_slug, k.task_index, t.tid, k.queue, t.message_id, 'started', 1, 0,
      k.worker_id, k.lease_token, k.started_at, k.ready_at,
      s.workflow_slug, s.version, s.step_type, w.timeout, 'started', null, 'claim'
    )::quantumflow._held_task
    from unnest(p_tasks) with ordinality k (
      run_id, step_slug, task_index, item_value, is_map, queue, ready_at, vt, headers, worker_id, lease_token, started_at, n)
    cross join lateral (
      select l.ctid as tid, l.message_id
      from quantumflow.step_tasks l
      where (l.run_id, l.step_slug, l.task_index) = (k.run_id, k.step_slug, k.task_index)
      limit 1
    ) t
    join unnest(p_steps) s
      on (s.run_id, s.step_slug) = (k.run_id, k.step_slug)
    cross join lateral (
      select l.timeout
      from quantumflow.workflow_steps l
      where (l.workflow_slug, l.version, l.step_slug) = (s.workflow_slug, s.version, s.step_slug)
      limit 1
    ) w
    where k.lease_token is not null
    order by k.vt, k.n);

  return row(
    p_offer.worker_id, p_offer.free, p_offer.queues, p_offer.lease, p_offer.commands, p_offer.taken || v_given
  )::quantumflow._offer;
end
$_with_taken$;

comment on function quantumflow._with_taken(quantumflow._offer, quantumflow._step_ref[], quantumflow._new_task[]) is
'The offer with those of the tasks just made that were handed over.';
