create function quantumflow._limits()
returns table (name text, usual bigint, low bigint, high bigint)
language sql
immutable
begin atomic
  values
    ('max_steps', 10000::bigint, 1::bigint, 1000000::bigint),
    ('max_depth', 1000, 1, 1000000),
    ('max_definition_bytes', 4194304, 1000, 268435455),
    ('max_map_items', 1000000, 1000, 2000000),
    ('max_input_bytes', 67108864, 1000, 268435455),
    ('max_headers_bytes', 8192, 1000, 32768),
    ('max_output_bytes', 67108864, 1000, 268435455),
    ('max_error_bytes', 131072, 1000, 268435455),
    ('max_condition_bytes', 1048576, 65536, 268435455),
    ('max_signals', 10000, 1, 1000000),
    ('max_run_depth', 10, 1, 100),
    ('max_tree_runs', 100000, 1, 100000000),
    ('max_iterations', 100000, 1, 1000000),
    ('max_plans', 100, 1, 10000),
    ('max_plan_steps', 1000, 1, 1000000),
    ('orchestrator.max_depth', 10, 1, 100),
    ('orchestrator.timeout_ms', 60000, 1, 86400000),
    ('max_progress_bytes', 4096, 0, 65536),
    ('notify', 1, 0, 1);
end;

comment on function quantumflow._limits() is
'The limits that can be configured: what each is when nobody configured it, and between what it may be.';

create function quantumflow._limit(p_setting text)
returns bigint
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_limit$
begin
  return coalesce(
    (select s.value::bigint from quantumflow.settings s where s.name = p_setting),
    (select l.usual from quantumflow._limits() l where l.name = p_setting));
end
$_limit$;

comment on function quantumflow._limit(text) is
'A limit in force: as configured, else as usual.';

-- Without a path of its own, so that it is inlined where it is called. The path to the whole value unpacks what a table had compressed.
create function quantumflow._bytes(p_value jsonb)
returns bigint
language sql
stable
return pg_column_size(p_value #> '{}')::bigint;

comment on function quantumflow._bytes(jsonb) is
'The size of a JSON value, in the bytes that PostgreSQL keeps it in before it compresses them: about those of its text.';

create function quantumflow._is_oversized(p_sqlstate text, p_bytes bigint)
returns boolean
language sql
immutable
return p_sqlstate like '54%' or p_bytes > 268435455;

comment on function quantumflow._is_oversized(text, bigint) is
'Whether a value that PostgreSQL could not put together is too large, or too deep, for one jsonb value: by its error (class 54), or, as a
lack of memory shows in the same way, by the size of its parts against what a jsonb value can hold (JENTRY_OFFLENMASK in jsonb.h).';

create function quantumflow._cut(p_text text)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_cut$
begin
  -- No limit can be lower.
  if p_text is null or octet_length(p_text) <= 1000 then
    return p_text;
  end if;

  return quantumflow._cut_to(p_text, quantumflow._limit('max_error_bytes'));
end
$_cut$;

comment on function quantumflow._cut(text) is
'An error text as it is kept: cut to max_error_bytes, and then it says so.';

create function quantumflow._cut_to(p_text text, p_bytes bigint)
returns text
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_cut_to$
declare
  v_note text := format('... (cut: it had %s bytes)', octet_length(p_text));
  v_text text := p_text;
begin
  if p_text is null or octet_length(p_text) <= p_bytes then
    return p_text;
  end if;

  while v_text <> '' and octet_length(v_text) > p_bytes - octet_length(v_note) loop
    -- A character has at most four bytes.
    v_text := left(v_text, -greatest(1, (octet_length(v_text) - p_bytes + octet_length(v_note)) / 4)::int);
  end loop;

  return v_text || v_note;
end
$_cut_to$;

comment on function quantumflow._cut_to(text, bigint) is 'A text, cut to so many bytes, and then it says so.';
