create function quantumflow._clear_policies(p_workflow_slug text)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_clear_policies$
begin
  delete from quantumflow._policy_runs r
  where r.workflow_slug = p_workflow_slug;

  delete from quantumflow._policy_times t
  where t.workflow_slug = p_workflow_slug;

  delete from quantumflow._ticket_rolls t
  where t.workflow_slug = p_workflow_slug;
end
$_clear_policies$;

comment on function quantumflow._clear_policies(text) is
'Deletes what is only needed while a policy of the workflow is at work.';

create function quantumflow._forget_policies(p_workflow_slug text)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_forget_policies$
begin
  perform quantumflow._clear_policies(p_workflow_slug);

  delete from quantumflow.policy_pairs k
  where k.workflow_slug = p_workflow_slug;

  delete from quantumflow.policies p
  where p.workflow_slug = p_workflow_slug;
end
$_forget_policies$;

comment on function quantumflow._forget_policies(text) is
'Deletes what was learned of a workflow that is being deleted.';

create function quantumflow._supersede_policies(p_workflow_slug text, p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_supersede_policies$
begin
  update quantumflow.policies p
  set
    state = 'superseded',
    reason = 'the workflow was defined otherwise',
    decided_at = p_now
  where p.workflow_slug = p_workflow_slug
    and p.state in ('observing', 'proposed', 'trial', 'adopted');

  perform quantumflow._clear_policies(p_workflow_slug);

  update quantumflow.workflow_versions v
  set tuned_from = null
  from quantumflow.workflows w
  where w.workflow_slug = p_workflow_slug
    and (v.workflow_slug, v.version) = (w.workflow_slug, w.current_version)
    and v.tuned_from is not null;
end
$_supersede_policies$;

comment on function quantumflow._supersede_policies(text, timestamptz) is
'Ends what was proposed, tried or adopted for a workflow whose current version is another one now. A tuned version that somebody defines is his from then on.';
