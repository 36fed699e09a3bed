create function quantumflow.register_worker(
  worker_id uuid,
  name      text,
  commands  text[],
  queues    text[],
  host      text default null,
  pid       int default null,
  version   text default null,
  slots     int default null,
  running   int default null,
  oldest    jsonb default null)
returns void
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $register_worker$
declare
  v_now   timestamptz := quantumflow._now();
  v_queue text;
begin
  perform quantumflow._checked_offer(
    register_worker.worker_id, 1, register_worker.queues, '1 s', register_worker.commands, 0, p_all_queues => true);
  perform quantumflow._refuse_bad_beat(register_worker.slots, register_worker.running, register_worker.oldest);

  insert into quantumflow.workers
    (worker_id, name, commands, queues, started_at, last_seen_at, host, pid, version, slots, running, oldest)
  values (
    register_worker.worker_id, register_worker.name, register_worker.commands, register_worker.queues, v_now, v_now,
    register_worker.host, register_worker.pid, register_worker.version, register_worker.slots, register_worker.running,
    register_worker.oldest
  )
  on conflict on constraint workers_pkey do nothing;

  if found then
    -- A new worker may be what these wait for.
    foreach v_queue in array register_worker.queues loop
      perform quantumflow._recall_left(v_queue, register_worker.commands, v_now);
    end loop;

    return;
  end if;

  perform
  from quantumflow.workers w
  where w.worker_id = register_worker.worker_id
  for no key update skip locked;

  if found then
    update quantumflow.workers w
    set
      name = register_worker.name,
      commands = register_worker.commands,
      queues = register_worker.queues,
      last_seen_at = v_now,
      stopped_at = null,
      host = register_worker.host,
      pid = register_worker.pid,
      version = register_worker.version,
      slots = register_worker.slots,
      running = register_worker.running,
      oldest = register_worker.oldest
    where w.worker_id = register_worker.worker_id;
  end if;
end
$register_worker$;

comment on function quantumflow.register_worker(uuid, text, text[], text[], text, int, text, int, int, jsonb) is
'Says that a worker is there: for people who look, and so that tasks of its commands that were left to other code come back at once when
it is new.

commands: those it has handlers for; null means any. queues: those it serves. host, pid, version: where and what it is. slots: how many tasks it may
have at once; running: how many it has; oldest: those it has had longest, five at most, an array of {"run_id", "step_slug", "task_index", "since"}. Calling it again updates the row, or makes it anew where it
is gone: workers do so every 15 s, whatever they have to do, for doctor() takes for dead who was not seen for a minute and has no task
whose lease goes on. It does not wait for somebody who holds the row.

Errors: QF302 too many queues or commands, or bad slots, running or oldest; QF304 no worker_id; QF401 unknown queue; QF403 a queue that is somebody else''s; QF404 a copy of a database that has not its queues;
QF407 the queue of what waits.';

create function quantumflow._refuse_bad_beat(p_slots int, p_running int, p_oldest jsonb)
returns void
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_refuse_bad_beat$
begin
  if p_slots < 1 or p_running < 0 then
    raise exception 'slots must be 1 or more, and running 0 or more'
    using
      errcode = 'QF302',
      detail = format('They are %s and %s.', coalesce(p_slots::text, 'null'), coalesce(p_running::text, 'null')),
      hint = 'Leave out what the worker does not know.';
  end if;

  if p_oldest is not null and not quantumflow._has_at_most(p_oldest, 5, 4000) then
    raise exception 'oldest must be an array of at most five tasks'
    using
      errcode = 'QF302',
      detail = format('It is %s.', left(p_oldest::text, 100)),
      hint = 'For example: [{"run_id": "...", "step_slug": "charge", "task_index": 0, "since": "..."}].';
  end if;
end
$_refuse_bad_beat$;

comment on function quantumflow._refuse_bad_beat(int, int, jsonb) is
'Refuses what a worker cannot say of itself.

Errors: QF302 bad slots, running or oldest.';

create function quantumflow._has_at_most(p_array jsonb, p_elements int, p_bytes int)
returns boolean
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_has_at_most$
begin
  if jsonb_typeof(p_array) <> 'array' then
    return false;
  end if;

  return jsonb_array_length(p_array) <= p_elements and octet_length(p_array::text) <= p_bytes;
end
$_has_at_most$;

comment on function quantumflow._has_at_most(jsonb, int, int) is 'Whether it is an array of at most so many elements and, as a text, so many bytes.';
