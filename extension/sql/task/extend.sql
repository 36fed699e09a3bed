create function quantumflow.extend_leases(worker_id uuid, tasks jsonb, lease interval)
returns setof quantumflow.task_lease
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $extend_leases$
declare
  v_now   timestamptz := quantumflow._now();
  v_lease interval := quantumflow._checked_lease(extend_leases.lease);
  v_tasks jsonb := quantumflow._checked_array(extend_leases.tasks, 'tasks');
  v_batch record;
begin
  perform quantumflow._worker_seen(extend_leases.worker_id, v_now);

  for v_batch in
    with held as (
      select l.queue, l.message_id, least(v_now + v_lease, l.deadline) as vt
      from quantumflow._leases(v_tasks) l
      cross join lateral (
        select
        from quantumflow.step_tasks t
        where (t.run_id, t.step_slug, t.task_index) = (l.run_id, l.step_slug, l.task_index)
          and t.status = 'started'
          and t.lease_token = l.lease_token
        for no key update skip locked
      ) t
      where l.state = 'held'
    )
    select l.queue, array_agg(l.message_id) as msg_ids, array_agg(l.vt) as vts
    from held l
    group by l.queue
    order by l.queue
  loop
    perform quantumflow._extend_vt(v_batch.queue, v_batch.msg_ids, v_batch.vts);
  end loop;

  return query
  select
    l.run_id, l.step_slug, l.task_index, l.state,
    case l.state when 'held' then least(v_now + v_lease, l.deadline) end,
    case when l.is_odd then quantumflow._oddness_of(v_tasks -> l.ord) end
  from quantumflow._leases(v_tasks) l
  order by l.ord;
end
$extend_leases$;

comment on function quantumflow.extend_leases(uuid, jsonb, interval) is
'Keeps tasks for another lease from now, never past their deadline. Never waits, and never shortens a lease.

tasks: an array of {"run_id", "step_slug", "task_index", "lease_token"}.
lease: 0.001 s to 1 day; renew at a third of it.

Returns a row per task, in order, with its state: held, still the caller''s (also while a report of it is under way); lost, it is
somebody else''s or done; cancelled, its run has ended, so the work is for nothing. A row with a key that nobody knows is lost, and detail
names the key.

Errors: QF301 tasks is no array; QF303 bad lease.';

create function quantumflow._leases(p_tasks jsonb)
returns table (
  ord         int,
  run_id      uuid,
  step_slug   text,
  task_index  int,
  lease_token bigint,
  state       text,
  queue       text,
  message_id  bigint,
  deadline    timestamptz,
  is_odd      boolean)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_leases$
begin
  return query
  select
    k.ord,
    k.run_id,
    k.step_slug,
    k.task_index,
    t.lease_token,
    case
      when k.is_odd then 'lost'
      when t.status = 'cancelled' and t.is_leased then 'cancelled'
      when t.status is distinct from 'started' or t.is_leased is not true then 'lost'
      when w.counts and r.status not in ('started', 'paused') then 'cancelled'
      else 'held'
    end,
    t.queue,
    t.message_id,
    t.started_at + w.timeout,
    k.is_odd
  from quantumflow._parse_reports(p_tasks) k
  left join lateral (
    select l.status, l.lease_token, l.queue, l.message_id, l.started_at, l.lease_token::text = k.token as is_leased
    from quantumflow.step_tasks l
    where (l.run_id, l.step_slug, l.task_index) = (k.run_id, k.step_slug, k.task_index)
    limit 1
  ) t on true
  left join lateral (
    select l.workflow_slug, l.version, l.status
    from quantumflow.workflow_runs l
    where l.id = k.run_id
    limit 1
  ) r on true
  left join lateral (
    select l.counts, l.timeout
    from quantumflow.workflow_steps l
    where (l.workflow_slug, l.version, l.step_slug) = (r.workflow_slug, r.version, k.step_slug)
    limit 1
  ) w on true;
end
$_leases$;

comment on function quantumflow._leases(jsonb) is
'What the leases that tasks speak of are worth now: held, lost or cancelled. Locks nothing.';
