create type quantumflow._catch as (
  plain quantumflow.claimed_task[],
  taken quantumflow._taken_task[]
);

comment on type quantumflow._catch is
'What a claim has found. plain: tasks as they are handed out. taken: others that it has claimed, or was given, which are still to be read
for that.';

create function quantumflow._claim_messages(
  p_queue    text,
  p_messages quantumflow._message[],
  p_found    quantumflow._catch,
  p_offer    quantumflow._offer,
  p_now      timestamptz)
returns quantumflow._catch
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_claim_messages$
declare
  v_count int := cardinality(p_found.plain) + cardinality(p_found.taken);
  v_room  int := p_offer.free - v_count;
  v_plain quantumflow.claimed_task[] := array[]::quantumflow.claimed_task[];
  v_taken quantumflow._taken_task[];
begin
  if cardinality(p_messages) <= v_room then
    v_plain := quantumflow._claim_plain(p_queue, p_messages, p_offer, p_now);
  end if;

  if cardinality(v_plain) = cardinality(p_messages) then
    return row(p_found.plain || v_plain, p_found.taken)::quantumflow._catch;
  end if;

  -- Nearly always all of the messages, or none.
  v_taken := quantumflow._claim_others(
    p_queue,
    array(select m from unnest(p_messages) m where m.msg_id <> all (array(select c.message_id from unnest(v_plain) c))),
    v_room - cardinality(v_plain),
    p_offer.held + v_count + cardinality(v_plain),
    p_offer,
    p_now);

  if v_taken is null then
    return null;
  end if;

  return row(quantumflow._still_claimed(p_found.plain || v_plain), p_found.taken || v_taken)::quantumflow._catch;
end
$_claim_messages$;

comment on function quantumflow._claim_messages(
  text, quantumflow._message[], quantumflow._catch, quantumflow._offer, timestamptz) is
'Adds to what a claim has found those of the tasks named by messages that may be claimed, as far as there is room for them, and puts
messages that are not claimable where they belong. Null: this worker is to take nothing more before it has nothing.';

create function quantumflow._claim_plain(
  p_queue    text,
  p_messages quantumflow._message[],
  p_offer    quantumflow._offer,
  p_now      timestamptz)
