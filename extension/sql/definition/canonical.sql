create function quantumflow._canonical_objects(p_objects jsonb, p_place text)
returns table (number bigint, object jsonb)
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_canonical_objects$
begin
  return query
  select o.number, jsonb_object_agg(coalesce(k.same_as, e.key), c.value)
  from jsonb_array_elements(p_objects) with ordinality as o(value, number)
  cross join jsonb_each(o.value) as e
  join quantumflow._keys() as k
    on k.key = e.key
    and k.place in (p_place, 'both')
  cross join lateral (
    select case
      when k.key in ('if', 'at', 'until', 'while') then to_jsonb(quantumflow._tidy_condition(e.value #>> '{}'))
      when k.key = 'limit' then quantumflow._tidy_limit(e.value)
      when k.key = 'one_at_a_time' then quantumflow._tidy_turns(e.value)
      when k.json_types is null then e.value
      when jsonb_typeof(e.value) = 'number' then to_jsonb(trim_scale(round(e.value::numeric, 6)))
      when jsonb_typeof(e.value) = 'array' then quantumflow._without_repetitions(e.value)
      else e.value
    end
  ) as c(value)
  where c.value is distinct from k.nothing
  group by o.number;
end
$_canonical_objects$;

comment on function quantumflow._canonical_objects(jsonb, text) is
'The keys and values of an array of valid flows or steps, as p_place says, in their one form, without a flow''s steps, and each one''s
place in the array.

Keys have their first names. Numbers lose their trailing zeros and what is below a microsecond, dependencies their repetitions,
a condition the blanks around it; what means nothing is absent.';

create function quantumflow._tidy_condition(p_if text)
returns text
language sql
immutable
return regexp_replace(regexp_replace(p_if, '^\s*(strict\y\s*)?', '', 'i'), '\s+$', '');

comment on function quantumflow._tidy_condition(text) is
'A condition in its one form: as its author wrote it, without blanks around it, and without the mode that it has anyway.';

create function quantumflow._tidy_limit(p_limit jsonb)
returns jsonb
language sql
immutable
return case
  when p_limit ? 'key' then jsonb_build_object('name', p_limit -> 'name', 'key', quantumflow._tidy_condition(p_limit ->> 'key'))
  else coalesce(p_limit -> 'name', p_limit)
end;

comment on function quantumflow._tidy_limit(jsonb) is
'A limit in its one form: its name, or, where it has a key, both.';

create function quantumflow._tidy_turns(p_turns jsonb)
returns jsonb
language sql
immutable
return jsonb_strip_nulls(jsonb_build_object(
  'key', quantumflow._tidy_condition(p_turns ->> 'key'), 'when_busy', coalesce(p_turns ->> 'when_busy', 'queue')));

comment on function quantumflow._tidy_turns(jsonb) is
'What a flow says of runs that go on one at a time, in its one form: with what happens when one goes on.';

create function quantumflow._without_repetitions(p_array jsonb)
returns jsonb
language sql
immutable
return (
  select coalesce(jsonb_agg(d.name order by d.first), '[]')
  from (
    select i.name, min(i.number) as first
    from jsonb_array_elements(p_array) with ordinality as i(name, number)
    group by i.name
  ) as d);

comment on function quantumflow._without_repetitions(jsonb) is
'The elements of an array, each where it stands first.';

create function quantumflow._canonical_definition(p_definition jsonb)
returns jsonb
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_canonical_definition$
declare
  v_steps jsonb;
begin
  select
    jsonb_agg(
      c.step
        || jsonb_build_object('type', coalesce(nullif(c.step ->> 'type', 'task'), 'single'))
        || case
          when c.step ->> 'type' = 'map' and c.step ? 'dependencies'
            then jsonb_build_object('map_over', coalesce(c.step -> 'map_over', c.step #> '{dependencies,0}'))
          else '{}'
        end
      order by c.number
    )
  into v_steps
  from quantumflow._canonical_objects(p_definition -> 'steps', 'step') as c(number, step);

  return (select f.object from quantumflow._canonical_objects(jsonb_build_array(p_definition - 'steps'), 'flow') as f)
    || jsonb_build_object('version', '1.0', 'steps', coalesce(v_steps, '[]'));
end
$_canonical_definition$;

comment on function quantumflow._canonical_definition(jsonb) is
'The one form of a valid definition: what is stored and what get_flow returns.

Keys have their first names (name, dependencies), each step says its type,
each map says what it maps over unless that is the run''s input. Settings that were not given stay absent.';

create function quantumflow._content_hash(p_definition jsonb)
returns text
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_content_hash$
declare
  v_steps jsonb;
begin
  select
    jsonb_agg(
      s.value || coalesce(
        (
          select jsonb_object_agg(
            k.key, (select jsonb_agg(d.name order by d.name collate "C") from jsonb_array_elements_text(s.value -> k.key) as d(name)))
          from unnest(array['dependencies', 'after', 'prefer_after']) as k(key)
          where s.value ? k.key
        ),
        '{}')
      order by s.value ->> 'name' collate "C"
    )
  into v_steps
  from jsonb_array_elements(p_definition -> 'steps') as s(value);

  return encode(
    sha256(convert_to((p_definition || jsonb_build_object('steps', coalesce(v_steps, '[]')))::text, 'UTF8')),
    'hex'
  );
end
$_content_hash$;

comment on function quantumflow._content_hash(jsonb) is
'SHA-256, in hex, of a canonical definition with its steps, and what each of them waits for, in order of name.';
