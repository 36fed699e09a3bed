create function quantumflow.send_signal(run_id uuid, signal text, payload jsonb default 'null', key text default null)
returns text
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $send_signal$
declare
  v_now     timestamptz := quantumflow._now();
  v_payload jsonb := coalesce(send_signal.payload, 'null');
  v_status  text;
begin
  perform quantumflow._require_read_committed('send a signal');
  perform quantumflow._refuse_bad_signal(send_signal.signal, v_payload, send_signal.key);

  -- As who makes a wait holds the run too, one finds the other.
  select r.status
  into v_status
  from quantumflow.workflow_runs r
  where r.id = send_signal.run_id
  for no key update;

  if not found then
    return 'no_run';
  end if;

  if send_signal.key is not null and exists (
    select
    from quantumflow.signals s
    where (s.run_id, s.signal, s.key) = (send_signal.run_id, send_signal.signal, send_signal.key)
  )
  then
    return 'duplicate';
  end if;

  if v_status not in ('started', 'paused') then
    return 'run_ended';
  end if;

  perform quantumflow._keep_signal(send_signal.run_id, send_signal.signal, v_payload, send_signal.key, v_now);

  return case
    when v_status = 'started' and quantumflow._wake_waits(send_signal.run_id, send_signal.signal, v_now) then 'delivered'
    else 'kept'
  end;
end
$send_signal$;

comment on function quantumflow.send_signal(uuid, text, jsonb, text) is
'Sends a run a signal: the first step that waits for it, or the next one that will, has payload as its output.

signal: its name, 1 to 128 characters. payload: any JSON, at most max_output_bytes. key: the sender''s own name for it, 1 to 255 characters;
with the same key again it is not sent twice, for that run and signal. Each signal is taken by one step, the oldest first.

Returns delivered: a step was waiting for it, and goes on. kept: none is, or the run is paused; the next one that waits takes it, at once.
duplicate: a signal of that key is there, whatever became of it. run_ended: the run is over, and the signal is not kept. no_run: there is no
such run, yet or any more: it is for the sender to send it again.

It waits for calls that change the run, and for nobody else. Whether it is called in a transaction that does more is the caller''s business: the run goes on when that
commits.

Errors: QF217 a payload that is too large; QF218 the run has been sent max_signals; QF222 a bad signal or key; 0A000 unless the transaction is
read committed.';

create function quantumflow.send_signal_by_key(
  workflow_slug   text,
  idempotency_key text,
  signal          text,
  payload         jsonb default 'null',
  key             text default null)
returns text
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $send_signal_by_key$
declare
  v_run_id uuid := quantumflow._run_of_key(send_signal_by_key.workflow_slug, send_signal_by_key.idempotency_key);
begin
  if v_run_id is null and not exists (
    select
    from quantumflow.workflows w
    where w.workflow_slug = send_signal_by_key.workflow_slug
  )
  then
    perform quantumflow._refuse_unknown(send_signal_by_key.workflow_slug, null);
  end if;

  return quantumflow.send_signal(v_run_id, send_signal_by_key.signal, send_signal_by_key.payload, send_signal_by_key.key);
end
$send_signal_by_key$;

comment on function quantumflow.send_signal_by_key(text, text, text, jsonb, text) is
'Sends a signal to the run of a workflow that was started with this idempotency key, as who knows the order and not the run: see send_signal.

Returns no_run where none was started with it, yet or any more: it is for the sender to send it again.

Errors: QF111 unknown workflow; QF217, QF218, QF222, 0A000 as send_signal.';

create function quantumflow._refuse_bad_signal(p_signal text, p_payload jsonb, p_key text)
returns void
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_refuse_bad_signal$
declare
  v_bytes bigint := quantumflow._bytes(p_payload);
