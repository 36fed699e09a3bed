create function quantumflow.register_worker(worker_id uuid, name text, commands text[], queues text[])
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

  insert into quantumflow.workers (worker_id, name, commands, queues, started_at, last_seen_at)
  values (register_worker.worker_id, register_worker.name, register_worker.commands, register_worker.queues, v_now, v_now)
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
      stopped_at = null
    where w.worker_id = register_worker.worker_id;
  end if;
end
$register_worker$;

comment on function quantumflow.register_worker(uuid, text, text[], text[]) is
'Says that a worker is there: for people who look, and so that tasks of its commands that were left to other code come back at once when
it is new.

commands: those it has handlers for; null means any. queues: those it serves. Calling it again updates the row, or makes it anew where it
is gone: workers do so every 15 s, whatever they have to do, for doctor() takes for dead who was not seen for a minute and has no task
whose lease goes on. It does not wait for somebody who holds the row.

Errors: QF302 too many queues or commands; QF304 no worker_id; QF401 unknown queue; QF403 a queue that is somebody else''s.';
