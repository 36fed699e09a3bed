create function quantumflow.get_flow(
  workflow_slug text,
  version       int default null
)
returns jsonb
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $get_flow$
declare
  v_current    int;
  v_definition jsonb;
begin
  perform quantumflow._refuse_nulls(jsonb_build_object('workflow_slug', get_flow.workflow_slug));

  select w.current_version
  into v_current
  from quantumflow.workflows w
  where w.workflow_slug = get_flow.workflow_slug;

  if not found then
    raise exception 'workflow "%" does not exist', get_flow.workflow_slug
    using
      errcode = 'QF111',
      detail = 'No workflow has this slug; upper and lower case matter.',
      hint = 'select * from quantumflow.list_flows() shows what is defined.';
  end if;

  select v.definition
  into v_definition
  from quantumflow.workflow_versions v
  where v.workflow_slug = get_flow.workflow_slug
    and v.version = coalesce(get_flow.version, v_current);

  if not found then
    raise exception 'workflow "%" has no version %', get_flow.workflow_slug, get_flow.version
    using
      errcode = 'QF112',
      detail = format('Its current version is %s.', v_current),
      hint = 'Leave the version out to use the current one.';
  end if;

  return v_definition;
end
$get_flow$;

comment on function quantumflow.get_flow(text, int) is
'The definition of a workflow, in canonical form: define_flow accepts it again. The current version unless told otherwise.

Steps are in the order given, under their first names (name, dependencies); settings that were not given are absent.
Errors: QF101 when workflow_slug is null; QF111 unknown workflow; QF112 unknown version.';
