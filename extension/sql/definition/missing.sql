create function quantumflow._may_be_missing(p_definition jsonb)
returns jsonb
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_may_be_missing$
declare
  v_names   text[];
  v_missing boolean[];
  v_places  jsonb;
  v_from    int[];
  v_to      int[];
begin
  -- Most definitions have no such step, and are not looked at any further.
  if not exists (
    select
    from jsonb_array_elements(p_definition -> 'steps') as s(value)
    where s.value ?| array['if', 'on_error']
  ) then
    return '{}';
  end if;

  select
    array_agg(s.value ->> 'name' order by s.number),
    array_agg(
      (s.value ? 'if' and coalesce(s.value ->> 'otherwise', 'skip') = 'skip') or coalesce(s.value ->> 'on_error' = 'continue', false)
      order by s.number),
    jsonb_object_agg(s.value ->> 'name', s.number)
  into v_names, v_missing, v_places
  from jsonb_array_elements(p_definition -> 'steps') with ordinality as s(value, number);

  select array_agg(s.number), array_agg((v_places ->> d.name)::int)
  into v_from, v_to
  from jsonb_array_elements(p_definition -> 'steps') with ordinality as s(value, number)
  cross join jsonb_array_elements_text(s.value -> 'dependencies') as d(name)
  where s.value ->> 'join' is distinct from 'none';

  v_missing := quantumflow._spread(v_missing, v_from, v_to);

  return (
    select coalesce(jsonb_object_agg(v_names[m.place], true) filter (where m.is_missing), '{}')
    from unnest(v_missing) with ordinality as m(is_missing, place));
end
$_may_be_missing$;

comment on function quantumflow._may_be_missing(jsonb) is
'The steps of a canonical definition that a run may go on without, as keys of an object: they can be skipped, since their condition is
false or what they depend on is missing, or fail without ending the run. A join of any is counted as if it needed all: whether all its
branches can be missing at once is for their conditions to say.';

create function quantumflow._spread(p_marked boolean[], p_from int[], p_to int[])
returns boolean[]
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_spread$
declare
  v_marked    boolean[] := p_marked;
  v_edge      int[] := array_fill(0, array[cardinality(p_marked)]);
  v_next_edge int[] := array_fill(0, array[coalesce(cardinality(p_from), 0)]);
  v_todo      int[] := array_fill(0, array[cardinality(p_marked)]);
  v_count     int := 0;
  v_place     int := 0;
  v_i         int;
begin
  for i in 1 .. coalesce(cardinality(p_from), 0) loop
    v_next_edge[i] := v_edge[p_to[i]];
    v_edge[p_to[i]] := i;
  end loop;

  for step in 1 .. cardinality(v_marked) loop
    if v_marked[step] then
      v_count := v_count + 1;
      v_todo[v_count] := step;
    end if;
  end loop;

  while v_place < v_count loop
    v_place := v_place + 1;
    v_i := v_edge[v_todo[v_place]];

    while v_i > 0 loop
      if not v_marked[p_from[v_i]] then
        v_marked[p_from[v_i]] := true;
        v_count := v_count + 1;
        v_todo[v_count] := p_from[v_i];
      end if;

      v_i := v_next_edge[v_i];
    end loop;
  end loop;

  return v_marked;
end
$_spread$;

comment on function quantumflow._spread(boolean[], int[], int[]) is
'Marks of the steps 1, 2, 3 and so on also those that depend on a marked one, however far: p_from[i] depends on p_to[i]. It looks at each
step and each edge once.';
