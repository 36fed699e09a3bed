create function quantumflow._reserved_names()
returns text[]
language sql
immutable
return array['run', 'item', 'items', 'index', 'input', 'args', 'ctx'];

comment on function quantumflow._reserved_names() is
'What no workflow and no step may be called, whatever the case: a handler asks for these by name and is given something else
than a step''s output. The only list of them: clients ask the database, by defining a workflow.';

create function quantumflow._names_of_loops()
returns text[]
language sql
immutable
return array['iteration', 'last'];

comment on function quantumflow._names_of_loops() is
'What no step may be called, whatever the case, whose output a loop is handed: its handler asks for these of the loop.';

create function quantumflow._names_of_plans()
returns text[]
language sql
immutable
return array['problems', 'commands', 'flows', 'types', 'max_steps'];

comment on function quantumflow._names_of_plans() is
'What no step may be called, whatever the case, whose output a plan is handed: its planner is told of these.';

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

  return query
  select
    'QF103', format('steps[%s].%s[%s]', s.index, s.key, d.number - 1),
    format('%s %s depends on "%s", a name that is reserved there', s.step_type, s.shown, d.name), s.index
  from quantumflow._named_steps(p_definition) as s
  join quantumflow._kinds() as k
    on k.step_type = s.step_type
    and k.repeats
  cross join jsonb_array_elements_text(s.dependencies) with ordinality as d(name, number)
  where lower(d.name collate "C") = any (
    quantumflow._names_of_loops() || case when s.step_type = 'plan' then quantumflow._names_of_plans() else '{}' end);

  return query
  select 'QF110', case s.index when -1 then 'queue' else format('steps[%s].queue', s.index) end,
    format('queue must not be "%s", which is for what waits', quantumflow._system_queue()), s.index
  from (
    select -1 as index, p_definition -> 'queue' as queue
    union all
    select e.index, e.value -> 'queue'
    from quantumflow._elements(p_definition) as e
  ) as s
  where s.queue = to_jsonb(quantumflow._system_queue());
end
$_name_problems$;

comment on function quantumflow._name_problems(jsonb) is
'Names in a definition that are reserved. What is stored stays valid: a name that the workflow, or a step of one of its versions, has
already is none of them. Nor may a queue be that of what waits.';

create function quantumflow._with_slug(p_definition jsonb, p_workflow_slug text)
returns jsonb
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_with_slug$
begin
  if p_workflow_slug is null or jsonb_typeof(p_definition) is distinct from 'object' or p_definition ? 'slug' then
    return p_definition;
  end if;

  return p_definition || jsonb_build_object('slug', p_workflow_slug);
end
$_with_slug$;

comment on function quantumflow._with_slug(jsonb, text) is
'A definition with the slug that was given beside it, if it has none of its own.';

create function quantumflow._other_slug_problems(p_definition jsonb, p_workflow_slug text)
returns table (code text, path text, message text, step_index int)
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_other_slug_problems$
begin
  return query
  select
    'QF103',
    'slug',
    format(
      'slug is %s, and workflow_slug is %s',
      quantumflow._shown(p_definition -> 'slug'), quantumflow._shown(to_jsonb(p_workflow_slug))),
    -1
  where jsonb_typeof(p_definition) = 'object'
    and p_definition -> 'slug' <> to_jsonb(p_workflow_slug);
end
$_other_slug_problems$;

comment on function quantumflow._other_slug_problems(jsonb, text) is
'Whether a definition''s slug is another than the one that was given beside it.';
