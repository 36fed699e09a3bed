-- JSON Schema, as far as it says what args are: what is not here is refused when it is given.

create function quantumflow._schema_words()
returns table (word text, json_types text[])
language sql
immutable
begin atomic
  values
    ('type', '{string,array}'::text[]),
    ('enum', '{array}'),
    ('const', null),
    ('properties', '{object}'),
    ('required', '{array}'),
    ('additionalProperties', '{boolean,object}'),
    ('items', '{object}'),
    ('minItems', '{number}'),
    ('maxItems', '{number}'),
    ('minLength', '{number}'),
    ('maxLength', '{number}'),
    ('minimum', '{number}'),
    ('maximum', '{number}'),
    ('title', '{string}'),
    ('description', '{string}'),
    ('default', null),
    ('examples', '{array}');
end;

comment on function quantumflow._schema_words() is
'The words of JSON Schema that args_schema may have, and the types of JSON that each may be; null: any. The last four only tell something.';

create function quantumflow._schema_flaw(p_schema jsonb, p_depth int default 1)
returns text
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_schema_flaw$
declare
  v_flaw  text;
  v_below jsonb;
begin
  if jsonb_typeof(p_schema) <> 'object' then
    return 'a schema is an object, not ' || quantumflow._shown(p_schema);
  elsif p_depth > 20 then
    return 'it is nested deeper than 20 times';
  end if;

  select case when w.word is null then 'it has ' || quantumflow._shown(to_jsonb(e.key)) || ', which is not known here'
    else format('%s is %s', e.key, quantumflow._shown(e.value)) end
  into v_flaw
  from jsonb_each(p_schema) e
  left join quantumflow._schema_words() w
    on w.word = e.key
  where w.word is null
    or jsonb_typeof(e.value) <> all (w.json_types)
  order by e.key
  limit 1;

  if v_flaw is not null then
    return v_flaw;
  end if;

  select 'a type is one of object, array, string, number, integer, boolean, null, not ' || quantumflow._shown(t.value)
  into v_flaw
  from jsonb_array_elements(case when jsonb_typeof(p_schema -> 'type') = 'array' then p_schema -> 'type' else jsonb_build_array(p_schema -> 'type') end) t
  where t.value not in ('"object"', '"array"', '"string"', '"number"', '"integer"', '"boolean"', '"null"')
    and p_schema ? 'type';

  for v_below in
    select p.value from jsonb_each(coalesce(p_schema -> 'properties', '{}')) p
    union all
    select p_schema -> 'items' where p_schema ? 'items'
    union all
    select p_schema -> 'additionalProperties' where jsonb_typeof(p_schema -> 'additionalProperties') = 'object'
  loop
    exit when v_flaw is not null;
    v_flaw := quantumflow._schema_flaw(v_below, p_depth + 1);
  end loop;

  return v_flaw;
end
$_schema_flaw$;

comment on function quantumflow._schema_flaw(jsonb, int) is 'Why a JSON Schema cannot be used here; null when it can.';

create function quantumflow._has_type(p_value jsonb, p_type text)
returns boolean
language sql
immutable
return case p_type
  when 'integer' then jsonb_typeof(p_value) = 'number' and p_value::numeric = trunc(p_value::numeric)
  else jsonb_typeof(p_value) = p_type
end;

comment on function quantumflow._has_type(jsonb, text) is 'Whether a value is of a type of JSON Schema.';

create function quantumflow._schema_problems(p_value jsonb, p_schema jsonb, p_path text default '')
returns table (path text, message text)
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_schema_problems$
declare
  v_types text[] := case jsonb_typeof(p_schema -> 'type')
    when 'array' then quantumflow._texts(p_schema -> 'type')
    when 'string' then array[p_schema ->> 'type']
  end;
  v_size  int := case jsonb_typeof(p_value) when 'array' then jsonb_array_length(p_value) when 'string' then length(p_value #>> '{}') end;
  v_kind  text := case jsonb_typeof(p_value) when 'array' then 'Items' when 'string' then 'Length' end;
  v_below record;
begin
  return query
  select p_path, format('it must be %s, not %s', array_to_string(v_types, ' or '), quantumflow._shown(p_value))
  where not exists (select from unnest(v_types) t (type) where quantumflow._has_type(p_value, t.type))
    and v_types is not null
  union all
  select p_path, format('it is %s, and not one of %s', quantumflow._shown(p_value), left((p_schema -> 'enum')::text, 200))
  where not exists (select from jsonb_array_elements(p_schema -> 'enum') e (value) where e.value = p_value)
    and p_schema ? 'enum'
  union all
  select p_path, format('it is %s, and must be %s', quantumflow._shown(p_value), quantumflow._shown(p_schema -> 'const'))
  where p_schema -> 'const' <> p_value
  union all
  select p_path, format('it has a size of %s, and at %s %s is allowed', v_size, w.words, p_schema ->> (w.word || v_kind))
  from (values ('min', 'least'), ('max', 'most')) as w(word, words)
  where case w.word when 'min' then v_size < (p_schema ->> (w.word || v_kind))::numeric else v_size > (p_schema ->> (w.word || v_kind))::numeric end
  union all
  select p_path, format('it is %s, and %s %s is allowed', p_value, w.words, p_schema ->> w.word)
  from (values ('minimum', 'no less than'), ('maximum', 'no more than')) as w(word, words)
  where jsonb_typeof(p_value) = 'number'
    and case w.word when 'minimum' then p_value::numeric < (p_schema ->> w.word)::numeric else p_value::numeric > (p_schema ->> w.word)::numeric end
  union all
  select p_path, format('%s is missing', quantumflow._shown(r.value))
  from jsonb_array_elements(quantumflow._array(p_schema -> 'required')) as r(value)
  where jsonb_typeof(p_value) = 'object'
    and not p_value ? (r.value #>> '{}')
  union all
  select p_path, format('it has %s, which is not known', quantumflow._shown(to_jsonb(k.key)))
  from jsonb_object_keys(case when jsonb_typeof(p_value) = 'object' then p_value else '{}' end) as k(key)
  where p_schema -> 'additionalProperties' = 'false'
    and not coalesce(p_schema -> 'properties', '{}') ? k.key;

  for v_below in
    select case when e.key ~ E'^\\w{1,80}$' then '.' || e.key else format('[%s]', to_jsonb(left(e.key, 80))) end as place, e.value, s.schema
    from jsonb_each(case when jsonb_typeof(p_value) = 'object' then p_value else '{}' end) e
    cross join lateral (
      select coalesce(p_schema -> 'properties' -> e.key, p_schema -> 'additionalProperties') as schema
    ) s
    where jsonb_typeof(s.schema) = 'object'
    union all
    select format('[%s]', i.number - 1), i.value, p_schema -> 'items'
    from jsonb_array_elements(quantumflow._array(p_value)) with ordinality as i(value, number)
    where p_schema ? 'items'
  loop
    return query
    select s.*
    from quantumflow._schema_problems(v_below.value, v_below.schema, p_path || v_below.place) s;
  end loop;
end
$_schema_problems$;

comment on function quantumflow._schema_problems(jsonb, jsonb, text) is
'What of a value is not as a JSON Schema of the words of _schema_words() has it, and where, from p_path on.';
