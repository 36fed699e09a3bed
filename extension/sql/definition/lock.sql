create function quantumflow._lock_flow(
  p_workflow_slug text,
  p_exclusive     boolean
)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_lock_flow$
declare
  v_class int := hashtext('quantumflow');
  v_flow  int := hashtext(lower(p_workflow_slug collate "C"));
begin
  if p_exclusive then
    perform pg_advisory_xact_lock(v_class, v_flow);
  else
    perform pg_advisory_xact_lock_shared(v_class, v_flow);
  end if;
end
$_lock_flow$;

comment on function quantumflow._lock_flow(text, boolean) is
'Locks a workflow''s name until the transaction ends: shared to start runs, exclusive to change the definition.

The name need not exist yet. Names that differ only in case share a lock, and so may, harmlessly,
two names with the same hash. Read the definition in a later statement than the one that locks.';
