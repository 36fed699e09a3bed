create function quantumflow._reserved_names()
returns text[]
language sql
immutable
return array['run', 'item', 'items', 'index', 'input', 'args', 'ctx'];

comment on function quantumflow._reserved_names() is
'What no workflow and no step may be called, whatever the case: a handler asks for these by name and is given something else
than a step''s output. The only list of them: clients ask the database, by defining a workflow.';

create function quantumflow._name_problems(p_definition jsonb)
returns table (code text, path text, message text, step_index int)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_name_problems$
declare
  v_reserved text[] := quantumflow._reserved_names();
  v_slug     text := p_definition ->> 'slug';
begin
  return query
  select 'QF103', 'slug', format('slug must not be "%s", which is reserved', v_slug), -1
  where lower(v_slug collate "C") = any (v_reserved)
    and not exists (select from quantumflow.workflows w where w.workflow_slug = v_slug);

  return query
  select
    'QF103',
    format('steps[%s].%s', s.index, k.key),
    format('%s must not be "%s", which is reserved', k.key, s.value ->> k.key),
    s.index
  from quantumflow._elements(p_definition) as s
  cross join unnest(array['name', 'slug']) as k(key)
  where lower((s.value ->> k.key) collate "C") = any (v_reserved)
    and not exists (
      select
      from quantumflow.workflow_steps w
      where w.workflow_slug = v_slug
        and w.step_slug = s.value ->> k.key
    );
end
$_name_problems$;

comment on function quantumflow._name_problems(jsonb) is
'Names in a definition that are reserved. What is stored stays valid: a name that the workflow, or a step of one of its versions, has
already is none of them.';
