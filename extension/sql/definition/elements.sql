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
