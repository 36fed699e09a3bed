create function quantumflow.pause_command(command text, reason text default null)
returns timestamptz
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $pause_command$
begin
  perform quantumflow._refuse_unknown_command(pause_command.command);

  return quantumflow._pause('pause_command', 'command', pause_command.command, pause_command.reason);
end
$pause_command$;

comment on function quantumflow.pause_command(text, text) is
'Pauses a command: no task of it is handed out until resume_command, in whatever queue and flow, and returns since when it is paused. Other commands go
on as if there were none of it.

What workers have already is not disturbed; a claim that began before may hand something out still. Pausing it again changes nothing. reason is kept
in pauses, and in audit_log.

Errors: QF409 no step has this command.';

create function quantumflow._refuse_unknown_command(p_command text)
returns void
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_refuse_unknown_command$
begin
  if not exists (select from quantumflow.workflow_steps w where w.command = p_command and not w.settled) then
    raise exception 'no step has the command %', coalesce(format('"%s"', p_command), 'null')
    using
      errcode = 'QF409',
      detail = 'Of no version of any workflow; upper and lower case matter.',
      hint = 'select distinct command from quantumflow.workflow_steps where not settled shows what there is.';
  end if;
end
$_refuse_unknown_command$;

comment on function quantumflow._refuse_unknown_command(text) is
'Refuses a command that no step has which workers are given.

Errors: QF409.';
