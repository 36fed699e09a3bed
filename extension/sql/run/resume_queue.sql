create function quantumflow.resume_queue(queue text, reason text default null)
returns bigint
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $resume_queue$
begin
  if quantumflow._end_pause('resume_queue', 'queue', resume_queue.queue, resume_queue.reason) then
    return quantumflow._show_due(resume_queue.queue, quantumflow._lanes_of(resume_queue.queue), quantumflow._now());
  end if;

  perform quantumflow._refuse_unpausable_queue(resume_queue.queue);

  return 0;
end
$resume_queue$;

comment on function quantumflow.resume_queue(text, text) is
'Lets what waits in a paused queue be handed out again, what has waited longest first, and returns how many tasks in it are due now. Of a queue that is not paused
it changes nothing, and returns 0. Tasks whose flow, command or run is paused wait on. reason is kept in audit_log.

Errors: QF401 unknown queue; QF403 a queue that is somebody else''s; QF407 the queue of what waits.';