returns quantumflow.claimed_task[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_claim_plain$
declare
  v_plain quantumflow.claimed_task[];
  v_parts oid[];
  v_tids  tid[];
  v_vts   timestamptz[];
begin
  begin
    select *
    into v_plain, v_parts, v_tids, v_vts
    from quantumflow._claim_read(p_queue, p_messages, p_offer, p_now, gen_random_uuid());
  exception
    when no_data_found or program_limit_exceeded or out_of_memory or internal_error then
      -- There is something to be said against a task, or its input is larger than a jsonb value may be, or than there is memory for. Nothing
      -- has been claimed.
      return '{}';
  end;

  perform quantumflow._hide(p_queue, v_parts, v_tids, v_vts);

  return v_plain;
end
$_claim_plain$;

comment on function quantumflow._claim_plain(text, quantumflow._message[], quantumflow._offer, timestamptz) is
'Claims the tasks that messages name, if there is nothing to be said against any of them, see _claim_statement. Else it claims none.';

create function quantumflow._still_claimed(p_plain quantumflow.claimed_task[])
returns quantumflow.claimed_task[]
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_still_claimed$
begin
  return array(
    select c
    from unnest(p_plain) c
    cross join lateral (
      select
      from quantumflow.step_tasks l
      where (l.run_id, l.step_slug, l.task_index) = (c.run_id, c.step_slug, c.task_index)
        and l.status = 'started'
      limit 1
    ) t);
end
$_still_claimed$;

comment on function quantumflow._still_claimed(quantumflow.claimed_task[]) is
'Those of the tasks that a claim has found whose run has not ended since, by a lease that it then found lost.';

create function quantumflow._claim_others(
  p_queue    text,
  p_messages quantumflow._message[],
  p_most     int,
  p_others   int,
  p_offer    quantumflow._offer,
  p_now      timestamptz)
returns quantumflow._taken_task[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_claim_others$
declare
  v_held   quantumflow._held_task[] := quantumflow._hold_messages(p_queue, p_messages, p_offer.commands, p_offer.not_flows);
  v_secret uuid := gen_random_uuid();
  v_taken  quantumflow._taken_task[];
  v_parts  oid[];
  v_tids   tid[];
  v_vts    timestamptz[];
begin
  if cardinality(v_held) < cardinality(p_messages)
    or exists (select from unnest(v_held) h where h.outcome <> 'claim' or h.losses > 0)
  then
    perform quantumflow._sort_out(p_queue, p_messages, v_held, p_now);
    v_held := quantumflow._lost_go_alone(v_held, p_others > 0, p_now);

    if v_held is null then
      return null;
    end if;
  end if;

  if exists (select from unnest(v_held) h where h.limit_key is not null) then
    v_held := quantumflow._pass_limits(p_queue, v_held, p_most, v_secret, p_now);
  end if;

  if cardinality(v_held) > p_most then
    v_held := array(select h from unnest(v_held) h where h.outcome = 'claim' order by h.ord limit p_most);
  end if;

  -- A lapse that was settled just now may have ended a run: the rows of its tasks have moved, and are not found here.
  with taken as (
    update quantumflow.step_tasks t
    set
      status = 'started',
      attempts = h.attempts + 1,
      worker_id = p_offer.worker_id,
      lease_token = quantumflow._token_of(v_secret, t.message_id),
      started_at = p_now
    from unnest(v_held) h
    where h.outcome = 'claim'
      and t.run_id is not distinct from h.run_id
      and t.ctid = h.tid
    returning
      h.ord, h.run_id, h.step_slug, h.task_index, t.queue, t.attempts, t.losses, t.lease_token, h.timeout
  )
  select
    coalesce(
      array_agg(
        row(
          k.run_id, k.step_slug, k.task_index, k.queue, k.attempts, k.losses, k.lease_token
        )::quantumflow._taken_task),
      '{}'),
    array_agg(p_messages[k.ord].part),
    array_agg(p_messages[k.ord].tid),
    array_agg(p_now + least(p_offer.lease, k.timeout))
  into v_taken, v_parts, v_tids, v_vts
  from taken k;

  perform quantumflow._hide(p_queue, v_parts, v_tids, v_vts);

  return v_taken;
end
$_claim_others$;

comment on function quantumflow._claim_others(text, quantumflow._message[], int, int, quantumflow._offer, timestamptz) is
'As _claim_messages, of messages with some of which there is something the matter: at most p_most, beside p_others that the worker has.';

create function quantumflow._hold_messages(
  p_queue     text,
  p_messages  quantumflow._message[],
  p_commands  text[] default null,
  p_not_flows text[] default null)
returns quantumflow._held_task[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_hold_messages$
declare
  v_held quantumflow._held_task[];
begin
  -- First the run, shared: whatever stops a run waits for this claim, or is seen by it. Then the task.
  select array_agg(
    quantumflow._held_task_of(
      p_ord => m.n::int,
      p_run_id => r.id,
      p_step_slug => m.step_slug,
      p_task_index => t.task_index,
      p_tid => t.tid,
      p_queue => t.queue,
      p_message_id => m.msg_id,
      p_status => t.status,
      p_attempts => t.attempts,
      p_losses => t.losses,
      p_worker_id => t.worker_id,
      p_lease_token => t.lease_token,
      p_started_at => t.started_at,
      p_queued_at => t.queued_at,
      p_workflow_slug => r.workflow_slug,
      p_version => r.version,
      p_counts => w.counts,
      p_known_tasks => w.known_tasks,
      p_timeout => w.timeout,
      p_run_status => r.status,
      p_retries => r.retries,
      p_limit_key => t.limit_key,
      p_outcome => case
        when t.message_id <> m.msg_id or t.queue <> p_queue then 'foreign'
        when t.status not in ('queued', 'started') then 'drop'
        when w.counts and r.status not in ('started', 'paused') then 'drop'
        when t.status = 'started' and not w.settled and m.vt < t.started_at + w.timeout then 'lost'
        when t.status = 'started' and not w.settled then 'timeout'
        when w.counts and r.status = 'paused' and t.status = 'queued' then 'park'
        when p_commands is not null and (w.command = any (p_commands)) is not true then 'astray'
        when r.workflow_slug = any (p_not_flows) then 'paused'
        else 'claim'
      end))
  into v_held
  from unnest(p_messages) with ordinality m (msg_id, run_id, step_slug, task_index, vt, part, tid, n)
  cross join lateral (
    select l.id, l.workflow_slug, l.version, l.status, l.retries
    from quantumflow.workflow_runs l
    where l.id = quantumflow._as_uuid(m.run_id)
    for key share skip locked
  ) r
  cross join lateral (
    select
      l.ctid as tid, l.task_index, l.queue, l.message_id, l.status, l.attempts, l.losses,
      l.worker_id, l.lease_token, l.started_at, l.queued_at, l.limit_key
    from quantumflow.step_tasks l
    where (l.run_id, l.step_slug) = (r.id, m.step_slug)
      and l.task_index = quantumflow._as_number(m.task_index, 9)::int
    for update skip locked
  ) t
  cross join lateral (
    select s.command, s.counts, s.known_tasks, s.timeout, s.settled
    from quantumflow.workflow_steps s
    where (s.workflow_slug, s.version, s.step_slug) = (r.workflow_slug, r.version, m.step_slug)
    limit 1
  ) w;

  return coalesce(v_held, '{}');
end
$_hold_messages$;

comment on function quantumflow._hold_messages(text, quantumflow._message[], text[], text[]) is
'Locks the runs (FOR KEY SHARE) and tasks (FOR UPDATE) that messages name, without waiting, and returns those it got, in order.

message_id is that of the message that was read. outcome says what is to become of it:
claim: hand it out. astray: it was found in the lane of another command than its step''s, which is not asked for. lost: its lease ran
out. timeout: it ran out at the deadline. park: its run is paused. paused: its flow is, being one of p_not_flows.
drop: nothing is left to do. foreign: it is not the message its task names.';

create function quantumflow._lost_go_alone(p_held quantumflow._held_task[], p_has_others boolean, p_now timestamptz)
returns quantumflow._held_task[]
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_lost_go_alone$
declare
  v_held  quantumflow._held_task[] := p_held;
  v_first int;
  v_alone boolean;
begin
  -- The first claimable task decides: if it was lost before it goes, and only it; else the others go.
  select k.ordinality
  into v_first
  from unnest(p_held) with ordinality k
  where k.outcome = 'claim'
  order by k.ordinality
  limit 1;

  v_alone := v_held[v_first].losses > 0 and not p_has_others;

  -- A worker that has tasks leaves it to others, but not for ever: where all workers always have some, nobody would take it.
  if v_held[v_first].losses > 0 and p_has_others and v_held[v_first].queued_at < p_now - interval '5 s' then
    return null;
  end if;

  for n in 1 .. cardinality(v_held) loop
    if v_held[n].outcome = 'claim'
      and (
        (v_alone and n <> v_first)
        or (not v_alone and v_held[n].losses > 0)
      )
    then
      v_held[n].outcome := 'leave';
    end if;
  end loop;

  return v_held;
end
$_lost_go_alone$;

comment on function quantumflow._lost_go_alone(quantumflow._held_task[], boolean, timestamptz) is
'Sees to it that a task that was lost before is handed out by itself: what killed one worker shall not take others'' tasks along.

What is not to go now gets the outcome "leave": its message stays as it is, for the next claim. Null: such a task is first, and has
waited for 5 s for a worker without other tasks: nothing is to go.';

create function quantumflow._sort_out(
  p_queue    text,
  p_messages quantumflow._message[],
  p_held     quantumflow._held_task[],
  p_now      timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_sort_out$
begin
  if cardinality(p_held) < cardinality(p_messages) then
    perform quantumflow._put_aside(p_queue, p_messages, p_held, p_now);
  end if;

  if exists (select from unnest(p_held) h where h.outcome <> 'claim') then
    perform quantumflow._settle_messages(p_queue, p_held, p_now);
  end if;
end
$_sort_out$;

comment on function quantumflow._sort_out(text, quantumflow._message[], quantumflow._held_task[], timestamptz) is
'Puts those of the messages that are not to be handed out where they belong; p_held: what _hold_messages says of them.';

create function quantumflow._put_aside(
  p_queue    text,
  p_messages quantumflow._message[],
  p_held     quantumflow._held_task[],
  p_now      timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_put_aside$
declare
  v_busy    bigint[];
  v_foreign bigint[];
begin
  select
    coalesce(array_agg(m.msg_id) filter (where m.is_ours), '{}'),
    coalesce(array_agg(m.msg_id) filter (where not m.is_ours), '{}')
  into v_busy, v_foreign
  from (
    select
      a.msg_id,
      exists (
        select
        from quantumflow.step_tasks t
        where (t.run_id, t.step_slug) = (quantumflow._as_uuid(a.run_id), a.step_slug)
          and t.task_index = quantumflow._as_number(a.task_index, 9)::int
        offset 0
      ) as is_ours
    from unnest(p_messages) a
    where a.msg_id <> all (array(select h.message_id from unnest(p_held) h))
  ) m;

  perform quantumflow._set_vt(p_queue, v_busy, array_fill(p_now + interval '100 ms', array[cardinality(v_busy)]));

  if v_foreign <> '{}' then
    perform quantumflow._archive_foreign(p_queue, v_foreign);
  end if;
end
$_put_aside$;

comment on function quantumflow._put_aside(text, quantumflow._message[], quantumflow._held_task[], timestamptz) is
'Deals with messages whose task could not be held: busy ones come back after 100 ms, those that name no task are archived.';

create function quantumflow._settle_messages(p_queue text, p_held quantumflow._held_task[], p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_settle_messages$
declare
  v_foreign bigint[];
  v_dropped bigint[];
begin
  select
    array_agg(h.message_id) filter (where h.outcome = 'foreign'),
    array_agg(h.message_id) filter (where h.outcome = 'drop')
  into v_foreign, v_dropped
  from unnest(p_held) h;

  if v_foreign is not null then
    perform quantumflow._archive_foreign(p_queue, v_foreign);
  end if;

  if v_dropped is not null then
    -- Whoever ended the run may have left the task as it was, because somebody held it.
    update quantumflow.step_tasks t
    set status = 'cancelled'
    from unnest(p_held) h
    where h.outcome = 'drop'
      and h.status in ('queued', 'started')
      and t.run_id is not distinct from h.run_id
      and t.ctid = h.tid;

    perform quantumflow._remove_messages(p_queue, v_dropped);
  end if;

  perform quantumflow._set_vt(p_queue, array_agg(h.message_id), array_agg('infinity'::timestamptz))
  from unnest(p_held) h
  where h.outcome = 'park';

  if exists (select from unnest(p_held) h where h.outcome = 'paused') then
    perform quantumflow._park_paused(p_queue, p_held, p_now);
  end if;

  perform quantumflow._name_commands(p_queue, array_agg(h.message_id), array_agg(w.command))
  from unnest(p_held) h
  cross join lateral (
    select l.command
    from quantumflow.workflow_steps l
    where (l.workflow_slug, l.version, l.step_slug) = (h.workflow_slug, h.version, h.step_slug)
    limit 1
  ) w
  where h.outcome = 'astray';

  perform quantumflow._settle_lapsed(
    p_queue,
    array(select h from unnest(p_held) h where h.outcome in ('lost', 'timeout')),
    p_now);
end
$_settle_messages$;

comment on function quantumflow._settle_messages(text, quantumflow._held_task[], timestamptz) is
'Puts the messages of a claim that are not handed out where _hold_messages said.';