begin
  if p_signal is null or length(p_signal) not between 1 and 128 then
    raise exception 'signal must have 1 to 128 characters'
    using
      errcode = 'QF222',
      detail = case when p_signal is null then 'It is null.' else format('It has %s.', length(p_signal)) end,
      hint = 'It is the name that a step waits for: its signal, or else the name of the step.';
  end if;

  if length(p_key) not between 1 and 255 then
    raise exception 'key must have 1 to 255 characters'
    using
      errcode = 'QF222',
      detail = format('It has %s.', length(p_key)),
      hint = 'Leave it out, or use a hash of something longer.';
  end if;

  -- No limit can be lower.
  if v_bytes > 1000 and v_bytes > quantumflow._limit('max_output_bytes') then
    raise exception 'the payload of signal "%" is too large', p_signal
    using
      errcode = 'QF217',
      detail = format('It has %s bytes, and %s are allowed.', v_bytes, quantumflow._limit('max_output_bytes')),
      hint = 'Send a reference to what is large; quantumflow.configure() sets max_output_bytes.';
  end if;
end
$_refuse_bad_signal$;

comment on function quantumflow._refuse_bad_signal(text, jsonb, text) is
'Refuses what cannot be sent.

Errors: QF217 the payload is too large; QF222 a bad signal or key.';

create function quantumflow._keep_signal(p_run_id uuid, p_signal text, p_payload jsonb, p_key text, p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_keep_signal$
declare
  v_number int := coalesce((select max(s.number) from quantumflow.signals s where s.run_id = p_run_id), 0) + 1;
begin
  -- No limit can be lower.
  if v_number > 1 and v_number > quantumflow._limit('max_signals') then
    raise exception 'run % takes no more signals', p_run_id
    using
      errcode = 'QF218',
      detail = format('It has been sent %s.', v_number - 1),
      hint = 'quantumflow.configure() sets max_signals. Signals that come by the thousand are input for runs of their own.';
  end if;

  insert into quantumflow.signals (run_id, number, signal, payload, key, sent_at, sent_by, on_behalf_of)
  values (
    p_run_id, v_number, p_signal, p_payload, p_key, p_now, quantumflow._actor(),
    left(nullif(current_setting('quantumflow.actor', true), ''), 256)
  );
end
$_keep_signal$;

comment on function quantumflow._keep_signal(uuid, text, jsonb, text, timestamptz) is
'Writes a signal down. The caller holds the run.

Errors: QF218 the run has been sent max_signals.';

create function quantumflow._wake_waits(p_run_id uuid, p_signal text, p_now timestamptz)
returns boolean
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_wake_waits$
declare
  v_queue   text := quantumflow._system_queue();
  v_msg_ids bigint[];
  v_begins  timestamptz;
  v_untaken int;
begin
  select array_agg(t.message_id order by t.message_id), min(r.started_at), min(u.untaken)
  into v_msg_ids, v_begins, v_untaken
  from quantumflow.workflow_runs r
  cross join lateral (
    select l.step_slug
    from quantumflow.workflow_steps l
    where (l.workflow_slug, l.version) = (r.workflow_slug, r.version)
      and p_signal = any (l.signals)
    offset 0
  ) w
  cross join lateral (
    select l.message_id
    from quantumflow.step_tasks l
    where (l.run_id, l.step_slug, l.task_index) = (r.id, w.step_slug, 0)
      and l.status = 'queued'
    limit 1
  ) t
  cross join lateral (
    select count(*)::int as untaken
    from quantumflow.signals l
    where (l.run_id, l.signal) = (r.id, p_signal)
      and l.taken_at is null
  ) u
  where r.id = p_run_id;

  if v_msg_ids is null or quantumflow._hold_queue(v_queue) is null then
    return false;
  end if;

  -- Here and now, if nobody holds a row of it; else whoever settles next.
  if v_begins <= p_now and not quantumflow._is_copy() then
    perform quantumflow._settle_guarded(quantumflow._lock_messages(v_queue, v_msg_ids, 'infinity'), p_now);
  end if;

  if quantumflow._has_signal(p_run_id, array[p_signal]) then
    perform quantumflow._notify(v_queue, array[quantumflow._lane_of_waits()], p_now);
    perform quantumflow._redelay(v_queue, v_msg_ids, array_fill(greatest(p_now, v_begins), array[cardinality(v_msg_ids)]));
  end if;

  return v_untaken <= cardinality(v_msg_ids);
end
$_wake_waits$;

comment on function quantumflow._wake_waits(uuid, text, timestamptz) is
'Settles the waits of a run that want a signal, where everything is free; else makes them due, waiting for who holds their messages. Whether there
is one for this signal too, after those that lie there. The caller holds the run.';
