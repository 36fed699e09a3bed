create function quantumflow._find_cycle(p_steps text[], p_depends_on text[])
returns text[]
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_find_cycle$
begin
  return (quantumflow._examine_graph(p_steps, p_depends_on)).cycle;
end
$_find_cycle$;

comment on function quantumflow._find_cycle(text[], text[]) is
'One cycle among dependencies, as _examine_graph tells.';

create function quantumflow._examine_graph(
  p_steps           text[],
  p_depends_on      text[],
  out cycle         text[],
  out longest_chain int)
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_examine_graph$
declare
  v_names text[];
  v_from  int[];
  v_to    int[];
  v_order record;
  v_walk  int[];
begin
  select
    array_agg(distinct n.name collate "C" order by n.name collate "C"),
    array_agg(n.number order by n.place) filter (where n.place <= cardinality(p_steps)),
    array_agg(n.number order by n.place) filter (where n.place > cardinality(p_steps))
  into v_names, v_from, v_to
  from (
    select e.name, e.place, dense_rank() over (order by e.name collate "C")::int as number
    from unnest(p_steps || p_depends_on) with ordinality e (name, place)
  ) n;

  if v_names is null then
    return;
  end if;

  v_order := quantumflow._in_order(cardinality(v_names), v_from, v_to);

  -- From a step to the last of those that it waits for, and on from there. A walk of more steps than there are has met one twice.
  with recursive walk (step, depth) as (
    select v_order.start, 1
    union
    select v_order.waits_last[w.step], w.depth + 1
    from walk w
    where v_order.waits_last[w.step] > 0
      and w.depth <= cardinality(v_names)
  )
  select array_agg(w.step order by w.depth)
  into v_walk
  from walk w;

  if cardinality(v_walk) <= cardinality(v_names) then
    longest_chain := cardinality(v_walk);
  else
    cycle := array(
      select v_names[c.step]
      from unnest(quantumflow._first_round(v_walk)) with ordinality c (step, place)
      order by c.place);
  end if;
end
$_examine_graph$;

comment on function quantumflow._examine_graph(text[], text[]) is
'One cycle among dependencies, as the steps along it, the first again at the end; or, when there is none, how many steps the longest
chain of dependencies has. Nulls where there are no dependencies.

Edge i says that p_steps[i] depends on p_depends_on[i], and each step on the returned cycle depends on the next.';

create function quantumflow._in_order(
  p_steps        int,
  p_from         int[],
  p_to           int[],
  out start      int,
  out waits_last int[])
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_in_order$
declare
  v_waits_for int[] := array_fill(0, array[p_steps]);
  v_edge      int[] := array_fill(0, array[p_steps]);
  v_next_edge int[] := array_fill(0, array[cardinality(p_from)]);
  v_done      int[] := array_fill(0, array[p_steps]);
  v_count     int := 0;
  v_place     int := 0;
  v_i         int;
  v_step      int;
begin
  waits_last := array_fill(0, array[p_steps]);

  -- Loops over elements, and no slices: PostgreSQL copies the whole array for each slice.
  for i in 1 .. cardinality(p_from) loop
    v_waits_for[p_from[i]] := v_waits_for[p_from[i]] + 1;
    v_next_edge[i] := v_edge[p_to[i]];
    v_edge[p_to[i]] := i;
  end loop;

  for step in 1 .. p_steps loop
    if v_waits_for[step] = 0 then
      v_count := v_count + 1;
      v_done[v_count] := step;
    end if;
  end loop;

  -- First those that wait for nothing, then those that waited for these alone, and so on.
  while v_place < v_count loop
    v_place := v_place + 1;
    v_i := v_edge[v_done[v_place]];

    while v_i > 0 loop
      v_step := p_from[v_i];
      v_waits_for[v_step] := v_waits_for[v_step] - 1;

      if v_waits_for[v_step] = 0 then
        v_count := v_count + 1;
        v_done[v_count] := v_step;
        waits_last[v_step] := v_done[v_place];
      end if;

      v_i := v_next_edge[v_i];
    end loop;
  end loop;

  if v_count = p_steps then
    start := v_done[v_count];
    return;
  end if;

  -- Each step that is left over waits for one that is: of these the first.
  for i in 1 .. cardinality(p_from) loop
    v_step := p_from[i];

    if v_waits_for[v_step] > 0 and v_waits_for[p_to[i]] > 0 then
      waits_last[v_step] := least(nullif(waits_last[v_step], 0), p_to[i]);
      start := least(start, v_step);
    end if;
  end loop;
end
$_in_order$;

comment on function quantumflow._in_order(int, int[], int[]) is
'Takes the steps 1 to p_steps, of which p_from[i] depends on p_to[i], in an order in which each comes after what it depends on, as far as
there is one. It looks at each step and each edge a few times.

waits_last: for which step each waits last, the one with the longest chain before it; of a step that has no place in the order the first
that has none either; 0 if it waits for nothing. start: the last step in the order, or the first that has no place in it. Who goes from
there along waits_last goes along the longest chain, or around a cycle.';

create function quantumflow._first_round(p_walk int[])
returns int[]
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_first_round$
declare
  v_places bigint[];
begin
  select array_agg(w.place order by w.place)
  into v_places
  from unnest(p_walk) with ordinality w (step, place)
  group by w.step
  having count(*) > 1
  order by min(w.place)
  limit 1;

  return p_walk[v_places[1] : v_places[2]];
end
$_first_round$;

comment on function quantumflow._first_round(int[]) is
'Of a walk that goes around a cycle, its first way around: from the first step that comes again to where it does.';

create function quantumflow._refuse_cycle()
returns trigger
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_refuse_cycle$
declare
  v_version record;
  v_cycle   text[];
begin
  for v_version in
    select distinct n.workflow_slug, n.version
    from new_edges n
  loop
    select quantumflow._find_cycle(array_agg(e.step_slug), array_agg(e.depends_on_step))
    into v_cycle
    from quantumflow.workflow_step_edges e
    where e.workflow_slug = v_version.workflow_slug
      and e.version = v_version.version;

    if v_cycle is not null then
      raise exception 'steps depend on each other in a cycle: %', array_to_string(v_cycle, ' -> ')
      using
        errcode = 'QF107',
        detail = format('The cycle is in workflow "%s", version %s.', v_version.workflow_slug, v_version.version),
        hint = 'Each step in the cycle depends on the next one: remove one of these dependencies.';
    end if;
  end loop;

  return null;
end
$_refuse_cycle$;

comment on function quantumflow._refuse_cycle() is
'Trigger function: refuses a statement that leaves a cycle in workflow_step_edges. It only looks, at that table alone.

Errors: QF107 when dependencies form a cycle.';

create trigger insert_makes_no_cycle
after insert on quantumflow.workflow_step_edges
referencing new table as new_edges
for each statement
execute function quantumflow._refuse_cycle();

comment on trigger insert_makes_no_cycle on quantumflow.workflow_step_edges is
'An INSERT that closes a cycle is refused, whoever makes it.';

create trigger update_makes_no_cycle
after update on quantumflow.workflow_step_edges
referencing new table as new_edges
for each statement
execute function quantumflow._refuse_cycle();

comment on trigger update_makes_no_cycle on quantumflow.workflow_step_edges is
'An UPDATE that closes a cycle is refused, whoever makes it.';
