create function quantumflow._elements(p_definition jsonb)
returns table (index int, value jsonb)
language sql
immutable
begin atomic
  select (s.number - 1)::int, s.value
  from jsonb_array_elements(
    case when jsonb_typeof(p_definition -> 'steps') = 'array' then p_definition -> 'steps' else '[]' end
  ) with ordinality as s(value, number);
end;

comment on function quantumflow._elements(jsonb) is
'What a definition has in place of steps, from 0; nothing where steps is no array.';

create function quantumflow._array(p_value jsonb)
returns jsonb
language sql
immutable
return case when jsonb_typeof(p_value) = 'array' then p_value else '[]' end;

comment on function quantumflow._array(jsonb) is
'A JSON array, or an empty one in place of what is none.';

create function quantumflow._texts(p_array jsonb)
returns text[]
language sql
immutable
return array(select jsonb_array_elements_text(p_array));

comment on function quantumflow._texts(jsonb) is
'The elements of a JSON array as an array of texts.';

create function quantumflow._type_of(p_step jsonb)
returns text
language sql
immutable
return coalesce(nullif(p_step ->> 'type', 'task'), 'single');

comment on function quantumflow._type_of(jsonb) is
'The type of a step of a definition: single, unless it says another. A task is another word for that.';

create function quantumflow._named_steps(p_definition jsonb)
returns table (
  index        int,
  name         text,
  shown        text,
  key          text,
  dependencies jsonb,
  after        jsonb,
  prefer_after jsonb,
  is_map       boolean,
  step_type    text,
  map_over     jsonb,
  step         jsonb)
language sql
immutable
begin atomic
  select
    s.index,
    n.name #>> '{}',
    quantumflow._shown(n.name),
    n.key,
    quantumflow._array(s.value -> n.key),
    quantumflow._array(s.value -> 'after'),
    quantumflow._array(s.value -> 'prefer_after'),
    quantumflow._type_of(s.value) = 'map',
    quantumflow._type_of(s.value),
    case when jsonb_typeof(s.value -> 'map_over') = 'string' then s.value -> 'map_over' end,
    s.value
  from quantumflow._elements(p_definition) as s
  cross join lateral (
    select
      coalesce(s.value -> 'name', s.value -> 'slug') as name,
      case when s.value ? 'dependencies' then 'dependencies' else 'depends_on' end as key
  ) as n
  where jsonb_typeof(n.name) = 'string';
end;

comment on function quantumflow._named_steps(jsonb) is
'The steps of a definition that have a name, and what else of them is what it should be: the rest is for other functions to tell.

step: as it is. key: the name under which the dependencies are there. shown: the step''s name as a message shows it.';
