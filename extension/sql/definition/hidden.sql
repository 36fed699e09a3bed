-- Workflows that nobody defines: what a goal comes to, and a plan. Their slugs begin with an underscore, none of their versions is current,
-- and each goes with its last run.

create function quantumflow._store_hidden(p_workflow_slug text, p_definition jsonb)
returns int
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_store_hidden$
declare
  v_definition jsonb := quantumflow._canonical_definition(p_definition || jsonb_build_object('slug', p_workflow_slug));
  v_hash       text := quantumflow._content_hash(v_definition);
  v_version    int;
begin
  -- Until the transaction ends none of its versions is deleted: see _forget_hidden.
  perform
  from quantumflow.workflows w
  where w.workflow_slug = p_workflow_slug
  for key share;

  v_version := quantumflow._version_of_content(p_workflow_slug, v_hash);

  if v_version is null then
    perform quantumflow._hold_flow(p_workflow_slug, p_may_be_new => true);
    -- Somebody else may have stored it, before this one got the workflow.
    v_version := quantumflow._version_of_content(p_workflow_slug, v_hash);
  end if;

  if v_version is null then
    v_version := (quantumflow._store_content(p_workflow_slug, v_hash, v_definition, p_may_replace => false)).version;
  end if;

  perform quantumflow._ensure_queues(v_definition);

  return v_version;
end
$_store_hidden$;

comment on function quantumflow._store_hidden(text, jsonb) is
'The version of a hidden workflow that has this content, which is valid but for its slug; made if there is none. The caller starts a run of it
in the same transaction, and says so in _hidden_runs.

Errors: as _ensure_queue.';

create function quantumflow._version_of_content(p_workflow_slug text, p_hash text)
returns int
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_version_of_content$
begin
  return (
    select v.version
    from quantumflow.workflow_versions v
    where (v.workflow_slug, v.content_hash) = (p_workflow_slug, p_hash)
  );
end
$_version_of_content$;

comment on function quantumflow._version_of_content(text, text) is 'The version of a workflow that has a content; null when there is none.';

create function quantumflow._forget_hidden(p_run_ids uuid[])
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_forget_hidden$
declare
  v_slug text;
begin
  for v_slug in
    with gone as (
      delete from quantumflow._hidden_runs h
      where h.run_id = any (p_run_ids)
      returning h.workflow_slug
    )
    select distinct g.workflow_slug
    from gone g
    order by 1
  loop
    -- Whoever starts a run of one of its versions has it until that is seen, and then the next deletion of a run comes to this.
    perform
    from quantumflow.workflows w
    where w.workflow_slug = v_slug
    for update skip locked;

    if found then
      perform quantumflow._delete_unused_versions(v_slug);
    end if;
  end loop;
end
$_forget_hidden$;

comment on function quantumflow._forget_hidden(uuid[]) is
'Deletes the versions of hidden workflows that had no runs but these, which are deleted; and a workflow without versions.';

create function quantumflow._delete_unused_versions(p_workflow_slug text)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_delete_unused_versions$
declare
  v_unused int[];
begin
  select array_agg(v.version)
  into v_unused
  from quantumflow.workflow_versions v
  where v.workflow_slug = p_workflow_slug
    and not exists (
      select
      from quantumflow._hidden_runs h
      where (h.workflow_slug, h.version) = (v.workflow_slug, v.version)
    );

  delete from quantumflow.workflow_step_edges e
  where e.workflow_slug = p_workflow_slug
    and e.version = any (v_unused);

  delete from quantumflow.workflow_steps s
  where s.workflow_slug = p_workflow_slug
    and s.version = any (v_unused);

  delete from quantumflow._first_runs f
  where f.workflow_slug = p_workflow_slug
    and f.version = any (v_unused);

  delete from quantumflow.workflow_versions v
  where v.workflow_slug = p_workflow_slug
    and v.version = any (v_unused);

  delete from quantumflow.workflows w
  where w.workflow_slug = p_workflow_slug
    and not exists (select from quantumflow.workflow_versions v where v.workflow_slug = p_workflow_slug);
end
$_delete_unused_versions$;

comment on function quantumflow._delete_unused_versions(text) is
'Deletes the versions of a hidden workflow, which the caller holds FOR UPDATE, that no run is of, and the workflow if none is left.';
