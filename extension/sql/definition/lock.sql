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
    for no key update;

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

Starts do not wait for this: they take a version as it is. What they wait for is a version that changes in place (see _take_unused), or
a workflow that is deleted.';

create function quantumflow._take_unused(p_workflow_slug text, p_version int)
returns boolean
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_take_unused$
begin
  -- Under the other levels the look at the end would not see a run that was committed since the snapshot.
  if not quantumflow._is_read_committed() then
    return false;
  end if;

  -- Without waiting: a transaction that starts the first run of some version holds the workflow, and may stay open for long.
  perform
  from quantumflow.workflows w
  where w.workflow_slug = p_workflow_slug
  for update skip locked;

  if not found then
    return false;
  end if;

  return quantumflow._is_unused(p_workflow_slug, p_version);
end
$_take_unused$;

comment on function quantumflow._take_unused(text, int) is
'Whether a version may change in place: no run has used it, and nobody can start one until the transaction ends. The caller holds the
workflow. False, at once, where somebody''s open transaction may have started one.';

create function quantumflow._is_unused(p_workflow_slug text, p_version int)
returns boolean
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_is_unused$
begin
  return exists (
    select
    from quantumflow.workflow_versions v
    where (v.workflow_slug, v.version) = (p_workflow_slug, p_version)
      and v.frozen_at is null
      and not exists (
        select
        from quantumflow._first_runs f
        where (f.workflow_slug, f.version) = (v.workflow_slug, v.version)
      )
  );
end
$_is_unused$;

comment on function quantumflow._is_unused(text, int) is
'Whether no run that can be seen has used a version, neither the one that froze it nor one that began beside that.';

create function quantumflow._may_start(p_workflow_slug text)
returns boolean
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_may_start$
begin
  perform
  from quantumflow.workflows w
  where w.workflow_slug = p_workflow_slug
  for key share skip locked;

  return found or not exists (select from quantumflow.workflows w where w.workflow_slug = p_workflow_slug);
end
$_may_start$;

comment on function quantumflow._may_start(text) is
'Whether a run of a workflow can be started without waiting for whoever deletes it, or changes a version of it in place; also where there is no
such workflow, for the start to say so.';
