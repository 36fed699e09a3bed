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

  insert into quantumflow.workers as w (worker_id, name, commands, queues, started_at, last_seen_at)
  values (register_worker.worker_id, register_worker.name, register_worker.commands, register_worker.queues, v_now, v_now)
  on conflict on constraint workers_pkey do update
  set
    name = excluded.name,
    commands = excluded.commands,
    queues = excluded.queues,
    last_seen_at = excluded.last_seen_at,
    stopped_at = null;

  foreach v_queue in array register_worker.queues loop
    perform quantumflow._recall_put_back(v_queue, register_worker.commands, v_now);
  end loop;
end
$register_worker$;

comment on function quantumflow.register_worker(uuid, text, text[], text[]) is
'Says that a worker is there: for people who look, and so that tasks of its commands that others had put back come back at once.

commands: those it has handlers for; null means any. queues: those it serves. Calling it again updates the row.

Errors: QF302 too many queues or commands; QF304 no worker_id; QF401 unknown queue; QF403 a queue that is somebody else''s.';
