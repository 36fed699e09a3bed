-- What is wrong with an output, in the words of an error message.

create function quantumflow._violation(p_output jsonb, p_items jsonb)
returns text
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_violation$
begin
  return format(
    'the output must be %s, but is %s (QF305)',
    case
      when p_items is null then 'an array, because a map maps over it'
      else format('an array of %s, one for each item of the chunk', jsonb_array_length(p_items))
    end,
    case
      when jsonb_typeof(p_output) = 'array' then format('one of %s', jsonb_array_length(p_output))
      else 'JSON of type ' || coalesce(jsonb_typeof(p_output), 'null')
    end);
end
$_violation$;

comment on function quantumflow._violation(jsonb, jsonb) is
'The error message of a type violation; p_items is the chunk of a map task, null for a single step.';

create function quantumflow._excess(p_output jsonb, p_is_mapped boolean)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_excess$
declare
  v_bytes bigint := quantumflow._bytes(p_output);
  v_items int := case when p_is_mapped and jsonb_typeof(p_output) = 'array' then jsonb_array_length(p_output) end;
begin
  return case
    when v_bytes > quantumflow._limit('max_output_bytes')
    then format('the output has %s bytes, and %s are allowed (QF309)', v_bytes, quantumflow._limit('max_output_bytes'))
    when v_items > quantumflow._limit('max_map_items')
    then format('the output has %s items, and a map may have %s (QF309)', v_items, quantumflow._limit('max_map_items'))
  end;
end
$_excess$;

comment on function quantumflow._excess(jsonb, boolean) is
'The error message of an output that exceeds a limit; null when it exceeds none. p_is_mapped: a map maps over it.';
