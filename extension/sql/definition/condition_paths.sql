create function quantumflow._path_tokens(p_path text)
returns text[]
language sql
immutable
return array(
  select m.token[1]
  from regexp_matches(
    p_path,
    '[$.]?"(?:[^"\\]|\\.)*"'
      '|\.\*\*(?:\{[^}]*\})?|\.\*|\[\*\]|\.[a-z_]+\('
      '|\?\(|!\(|exists \('
      '|&&|\|\||[=!<>]=|[<>]|like_regex|starts with|is unknown|flag|last|to|true|false|null'
      '|[0-9]+(?:\.[0-9]+)?|[A-Za-z_]+|\S',
    'g') with ordinality as m(token, number)
  order by m.number);

comment on function quantumflow._path_tokens(text) is
'The words of a jsonpath that PostgreSQL has printed. What opens a bracket is one with it: a method, a filter, "exists".';

create function quantumflow._input_paths(p_tokens text[])
returns setof text
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_input_paths$
declare
  v_token text;
  v_path  text;
  v_depth int := 0;
begin
  foreach v_token in array p_tokens loop
    if v_path is not null and v_depth = 0 and v_token !~ '^[.[?]' then
      return query select v_path;
      v_path := null;
    end if;

    if v_path is not null then
      v_path := v_path || case when v_token ~ E'^([a-z+*/%-]|&&|\\|\\||[=!<>]=?$)' then ' ' || v_token || ' ' else v_token end;
      v_depth := v_depth + (v_token ~ E'[(\\[]$')::int - (v_token in (')', ']'))::int;
    elsif left(v_token, 1) = '$' then
      v_path := v_token;
    end if;
  end loop;

  if v_path is not null then
    return query select v_path;
  end if;
end
$_input_paths$;

comment on function quantumflow._input_paths(text[]) is
'The paths in a condition that begin at its input or at a variable, each with its filters and methods.';

create function quantumflow._found_at(p_path text, p_input jsonb, p_variables jsonb)
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_found_at$
begin
  return (
    select coalesce(
      jsonb_agg(
        case when octet_length(f.value::text) > 200 then to_jsonb(quantumflow._shown(f.value)) else f.value end order by f.number),
      '[]')
    from jsonb_array_elements(jsonb_path_query_array(p_input, p_path::jsonpath, p_variables)) with ordinality f(value, number)
    where f.number <= 10);
exception
  when others then
    if quantumflow._is_of_the_call(sqlstate) then
      raise;
    end if;

    return to_jsonb(sqlerrm);
end
$_found_at$;

comment on function quantumflow._found_at(text, jsonb, jsonb) is
'What a path finds in an input: an array of the first ten values, long ones in short; or a text, which says why it finds none.
Raises what says nothing of the path: errors of class 40, 53 and 57.';

create function quantumflow._saw(p_condition text, p_input jsonb, p_variables jsonb)
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_saw$
declare
  v_path text := p_condition::jsonpath::text;
begin
  return (
    select coalesce(
      jsonb_object_agg(
        regexp_replace(p.path, '([.$])"([A-Za-z_][A-Za-z0-9_]*)"', E'\\1\\2', 'g'),
        quantumflow._found_at(case when v_path like 'strict %' then 'strict ' else '' end || p.path, p_input, p_variables)),
      '{}')
    from quantumflow._input_paths(quantumflow._path_tokens(regexp_replace(v_path, '^strict ', ''))) as p(path));
end
$_saw$;

comment on function quantumflow._saw(text, jsonb, jsonb) is
'What each path of a condition finds in an input, by the path: as _found_at() has it. Arguments as of _holds().';

create function quantumflow._why_unknown(p_condition text, p_input jsonb, p_variables jsonb)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_why_unknown$
declare
  v_bytes bigint := quantumflow._bytes(p_input);
  v_limit bigint := quantumflow._limit('max_condition_bytes');
begin
  if v_bytes > v_limit then
    return format('its input has %s bytes, and conditions look at %s at most', v_bytes, v_limit);
  end if;

  begin
    perform jsonb_path_match(p_input, p_condition::jsonpath, p_variables, silent => false);
  exception
    when singleton_sql_json_item_required then
      null;
    when others then
      if quantumflow._is_of_the_call(sqlstate) then
        raise;
      end if;

      return sqlerrm;
  end;

  -- No error: a path has led to nothing, or to what cannot be compared, or is all there is and neither true nor false.
  return (
    select coalesce(
      string_agg(
        case
          when jsonb_typeof(s.value) = 'string' then format('%s is not there: %s', s.key, s.value #>> '{}')
          when jsonb_array_length(s.value) = 1 then format('%s is %s', s.key, s.value -> 0)
          else format('%s is %s', s.key, left(s.value::text, 200))
        end,
        '; ' order by s.key),
      'it compares values of different types')
    from jsonb_each(quantumflow._saw(p_condition, p_input, p_variables)) as s);
end
$_why_unknown$;

comment on function quantumflow._why_unknown(text, jsonb, jsonb) is
'Why a condition is neither true nor false of an input, in one line, for a person. Arguments as of _holds().
Raises what says nothing of the condition: errors of class 40, 53 and 57.';
