create function quantumflow._hold_flow(p_workflow_slug text, p_may_be_new boolean)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_hold_flow$
begin
  loop
    perform
    from quantumflow.workflows w
    where w.workflow_slug = p_workflow_slug
    for update;

    exit when found or not p_may_be_new;

    -- Waits for whoever defines the same new name, or one that differs only in case.
    insert into quantumflow.workflows (workflow_slug, current_version, created_at)
    values (p_workflow_slug, 0, quantumflow._now())
    on conflict do nothing;

    exit when found or exists (
      select
      from quantumflow.workflows w
      where lower(w.workflow_slug) = lower(p_workflow_slug collate "C")
        and w.workflow_slug <> p_workflow_slug
    );
  end loop;
end
$_hold_flow$;

comment on function quantumflow._hold_flow(text, boolean) is
'Locks a workflow to change its definition, until the transaction ends; one that is new, if it may be, gets its row, with a current
version of 0 to be replaced. Read the definition in a later statement than the one that locks.

Starts do not wait for this: they take a version as it is. What they wait for is a version that changes in place, or is deleted.';
