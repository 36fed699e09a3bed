create function quantumflow.delete_flow(workflow_slug text)
returns boolean
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $delete_flow$
declare
  v_runs bigint;
begin
  perform quantumflow._refuse_nulls(jsonb_build_object('workflow_slug', delete_flow.workflow_slug));

  -- Under the other levels the count below would not see a run that was started while this waited.
  perform quantumflow._require_read_committed('delete a workflow');

  perform quantumflow._lock_flow(delete_flow.workflow_slug, true);

  select count(*)
  into v_runs
  from quantumflow.workflow_runs r
  where r.workflow_slug = delete_flow.workflow_slug;

  if v_runs > 0 then
    raise exception 'workflow "%" has runs', delete_flow.workflow_slug
    using
      errcode = 'QF113',
      detail = format('%s of its runs are in workflow_runs.', v_runs),
      hint = 'Its runs, ended ones too, need their definition: see quantumflow.delete_run() and quantumflow.prune().';
  end if;

  delete from quantumflow.workflow_step_edges e
  where e.workflow_slug = delete_flow.workflow_slug;

  delete from quantumflow.workflow_steps s
  where s.workflow_slug = delete_flow.workflow_slug;

  delete from quantumflow.workflow_versions v
  where v.workflow_slug = delete_flow.workflow_slug;

  delete from quantumflow.workflows w
  where w.workflow_slug = delete_flow.workflow_slug;

  return found;
end
$delete_flow$;

comment on function quantumflow.delete_flow(text) is
'Deletes a workflow with all its versions; true when there was one. Its queues stay.

It waits for transactions that start a run or change the workflow, and then refuses if there are runs, ended ones included.
Errors: QF101 when the argument is null; QF113 while runs exist; 0A000 unless the transaction is read committed.';
