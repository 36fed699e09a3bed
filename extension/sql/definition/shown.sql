create function quantumflow._shown(p_value jsonb)
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
as $_shown$
  select case jsonb_typeof(p_value)
    when 'object' then 'an object'
    when 'array' then 'an array'
    else coalesce(left(p_value::text, 80) || case when length(p_value::text) > 80 then '...' else '' end, 'null')
  end
$_shown$;

comment on function quantumflow._shown(jsonb) is
'A JSON value as an error message shows it: one line, at most 80 characters.';
