create function quantumflow.pause_queue(queue text, reason text default null)
returns timestamptz
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $pause_queue$
begin
  perform quantumflow._refuse_unpausable_queue(pause_queue.queue);

  return quantumflow._pause('pause_queue', 'queue', pause_queue.queue, pause_queue.reason);
end
$pause_queue$;

comment on function quantumflow.pause_queue(text, text) is
'Pauses a queue: nothing in it is handed out until resume_queue, and returns since when it is paused. Runs start and are moved on as ever, and what
they lead to waits in the queue at its place.

What workers have already is not disturbed; a claim that began before may hand something out still. Pausing it again changes nothing. reason is kept
in pauses, and in audit_log.

Errors: QF401 unknown queue; QF403 a queue that is somebody else''s; QF407 the queue of what waits.';

create function quantumflow._refuse_unpausable_queue(p_queue text)
returns void
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_refuse_unpausable_queue$
begin
  if p_queue = quantumflow._system_queue() then
    raise exception 'queue "%" cannot be paused', p_queue
    using
      errcode = 'QF407',
      detail = 'In it is what waits for a time or a signal.',
      hint = 'Pause a flow, quantumflow.pause_flow(), or a run: what follows such a step waits then.';
  end if;

  if not coalesce(quantumflow._is_named(p_queue) and quantumflow._queue_table(p_queue) is not null, false) then
    perform quantumflow._raise_unusable_queue(p_queue);
  end if;
end
$_refuse_unpausable_queue$;

comment on function quantumflow._refuse_unpausable_queue(text) is
'Refuses a queue from which no worker claims.

Errors: QF401 unknown queue; QF403 a queue that is somebody else''s; QF407 the queue of what waits.';
