create function quantumflow.claim_tasks(
  worker_id uuid,
  quantity  int default 1,
  queues    text[] default '{quantum_flow_queue}',
  lease     interval default '300 s',
  commands  text[] default null,
  held      int default 0)
returns setof quantumflow.claimed_task
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $claim_tasks$
declare
  v_now   timestamptz := quantumflow._now();
  v_taken quantumflow._taken_task[];
begin
  perform quantumflow._refuse_copy();

  v_taken := quantumflow._claim(
    quantumflow._checked_offer(
      claim_tasks.worker_id, claim_tasks.quantity, claim_tasks.queues, claim_tasks.lease, claim_tasks.commands, claim_tasks.held),
    v_now);

  return query
  select *
  from quantumflow._hand_out_each(v_taken, claim_tasks.lease, v_now);
end
$claim_tasks$;

comment on function quantumflow.claim_tasks(uuid, int, text[], interval, text[], int) is
'Hands out up to quantity tasks, each to one claimer, and nothing when there is none. Never waits.

worker_id: any uuid of the worker''s own; it need not be registered.
quantity: 1 to 10,000 tasks.
queues: served in the order given, without those that are gone while there is another; within one, what has been visible longest first.
lease: how long the tasks are the worker''s, 0.001 s to 1 day; the step''s timeout caps it. See extend_leases.
commands: only tasks of these commands; others are put back for 1 to 60 s without spending an attempt. Null: all; {}: none.
held: how many tasks the worker has already and has not reported; see below.

Each row holds the task''s input ({"run", <dependency>: output} for a single step, {"item", "index"} for a map task,
{"run", "output"} or {"run", "error"} for a callback), the deadline (timeout after now) and the lease_token that a report must show.
A task that was lost before comes alone, and only to a worker that holds none: what killed one worker shall not take others'' tasks
along. One that has waited for 5 s for such a worker lets those that hold tasks claim nothing more until it is taken. Leases that have run out are found here: they count as lost, or, if they lasted to the
deadline, as a failure of kind timeout. A task whose input cannot be one jsonb value (256 MB) fails, with QF308 in its error_message.

Errors: QF302 bad quantity, or held; QF303 bad lease; QF304 no worker_id; QF401 unknown queue; QF403 a queue that is somebody
else''s, or that quantumflow has not made; QF404 the database is a copy of the one where its runs were started.';

