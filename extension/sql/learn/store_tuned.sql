create function quantumflow._tuned(p_definition jsonb, p_changes jsonb)
returns jsonb
language sql
immutable
return jsonb_set(
  p_definition,
  '{steps}',
  (
    select jsonb_agg(
      s.value || coalesce(
        (
          select jsonb_object_agg(c.value ->> 'key', c.value -> 'suggested')
          from jsonb_array_elements(p_changes) c (value)
          where c.value ->> 'step_slug' = s.value ->> 'name'
        ),
        '{}')
      order by s.number)
    from jsonb_array_elements(p_definition -> 'steps') with ordinality s (value, number)
  ));

comment on function quantumflow._tuned(jsonb, jsonb) is
'A canonical definition with other values for some keys of some steps; changes as in policies.';

create function quantumflow._store_tuned(p_workflow_slug text, p_base int, p_changes jsonb, p_now timestamptz)
returns int
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_store_tuned$
declare
  v_definition jsonb;
  v_hash       text;
  v_version    int;
begin
  select quantumflow._canonical_definition(quantumflow._tuned(v.definition, p_changes))
  into v_definition
  from quantumflow.workflow_versions v
  where (v.workflow_slug, v.version) = (p_workflow_slug, p_base);

  perform quantumflow._raise_problems(v_definition, false);

  v_hash := quantumflow._content_hash(v_definition);

  select v.version
  into v_version
  from quantumflow.workflow_versions v
  where v.workflow_slug = p_workflow_slug
    and v.content_hash = v_hash;

  if found then
    return v_version;
  end if;

  -- Frozen from the start: another definition is not to take its place.
  insert into quantumflow.workflow_versions as v (workflow_slug, version, content_hash, definition, frozen_at, tuned_from)
  select p_workflow_slug, max(o.version) + 1, v_hash, v_definition, p_now, p_base
  from quantumflow.workflow_versions o
  where o.workflow_slug = p_workflow_slug
  returning v.version into v_version;

  perform quantumflow._store_steps(p_workflow_slug, v_version, v_definition);

  return v_version;
end
$_store_tuned$;

comment on function quantumflow._store_tuned(text, int, jsonb, timestamptz) is
'The version of a workflow that has these changes: the one that is there, or a new one that is not current. The caller holds the workflow.';
