-- Without a path of its own, so that it is inlined where it is called.
create function quantumflow._start_flaw(p_priority int, p_start_at timestamptz, p_headers jsonb)
returns text
language sql
immutable
return case
  when p_priority is null or p_priority < 0 then 'priority'
  when not isfinite(p_start_at) or p_start_at >= '9999-01-01 00:00:00+00' then 'start_at'
  when jsonb_typeof(p_headers) <> 'object' then 'headers'
end;

comment on function quantumflow._start_flaw(int, timestamptz, jsonb) is
'Which of these arguments no run can start with; null: it can.';

create function quantumflow._refuse_bad_start(p_flaw text, p_priority int, p_start_at timestamptz, p_headers jsonb)
returns void
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_refuse_bad_start$
begin
  case p_flaw
    when 'priority' then
      raise exception 'priority must not be negative'
      using
        errcode = 'QF205',
        detail = format('The priority is %s.', coalesce(p_priority::text, 'null')),
        hint = 'Leave it out for 0; a higher number overtakes by as many seconds.';
    when 'start_at' then
      raise exception 'start_at must be a moment before the year 9999'
      using
        errcode = 'QF210',
        detail = format('It is %s.', p_start_at),
        hint = 'Leave it out to start at once.';
    else
      raise exception 'headers must be a JSON object'
      using
        errcode = 'QF208',
        detail = format('It is JSON of type %s.', jsonb_typeof(p_headers)),
        hint = 'For example {"traceparent": "00-..."}.';
  end case;
end
$_refuse_bad_start$;

comment on function quantumflow._refuse_bad_start(text, int, timestamptz, jsonb) is
'Refuses arguments with which no run can start; p_flaw: what _start_flaw says.

Errors: QF205 negative priority; QF208 headers is no object; QF210 start_at is not a moment before the year 9999.';

-- Without a path of its own, so that it is inlined where it is called.
create function quantumflow._are_small(p_inputs jsonb[], p_headers jsonb)
returns boolean
language sql
stable
return p_headers is null and pg_column_size(p_inputs) <= 1000;

comment on function quantumflow._are_small(jsonb[], jsonb) is
'Whether inputs and headers exceed no limit, whichever is set: none can be lower than 1000.';

create function quantumflow._refuse_large_inputs(p_inputs jsonb[], p_headers jsonb, p_are_mapped boolean)
returns void
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_refuse_large_inputs$
declare
  v_max_bytes bigint;
  v_max_items bigint;
  v_fact      text;
begin
  if quantumflow._are_small(p_inputs, p_headers) then
    return;
  end if;

  v_max_bytes := quantumflow._limit('max_input_bytes');
  v_max_items := case when p_are_mapped then quantumflow._limit('max_map_items') end;

  if p_headers is not null and quantumflow._bytes(p_headers) > quantumflow._limit('max_headers_bytes') then
    v_fact := format(
      'headers have %s bytes, and %s are allowed', quantumflow._bytes(p_headers), quantumflow._limit('max_headers_bytes'));

  -- One by one only where there are enough bytes for one to exceed a limit; an item has four at least.
  elsif pg_column_size(p_inputs) > least(v_max_bytes, 4 * v_max_items) then
    select
      case
        when quantumflow._bytes(i.input) > v_max_bytes
        then format('input %s has %s bytes, and %s are allowed', i.n, quantumflow._bytes(i.input), v_max_bytes)
        else format('input %s has %s items, and a map may have %s', i.n, jsonb_array_length(i.input), v_max_items)
      end
    into v_fact
    from unnest(p_inputs) with ordinality i (input, n)
    where quantumflow._bytes(i.input) > v_max_bytes
      or (p_are_mapped and jsonb_array_length(i.input) > v_max_items)
    order by i.n
    limit 1;
  end if;

  if v_fact is not null then
    raise exception '%', v_fact
    using
      errcode = 'QF217',
      detail = 'Nothing was started.',
      hint = 'Pass a reference to what is large; quantumflow.configure() sets max_input_bytes, max_headers_bytes and max_map_items.';
  end if;
end
$_refuse_large_inputs$;

comment on function quantumflow._refuse_large_inputs(jsonb[], jsonb, boolean) is
'Refuses inputs over max_input_bytes, headers over max_headers_bytes, and inputs that a map would make more than max_map_items tasks of.

Errors: QF217 when one is too large.';

create function quantumflow._refuse_non_arrays(p_workflow_slug text, p_inputs jsonb[])
returns void
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_refuse_non_arrays$
declare
  v_bad record;
begin
  select jsonb_typeof(i.input) as type, i.n
  into v_bad
  from unnest(p_inputs) with ordinality i (input, n)
  where jsonb_typeof(i.input) <> 'array'
  order by i.n
  limit 1;

  if found then
    raise exception 'workflow "%" maps over its input, which must be an array', p_workflow_slug
    using
      errcode = 'QF204',
      detail = format('Input %s is JSON of type %s.', v_bad.n, v_bad.type),
      hint = 'Pass an array: one task is made per element.';
  end if;
end
$_refuse_non_arrays$;

comment on function quantumflow._refuse_non_arrays(text, jsonb[]) is
'Refuses inputs that a map step could not map over.

Errors: QF204 when one is no array.';