create function quantumflow._claim(p_offer quantumflow._offer, p_now timestamptz)
returns quantumflow._taken_task[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_claim$
declare
  v_queue    text;
  v_read     int;
  v_looked   int;
  v_messages quantumflow._message[];
  v_left     quantumflow._message[];
  v_more     quantumflow._taken_task[];
  v_taken    quantumflow._taken_task[] := p_offer.taken;
begin
  if p_offer.commands = '{}' then
    return v_taken;
  end if;

  if exists (select from quantumflow._unfinished_ends) then
    perform quantumflow._finish_ends(10, p_now);
  end if;
  perform quantumflow._worker_seen(p_offer.worker_id, p_now);

  -- Rounds, because a message that was read may turn out not to be claimable; nearly always there is one.
  foreach v_queue in array p_offer.queues loop
    continue when v_queue = any (p_offer.quiet);

    v_looked := 0;

    while cardinality(v_taken) < p_offer.free and v_looked < 10 * p_offer.free::bigint loop
      -- After a round that found nothing but others' work: all that may still be looked at, at once.
      v_read := case
        when v_looked > 0 and cardinality(v_taken) = 0 then 10 * p_offer.free - v_looked
        else p_offer.free - cardinality(v_taken)
      end;
      v_messages := quantumflow._read_messages(v_queue, v_read, p_now);
      -- Messages that come again are left to the next claim. While this one has nothing, it looks at them once more: the leases of
      -- their tasks may have been found to have run out only in the round before.
      exit when v_messages is null or (v_messages = v_left and cardinality(v_taken) > 0);

      v_left := v_messages;
      v_looked := v_looked + cardinality(v_messages);
      v_more := quantumflow._claim_messages(
        v_queue, v_messages, p_offer.free - cardinality(v_taken), p_offer.held + cardinality(v_taken), p_offer.worker_id,
        p_offer.lease, p_offer.commands, p_now);

      -- A task that was lost before waits until a worker has nothing else, so this one claims nothing more.
      if v_more is null then
        return v_taken;
      end if;
      v_taken := v_taken || v_more;

      -- A task lost before goes out alone.
      exit when v_taken[1].losses > 0;
      exit when cardinality(v_messages) < v_read and cardinality(v_taken) > 0;
    end loop;

    exit when v_taken[1].losses > 0 or cardinality(v_taken) = p_offer.free;
  end loop;

  return v_taken;
end
$_claim$;

comment on function quantumflow._claim(quantumflow._offer, timestamptz) is
'Claims as many tasks as the offer has room for, counting those it has been given, and returns them all. Queues that were found
quiet when these were handed over are not looked into again.';

create function quantumflow._hand_out_each(p_taken quantumflow._taken_task[], p_lease interval, p_now timestamptz)
returns setof quantumflow.claimed_task
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_hand_out_each$
begin
  return query
  select *
  from quantumflow._hand_out(p_taken, p_lease, p_now);
exception
  when program_limit_exceeded or out_of_memory or internal_error then
    -- Some input is larger than a jsonb value may be, or than there is memory for: hand out the others, and fail that task. No row
    -- has been returned yet, since _hand_out returns all or nothing.
    for n in 1 .. cardinality(p_taken) loop
      begin
        return query
        select *
        from quantumflow._hand_out(p_taken[n:n], p_lease, p_now);
      exception
        when program_limit_exceeded or out_of_memory or internal_error then
          if quantumflow._is_oversized(sqlstate, quantumflow._input_bytes(p_taken[n])) then
            perform quantumflow._fail_unhanded(p_taken[n], 'its input exceeds what one jsonb value can hold (QF308)', false, p_now);
          else
            perform quantumflow._fail_unhanded(p_taken[n], format('the server could not hand it out: %s', sqlerrm), true, p_now);
          end if;
      end;
    end loop;
end
$_hand_out_each$;

comment on function quantumflow._hand_out_each(quantumflow._taken_task[], interval, timestamptz) is
'What a claim returns for the tasks it has taken. Those whose input is too large for one jsonb value fail instead; those for whose input
the server has no memory fail this attempt.';

create function quantumflow._hand_out(p_taken quantumflow._taken_task[], p_lease interval, p_now timestamptz)
returns setof quantumflow.claimed_task
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_hand_out$
begin
  return query
  select
    k.run_id,
    k.workflow_slug,
    k.step_slug,
    k.task_index,
    i.command,
    i.args,
    i.input,
    k.attempt,
    i.max_attempts,
    k.lease_token,
    p_now + least(p_lease, k.timeout),
    p_now + k.timeout,
    k.queue,
    i.message_id,
    i.headers,
    k.losses,
    i.step_type
  from unnest(p_taken) k
  -- A lease found lost in a later round may have ended the run of a task taken before.
  cross join lateral (
    select *
    from quantumflow._task_inputs l
    where (l.run_id, l.step_slug, l.task_index) = (k.run_id, k.step_slug, k.task_index)
      and l.status = 'started'
    limit 1
  ) i;
end
$_hand_out$;

comment on function quantumflow._hand_out(quantumflow._taken_task[], interval, timestamptz) is
'What a claim returns for the tasks it has taken.';

create function quantumflow._input_bytes(p_task quantumflow._taken_task)
returns bigint
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_input_bytes$
begin
  return (
    select
      sum(quantumflow._bytes(case when s.gathers then t.item_value else quantumflow._step_output(p_task.run_id, d.slug) end))
      + max(quantumflow._bytes(r.input)) + max(coalesce(quantumflow._bytes(r.output), 0))
    from quantumflow.workflow_runs r
    join quantumflow.workflow_steps s
      on (s.workflow_slug, s.version, s.step_slug) = (r.workflow_slug, r.version, p_task.step_slug)
    join quantumflow.step_tasks t
      on (t.run_id, t.step_slug, t.task_index) = (r.id, p_task.step_slug, p_task.task_index)
    left join unnest(s.dependencies) d (slug)
      on true
    where r.id = p_task.run_id
  );
end
$_input_bytes$;

comment on function quantumflow._input_bytes(quantumflow._taken_task) is
'At least how large the parts of a task''s input are together, without putting them together.';

create function quantumflow._fail_unhanded(
  p_task      quantumflow._taken_task,
  p_error     text,
  p_retryable boolean,
  p_now       timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_fail_unhanded$
declare
  v_report jsonb := jsonb_build_array(jsonb_build_object(
    'run_id', p_task.run_id,
    'step_slug', p_task.step_slug,
    'task_index', p_task.task_index,
    'lease_token', p_task.lease_token,
    'error_message', p_error,
    'retryable', p_retryable));
  v_held   quantumflow._held_task := (quantumflow._read_reported(v_report, 'fail'))[1];
begin
  -- While somebody holds the step or the run, the task waits for its lease to run out.
  if v_held.outcome = 'fails'
    and v_held.counts
    and not quantumflow._hold_for_failure(p_task.run_id, p_task.step_slug)
  then
    return;
  end if;

  perform quantumflow._fail_reported(v_report, array[v_held], p_now);
end
$_fail_unhanded$;

comment on function quantumflow._fail_unhanded(quantumflow._taken_task, text, boolean, timestamptz) is
'Fails an attempt that was claimed and cannot be handed out, without waiting; for good, and its run with it, where no attempt is left,
or p_retryable is false, because whoever claims it would fail for ever.';

create function quantumflow._claim_messages(
  p_queue       text,
  p_messages    quantumflow._message[],
  p_most        int,
  p_others      int,
  p_worker_id   uuid,
  p_lease       interval,
  p_commands    text[],
  p_now         timestamptz)
returns quantumflow._taken_task[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_claim_messages$
declare
  v_held  quantumflow._held_task[] := quantumflow._hold_messages(p_queue, p_messages, p_commands);
  v_taken quantumflow._taken_task[];
  v_parts oid[];
  v_tids  tid[];
  v_vts   timestamptz[];
begin
  if cardinality(v_held) < cardinality(p_messages) then
    perform quantumflow._put_aside(p_queue, p_messages, v_held, p_now);
  end if;

  if exists (select from unnest(v_held) h where h.outcome <> 'claim' or h.losses > 0) then
    perform quantumflow._settle_messages(p_queue, v_held, p_now);
    v_held := quantumflow._lost_go_alone(v_held, p_others > 0, p_now);

    if v_held is null then
      return null;
    end if;
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
      worker_id = p_worker_id,
      lease_token = quantumflow._new_token(),
      started_at = p_now
    from unnest(v_held) h
    where h.outcome = 'claim'
      and t.run_id is not distinct from h.run_id
      and t.ctid = h.tid
    returning
      h.ord, h.run_id, h.workflow_slug, h.step_slug, h.task_index, t.queue, t.attempts, t.losses, t.lease_token, h.timeout
  )
  select
    coalesce(
      array_agg(
        row(
          k.run_id, k.workflow_slug, k.step_slug, k.task_index, k.queue, k.attempts, k.losses, k.lease_token, k.timeout
        )::quantumflow._taken_task),
      '{}'),
    array_agg(p_messages[k.ord].part),
    array_agg(p_messages[k.ord].tid),
    array_agg(p_now + least(p_lease, k.timeout))
  into v_taken, v_parts, v_tids, v_vts
  from taken k;

  perform quantumflow._hide(p_queue, v_parts, v_tids, v_vts);

  return v_taken;
end
$_claim_messages$;

comment on function quantumflow._claim_messages(text, quantumflow._message[], int, int, uuid, interval, text[], timestamptz) is
'Claims those of the tasks named by messages that may be claimed, at most p_most, beside p_others that the worker has, and puts
messages that are not claimable where they belong. Null: this worker is to take nothing more before it has nothing.';

create function quantumflow._hold_messages(
  p_queue    text,
  p_messages quantumflow._message[],
  p_commands text[] default null)
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
      p_outcome => case
        when t.message_id <> m.msg_id or t.queue <> p_queue then 'foreign'
        when t.status not in ('queued', 'started') then 'drop'
        when w.counts and r.status not in ('started', 'paused') then 'drop'
        when t.status = 'started' and m.vt < t.started_at + w.timeout then 'lost'
        when t.status = 'started' then 'timeout'
        when w.counts and r.status = 'paused' then 'park'
        when p_commands is not null and (w.command = any (p_commands)) is not true then 'later'
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
      l.worker_id, l.lease_token, l.started_at, l.queued_at
    from quantumflow.step_tasks l
    where (l.run_id, l.step_slug) = (r.id, m.step_slug)
      and l.task_index = quantumflow._as_number(m.task_index, 9)::int
    for update skip locked
  ) t
  cross join lateral (
    select s.command, s.counts, s.known_tasks, s.timeout
    from quantumflow.workflow_steps s
    where (s.workflow_slug, s.version, s.step_slug) = (r.workflow_slug, r.version, m.step_slug)
    limit 1
  ) w;

  return coalesce(v_held, '{}');
end
$_hold_messages$;

comment on function quantumflow._hold_messages(text, quantumflow._message[], text[]) is
'Locks the runs (FOR KEY SHARE) and tasks (FOR UPDATE) that messages name, without waiting, and returns those it got, in order.

message_id is that of the message that was read. outcome says what is to become of it:
claim: hand it out. later: its command is not asked for. lost: its lease ran out. timeout: it ran out at the deadline.
park: its run is paused.
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

  perform quantumflow._set_vt(
    p_queue,
    array_agg(h.message_id),
    array_agg(
      case h.outcome
        when 'park' then 'infinity'
        else p_now + greatest(interval '1 s', least(interval '60 s', p_now - h.queued_at))
      end))
  from unnest(p_held) h
  where h.outcome in ('park', 'later');

  perform quantumflow._settle_lapsed(
    p_queue,
    array(select h from unnest(p_held) h where h.outcome in ('lost', 'timeout')),
    p_now);
end
$_settle_messages$;

comment on function quantumflow._settle_messages(text, quantumflow._held_task[], timestamptz) is
'Puts the messages of a claim that are not handed out where _hold_messages said.';
