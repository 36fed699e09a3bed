-- What a child is given, and what its output becomes: JSON in which a text that begins with a dollar is a jsonpath, and stands for the one
-- value that it finds; two dollars begin a text with a dollar.

create type quantumflow._filled as (
  value jsonb,
  error text
);

comment on type quantumflow._filled is 'What a template comes to, or why it comes to nothing.';

create function quantumflow._template_problems(p_template jsonb, p_dependencies text[], p_after text[])
returns setof text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_template_problems$
begin
  return query
  with path as (
    select distinct t.value #>> '{}' as path
    from jsonb_path_query(p_template, 'strict $.** ? (@.type() == "string" && @ starts with "$")') t (value)
  )
  select format('has %s, and a path may have 2000 characters', quantumflow._shown(to_jsonb(p.path)))
  from path p
  where length(p.path) > 2000
    and not starts_with(p.path, '$$')
  union all
  select format('has %s, which %s', quantumflow._shown(to_jsonb(p.path)), c.problem)
  from path p
  cross join lateral quantumflow._condition_problems(p.path, p_dependencies, p_after, p_gives_value => true) c (problem)
  where length(p.path) <= 2000
    and not starts_with(p.path, '$$')
    and p.path <> '$';
end
$_template_problems$;

comment on function quantumflow._template_problems(jsonb, text[], text[]) is
'What is wrong with the paths of a template, in words that follow its name. p_dependencies, p_after: as _condition_problems has them; without
dependencies what it is filled from is not known yet, and may have any keys.';

create function quantumflow._fill(p_template jsonb, p_from jsonb, p_variables jsonb default '{}')
returns quantumflow._filled
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_fill$
begin
  if p_template is null then
    return row(p_from, null)::quantumflow._filled;
  end if;

  return row(quantumflow._filled_in(p_template, p_from, p_variables), null)::quantumflow._filled;
exception
  when others then
    -- A deadlock, a lack of memory or a shutdown says nothing of the template.
    if quantumflow._is_of_the_call(sqlstate) then
      raise;
    end if;

    return row(null, sqlerrm)::quantumflow._filled;
end
$_fill$;

comment on function quantumflow._fill(jsonb, jsonb, jsonb) is
'A template filled from a value, which null stands for, or why it cannot be.

Raises what says nothing of the template: errors of class 40, 53 and 57.';

create function quantumflow._filled_in(p_template jsonb, p_from jsonb, p_variables jsonb)
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_filled_in$
declare
  v_text  text := p_template #>> '{}';
  v_found jsonb;
begin
  case jsonb_typeof(p_template)
    when 'object' then
      return (
        select coalesce(jsonb_object_agg(e.key, quantumflow._filled_in(e.value, p_from, p_variables)), '{}')
        from jsonb_each(p_template) e);
    when 'array' then
      return (
        select coalesce(jsonb_agg(quantumflow._filled_in(e.value, p_from, p_variables) order by e.n), '[]')
        from jsonb_array_elements(p_template) with ordinality e (value, n));
    when 'string' then
      if not starts_with(v_text, '$') then
        return p_template;
      elsif starts_with(v_text, '$$') then
        return to_jsonb(substr(v_text, 2));
      elsif v_text = '$' then
        return p_from;
      end if;
    else
      return p_template;
  end case;

  -- What goes from key to key looks at nothing else, however large.
  if v_text !~ E'^\\$(\\.(\\w+|"[^"\\\\]*")|\\[[0-9]+\\])*$'
    and pg_column_size(p_from #> '{}') > 65536
    and quantumflow._bytes(p_from) > quantumflow._limit('max_condition_bytes')
  then
    raise exception '% would look at % bytes, and max_condition_bytes allows %',
      v_text, quantumflow._bytes(p_from), quantumflow._limit('max_condition_bytes')
    using errcode = 'program_limit_exceeded';
  end if;

  v_found := jsonb_path_query_array(p_from, quantumflow._with_mode(v_text)::jsonpath, p_variables, silent => true);

  if jsonb_array_length(v_found) <> 1 then
    raise exception '% finds %, where it is to find one value', v_text,
      case jsonb_array_length(v_found) when 0 then 'nothing' else jsonb_array_length(v_found) || ' values' end
    using errcode = 'no_data_found';
  end if;

  return v_found -> 0;
end
$_filled_in$;

comment on function quantumflow._filled_in(jsonb, jsonb, jsonb) is
'A template filled from a value.

Errors: P0002 a path does not find one value; 54000 it would look at too much.';
