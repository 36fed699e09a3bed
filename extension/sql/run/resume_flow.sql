create function quantumflow.resume_flow(workflow_slug text, reason text default null)
returns bigint
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $resume_flow$
begin
  perform quantumflow._require_read_committed('resume a workflow');

  if not quantumflow._end_pause('resume_flow', 'workflow', resume_flow.workflow_slug, resume_flow.reason) then
    perform quantumflow._refuse_unknown_flow(resume_flow.workflow_slug);
  end if;

  return quantumflow._bring_back(resume_flow.workflow_slug, 10000, quantumflow._now());
end
$resume_flow$;

comment on function quantumflow.resume_flow(text, text) is
'Lets tasks of a paused workflow be handed out again, from their old places in their queues, delays that were running kept, and returns how many came
back of those that claims had met: 10,000 at most, first what was queued first. Call it again for the rest; any sweep goes on with it, too. Of a workflow that
is not paused it brings back what is left, if anything is.

Tasks of a run that is paused itself wait on, and so do those whose queue or command is. Waits for claims that are putting something of it
aside. reason is kept in audit_log.

Errors: QF111 unknown workflow; 0A000 unless the transaction is read committed.';
