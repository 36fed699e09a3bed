create function quantumflow.pause_flow(workflow_slug text, reason text default null)
returns timestamptz
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $pause_flow$
begin
  perform quantumflow._refuse_unknown_flow(pause_flow.workflow_slug);

  return quantumflow._pause('pause_flow', 'workflow', pause_flow.workflow_slug, pause_flow.reason);
end
$pause_flow$;

comment on function quantumflow.pause_flow(text, text) is
'Pauses a workflow: no task of any run of it is handed out until resume_flow, callbacks included, and returns since when it is paused. Its runs start all the
same, sleeps and waits end, and the run_timeout goes on; runs of other workflows do too, those that it has started among them.

What workers have already is not disturbed; a claim that began before may hand something out still. What a claim meets of it is put out of its way, so others'' work
does not wait behind it. Pausing it again changes nothing. reason is kept in pauses, and in audit_log.

Errors: QF111 unknown workflow.';

create function quantumflow._refuse_unknown_flow(p_workflow_slug text)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_refuse_unknown_flow$
begin
  -- Whoever deletes it waits, and then takes the pause away.
  perform
  from quantumflow.workflows w
  where w.workflow_slug = p_workflow_slug
  for key share;

  if not found then
    raise exception 'workflow % does not exist', coalesce(format('"%s"', p_workflow_slug), 'null')
    using
      errcode = 'QF111',
      detail = 'No workflow has this slug; upper and lower case matter.',
      hint = 'select * from quantumflow.list_flows() shows what is defined.';
  end if;
end
$_refuse_unknown_flow$;

comment on function quantumflow._refuse_unknown_flow(text) is
'Refuses a workflow that is not defined, and keeps one that is from being deleted until the transaction ends.

Errors: QF111.';
