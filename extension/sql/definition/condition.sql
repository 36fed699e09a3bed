create function quantumflow._with_mode(p_if text)
returns text
language sql
immutable
return case when p_if ~* '^\s*(strict|lax)\y' then p_if else 'strict ' || p_if end;

comment on function quantumflow._with_mode(text) is
'An "if" in its one form as it is asked: strict, unless its author chose.';

create function quantumflow._holds(p_condition text, p_input jsonb, p_variables jsonb)
returns boolean
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_holds$
begin
  -- No limit can be lower than this, and to look it up takes longer than most conditions.
  if pg_column_size(p_input #> '{}') > 65536 and quantumflow._bytes(p_input) > quantumflow._limit('max_condition_bytes') then
    return null;
  end if;

  return jsonb_path_match(p_input, p_condition::jsonpath, p_variables, silent => true);
exception
  when others then
    -- A deadlock, a lack of memory or a shutdown says nothing of the condition.
    if quantumflow._is_of_the_call(sqlstate) then
      raise;
    end if;

    return null;
end
$_holds$;

comment on function quantumflow._holds(text, jsonb, jsonb) is
'Whether a condition is true or false of an input; null when it is neither, which _why_unknown() explains. The only place where a
condition is asked.

p_condition: as workflow_steps has it, with its mode. p_variables: {"status": {"<dependency>": "completed", "skipped" or "failed"}}.
Raises what says nothing of the condition: errors of class 40, 53 and 57.';

-- Without a path of its own, so that it is inlined where it is called.
create function quantumflow._names(p_condition text, p_key text)
returns boolean
language sql
immutable
return strpos(p_condition, p_key) > 0 or strpos(p_condition, '\') > 0;

comment on function quantumflow._names(text, text) is
'Whether a condition may look at this key of its input: its text has it, or an escape, in which it may be hidden.';
