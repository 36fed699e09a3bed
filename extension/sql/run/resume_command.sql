create function quantumflow.resume_command(command text, reason text default null)
returns bigint
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $resume_command$
declare
  v_now timestamptz := quantumflow._now();
begin
  if quantumflow._end_pause('resume_command', 'command', resume_command.command, resume_command.reason) then
    return (
      select coalesce(sum(quantumflow._show_due(q.queue, array[resume_command.command], v_now)), 0)
      from quantumflow._known_queues() q (queue)
      where q.queue <> quantumflow._system_queue());
  end if;

  perform quantumflow._refuse_unknown_command(resume_command.command);

  return 0;
end
$resume_command$;

comment on function quantumflow.resume_command(text, text) is
'Lets the tasks of a paused command be handed out again, what has waited longest first, and returns how many of them are due now. Of a command that is
not paused it changes nothing, and returns 0. Tasks whose flow, queue or run is paused wait on. reason is kept in audit_log.

Errors: QF409 no step has this command.';
