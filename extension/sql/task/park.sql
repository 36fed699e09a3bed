-- Messages of paused flows that claims have met wait in _parked, hidden for ever (vt infinity): so claims do not meet them again. Who resumes
-- the flow brings them back, in the order in which their tasks were queued.

create function quantumflow._park(p_parked quantumflow._parked[])
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_park$
declare
  v_batch record;
begin
  insert into quantumflow._parked as k
  select p.*
  from unnest(p_parked) p
  on conflict on constraint _parked_pkey do update
  set
    workflow_slug = excluded.workflow_slug,
    run_id = excluded.run_id,
    step_slug = excluded.step_slug,
    task_index = excluded.task_index,
    queued_at = excluded.queued_at;

  for v_batch in
    select p.queue, array_agg(p.message_id) as msg_ids
    from unnest(p_parked) p
    group by p.queue
  loop
    perform quantumflow._set_vt(
      v_batch.queue, v_batch.msg_ids, array_fill('infinity'::timestamptz, array[cardinality(v_batch.msg_ids)]));
  end loop;
end
$_park$;

comment on function quantumflow._park(quantumflow._parked[]) is
'Parks messages, which the caller holds, as it holds their runs, at least FOR KEY SHARE.';

create function quantumflow._park_paused(p_queue text, p_held quantumflow._held_task[], p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_park_paused$
declare
  -- Who resumes the flow waits for this, or has done so; then nobody would bring them back.
  v_flows text[] := array(
    select p.name
    from quantumflow.pauses p
    where p.kind = 'workflow'
      and p.name = any (array(select h.workflow_slug from unnest(p_held) h where h.outcome = 'paused'))
    for key share skip locked);
begin
  perform quantumflow._park(array(
    select row(
      h.workflow_slug, p_queue, h.message_id, h.run_id, h.step_slug, h.task_index, h.queued_at
    )::quantumflow._parked
    from unnest(p_held) h
    where h.outcome = 'paused'
      and h.workflow_slug = any (v_flows)));

  perform quantumflow._set_vt(p_queue, array_agg(h.message_id), array_agg(p_now + interval '100 ms'))
  from unnest(p_held) h
  where h.outcome = 'paused'
    and h.workflow_slug <> all (v_flows);
end
$_park_paused$;

comment on function quantumflow._park_paused(text, quantumflow._held_task[], timestamptz) is
'Parks the messages of tasks whose flow is paused (outcome paused), which a claim has met. Where somebody is just resuming it they come back in 100 ms.';

create function quantumflow._bring_back(p_workflow_slug text, p_most int, p_now timestamptz)
returns bigint
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_bring_back$
declare
  v_parked quantumflow._parked[] := array(
    select k
    from quantumflow._parked k
    where k.workflow_slug = p_workflow_slug
    order by k.queued_at, k.message_id
    limit p_most
    for update skip locked);
  -- Who holds a run whole may be resuming it, and finds its messages here, or shows them; what is here then stays for the next sweep.
  v_held   uuid[] := array(
    select r.id
    from quantumflow.workflow_runs r
    where r.id = any (array(select k.run_id from unnest(v_parked) k))
    for key share skip locked);
  v_batch  record;
  v_back   bigint := 0;
begin
  if v_parked = '{}' then
    return 0;
  end if;

  for v_batch in
    select *
    from quantumflow._places_of(v_parked, v_held, p_now)
  loop
    if p_now >= any (v_batch.vts) and quantumflow._hold_queue(v_batch.queue) is not null then
      perform quantumflow._notify(v_batch.queue, v_batch.commands, p_now);
    end if;

    perform quantumflow._redelay(v_batch.queue, v_batch.msg_ids, v_batch.vts);
    v_back := v_back + v_batch.back;
  end loop;

  delete from quantumflow._parked k
  using unnest(v_parked) p
  where (k.queue, k.message_id) = (p.queue, p.message_id)
    and (
      p.run_id = any (v_held)
      or not exists (select from quantumflow.workflow_runs r where r.id = p.run_id)
    );

  return v_back;
end
$_bring_back$;

comment on function quantumflow._bring_back(text, int, timestamptz) is
'Puts messages that are parked for this flow where they belong, p_most of them at most, those first whose tasks were queued
first, and returns how many can be claimed again, at once or when they are due. Those of a paused run sleep on, for its sake. Waits for nobody who holds a run.';

create function quantumflow._places_of(p_parked quantumflow._parked[], p_run_ids uuid[], p_now timestamptz)
returns table (queue text, msg_ids bigint[], vts timestamptz[], commands text[], back bigint)
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_places_of$
begin
  return query
  select
    k.queue, array_agg(k.message_id order by k.message_id), array_agg(v.vt order by k.message_id),
    array_agg(distinct w.command), count(*) filter (where v.vt < 'infinity')
  from unnest(p_parked) k
  cross join lateral (
    select l.workflow_slug, l.version, l.status, l.priority
    from quantumflow.workflow_runs l
    where l.id = k.run_id
      and l.id = any (p_run_ids)
    limit 1
  ) r
  cross join lateral (
    select l.queued_at
    from quantumflow.step_tasks l
    where (l.run_id, l.step_slug, l.task_index) = (k.run_id, k.step_slug, k.task_index)
      and l.status = 'queued'
      and l.queue = k.queue
      and l.message_id = k.message_id
    limit 1
  ) t
  cross join lateral (
    select l.command, l.counts, l.signals
    from quantumflow.workflow_steps l
    where (l.workflow_slug, l.version, l.step_slug) = (r.workflow_slug, r.version, k.step_slug)
    limit 1
  ) w
  cross join lateral (
    select case
      when r.status = 'paused' and w.counts then 'infinity'
      else quantumflow._shown_at(k.run_id, w.signals, t.queued_at, r.priority, p_now)
    end as vt
  ) v
  group by k.queue
  order by k.queue;
end
$_places_of$;

comment on function quantumflow._places_of(quantumflow._parked[], uuid[], timestamptz) is
'Where parked messages belong whose tasks are queued still, of these runs, by queue: the message ids, the vt of each, the commands, and how many of
them do not sleep for the sake of their run.';

create function quantumflow._bring_back_resumed(p_now timestamptz)
returns bigint
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_bring_back_resumed$
declare
  v_name text;
  v_back bigint := 0;
begin
  if not exists (select from quantumflow._parked) then
    return 0;
  end if;

  -- From one flow to the next along the index, however many messages each has.
  loop
    v_name := (
      select min(k.workflow_slug)
      from quantumflow._parked k
      where k.workflow_slug > coalesce(v_name, ''));
    exit when v_name is null;

    if not exists (select from quantumflow.pauses p where (p.kind, p.name) = ('workflow', v_name)) then
      v_back := v_back + quantumflow._bring_back(v_name, 10000, p_now);
    end if;
  end loop;

  return v_back;
end
$_bring_back_resumed$;

comment on function quantumflow._bring_back_resumed(timestamptz) is
'Brings back what was parked for flows that are paused no more, 10,000 messages of each: where the resume left some, or who called it is gone.';
