create function quantumflow._find_cycle(p_steps text[], p_depends_on text[])
returns text[]
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_find_cycle$
declare
  v_names text[];
  v_from  int[];
  v_to    int[];
  v_depth int[];
  v_next  int[];
  v_path  int[];
  v_place int;
begin
  select x.names, x.from_steps, x.to_steps
  into v_names, v_from, v_to
  from quantumflow._number_steps(p_steps, p_depends_on) x;

  v_depth := quantumflow._depths(cardinality(v_names), v_from, v_to);

  v_place := array_position(v_depth, null);

  if v_place is null then
    return null;
  end if;

  -- Each step without a depth waits for another such one: follow them until one comes again.
  select array_agg(n.next order by n.step)
  into v_next
  from (
    select s.step, min(e.target) as next
    from generate_subscripts(v_names, 1) s (step)
    left join unnest(v_from, v_to) e (step, target)
      on e.step = s.step
      and v_depth[e.target] is null
    group by s.step
  ) n;

  while v_place <> all (coalesce(v_path, '{}')) loop
    v_path := v_path || v_place;
    v_place := v_next[v_place];
  end loop;

  return array(
    select v_names[c.step]
    from unnest(v_path[array_position(v_path, v_place) :] || v_place) with ordinality c (step, place)
    order by c.place);
end
$_find_cycle$;

comment on function quantumflow._find_cycle(text[], text[]) is
'One cycle among dependencies, as the steps along it, the first again at the end; null when there is none.

Edge i says that p_steps[i] depends on p_depends_on[i], and each step on the returned path depends on the next.';

create function quantumflow._longest_chain(p_steps text[], p_depends_on text[])
returns int
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_longest_chain$
declare
  v_depth int[];
begin
  select quantumflow._depths(cardinality(x.names), x.from_steps, x.to_steps)
  into v_depth
  from quantumflow._number_steps(p_steps, p_depends_on) x;

  return (select coalesce(max(d.depth), 1) from unnest(v_depth) d (depth));
end
$_longest_chain$;

comment on function quantumflow._longest_chain(text[], text[]) is
'How many steps the longest chain of dependencies has. Steps on a cycle, or behind one, do not count.';

create function quantumflow._number_steps(
  p_steps        text[],
  p_depends_on   text[],
  out names      text[],
  out from_steps int[],
  out to_steps   int[])
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_number_steps$
begin
  select
    coalesce(array_agg(distinct n.name collate "C" order by n.name collate "C"), '{}'),
    array_agg(n.number order by n.place) filter (where n.place <= cardinality(p_steps)),
    array_agg(n.number order by n.place) filter (where n.place > cardinality(p_steps))
  into names, from_steps, to_steps
  from (
    select e.name, e.place, dense_rank() over (order by e.name collate "C")::int as number
    from unnest(p_steps || p_depends_on) with ordinality e (name, place)
  ) n;
end
$_number_steps$;

comment on function quantumflow._number_steps(text[], text[]) is
'Numbers steps from 1 in order of their names, and says the edges with numbers.';

create function quantumflow._depths(p_steps int, p_from int[], p_to int[])
returns int[]
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_depths$
declare
  v_dependents int[];
  v_first      int[];
  v_waits      int[];
  v_next       int[];
  v_depth      int[];
  v_step       int;
  v_dependent  int;
  v_found      int;
  v_done       int := 0;
begin
  -- Who depends on each step, as one array, those of step 1 first; v_first says where each step's begin.
  select array_agg(e.step order by e.target)
  into v_dependents
  from unnest(p_from, p_to) e (step, target);

  select array_agg(1 + c.before order by c.step)
  into v_first
  from (
    select s.step, (sum(count(t.step)) over (order by s.step) - count(t.step))::int as before
    from generate_series(1, p_steps + 1) s (step)
    left join unnest(p_to) t (step)
      on t.step = s.step
    group by s.step
  ) c;

  select
    array_agg(c.waits order by c.step),
    array_agg(case c.waits when 0 then 1 end order by c.step),
    array_agg(c.step order by c.step) filter (where c.waits = 0)
  into v_waits, v_depth, v_next
  from (
    select s.step, count(f.step)::int as waits
    from generate_series(1, p_steps) s (step)
    left join unnest(p_from) f (step)
      on f.step = s.step
    group by s.step
  ) c;

  v_found := coalesce(cardinality(v_next), 0);

  -- Each step once nothing is left that it waits for, in order of depth: once through the steps and once through the edges.
  while v_done < v_found loop
    v_done := v_done + 1;
    v_step := v_next[v_done];

    for n in v_first[v_step] .. v_first[v_step + 1] - 1 loop
      v_dependent := v_dependents[n];
      v_waits[v_dependent] := v_waits[v_dependent] - 1;

      if v_waits[v_dependent] = 0 then
        v_depth[v_dependent] := v_depth[v_step] + 1;
        v_found := v_found + 1;
        v_next[v_found] := v_dependent;
      end if;
    end loop;
  end loop;

  return v_depth;
end
$_depths$;

comment on function quantumflow._depths(int, int[], int[]) is
'How many steps the longest chain that ends at each of the steps 1 to p_steps has; p_from[i] depends on p_to[i].

Null for a step on a cycle or behind one. The time it takes grows with steps and edges, not with paths.';

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
