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
  v_walk  record;
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

  v_walk := quantumflow._do_in_order(cardinality(v_names), v_from, v_to);
  longest_chain := v_walk.longest_chain;

  if longest_chain is null then
    cycle := array(
      select v_names[c.step]
      from unnest(quantumflow._follow_back(v_from, v_to, v_walk.left_over)) with ordinality c (step, place)
      order by c.place);
  end if;
end
$_examine_graph$;

comment on function quantumflow._examine_graph(text[], text[]) is
'One cycle among dependencies, as the steps along it, the first again at the end; or, when there is none, how many steps the longest
chain of dependencies has. Nulls where there are no dependencies.

Edge i says that p_steps[i] depends on p_depends_on[i], and each step on the returned cycle depends on the next.';

create function quantumflow._do_in_order(
  p_steps           int,
  p_from            int[],
  p_to              int[],
  out longest_chain int,
  out left_over     int[])
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_do_in_order$
declare
  v_waits_for int[] := array_fill(0, array[p_steps]);
  v_edge      int[] := array_fill(0, array[p_steps]);
  v_next_edge int[] := array_fill(0, array[cardinality(p_from)]);
  v_done      int[] := array_fill(0, array[p_steps]);
  v_chain     int[] := array_fill(1, array[p_steps]);
  v_count     int := 0;
  v_place     int := 0;
  v_i         int;
  v_step      int;
begin
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

  -- First those that wait for nothing, then those that waited for these alone, and so on: the last that a step has waited for ends the
  -- longest chain before it.
  while v_place < v_count loop
    v_place := v_place + 1;
    v_i := v_edge[v_done[v_place]];

    while v_i > 0 loop
      v_step := p_from[v_i];
      v_waits_for[v_step] := v_waits_for[v_step] - 1;

      if v_waits_for[v_step] = 0 then
        v_count := v_count + 1;
        v_done[v_count] := v_step;
        v_chain[v_step] := v_chain[v_done[v_place]] + 1;
      end if;

      v_i := v_next_edge[v_i];
    end loop;
  end loop;

  if v_count = p_steps then
    longest_chain := v_chain[v_done[v_count]];
  else
    left_over := v_waits_for;
  end if;
end
$_do_in_order$;

comment on function quantumflow._do_in_order(int, int[], int[]) is
'Goes through the steps 1 to p_steps, of which p_from[i] depends on p_to[i], in an order in which each comes after what it depends on. It
looks at each step and each edge twice.

longest_chain: how many steps the longest chain has, if there is such an order. left_over: else, for how many others that cannot be done
either each step waits; 0 for one that can.';

create function quantumflow._follow_back(p_from int[], p_to int[], p_left_over int[])
returns int[]
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_follow_back$
declare
  v_first int[] := array_fill(0, array[cardinality(p_left_over)]);
  v_place int[] := array_fill(0, array[cardinality(p_left_over)]);
  v_path  int[] := '{}';
  v_step  int := 1;
begin
  -- Each step that is left over depends on one that is: of these the first.
  for i in 1 .. cardinality(p_from) loop
    if p_left_over[p_from[i]] > 0 and p_left_over[p_to[i]] > 0
      and (v_first[p_from[i]] = 0 or p_to[i] < v_first[p_from[i]])
    then
      v_first[p_from[i]] := p_to[i];
    end if;
  end loop;

  while p_left_over[v_step] = 0 loop
    v_step := v_step + 1;
  end loop;

  while v_place[v_step] = 0 loop
    v_path := v_path || v_step;
    v_place[v_step] := cardinality(v_path);
    v_step := v_first[v_step];
  end loop;

  return v_path[v_place[v_step] :] || v_step;
end
$_follow_back$;

comment on function quantumflow._follow_back(int[], int[], int[]) is
'The cycle that one meets who goes from the first step that is left over (see _do_in_order) to what it depends on, and on from there; its
first step again at the end.';

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
