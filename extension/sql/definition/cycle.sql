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
  v_cycle int[];
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

  v_walk := quantumflow._walk(
    cardinality(v_names), v_from, v_to,
    array(select generate_series(1, cardinality(v_names)) except select unnest(v_to)));
  v_cycle := v_walk.cycle;
  longest_chain := v_walk.deepest + 1;

  if v_cycle is null and v_walk.unreached is not null then
    -- A step that no source leads to lies behind a cycle: walk from it against the arrows.
    v_walk := quantumflow._walk(cardinality(v_names), v_to, v_from, array[v_walk.unreached]);
    v_cycle := array(
      select w.step
      from unnest(v_walk.cycle) with ordinality w (step, place)
      order by w.place desc);
  end if;

  if v_cycle is null then
    return;
  end if;

  cycle := array(
    select v_names[c.step]
    from unnest(v_cycle) with ordinality c (step, place)
    order by c.place);
  longest_chain := null;
end
$_examine_graph$;

comment on function quantumflow._examine_graph(text[], text[]) is
'One cycle among dependencies, as the steps along it, the first again at the end; or, when there is none, how many steps the longest
chain of dependencies has. Nulls where there are no dependencies.

Edge i says that p_steps[i] depends on p_depends_on[i], and each step on the returned cycle depends on the next.';

create function quantumflow._walk(
  p_steps       int,
  p_from        int[],
  p_to          int[],
  p_starts      int[],
  out cycle     int[],
  out deepest   int,
  out unreached int)
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_walk$
declare
  v_targets int[];
  v_first   int[];
  v_reached int[];
  v_level   int[];
  v_path    int[];
  v_place   int;
begin
  -- The edges as one array, those of step 1 first; v_first says where each step's begin.
  select array_agg(e.target order by e.step, e.target) filter (where e.target is not null),
    array(
      select (1 + sum(count(f.step)) over (order by s.step) - count(f.step))::int
      from generate_series(1, p_steps + 1) s (step)
      left join unnest(p_from) f (step)
        on f.step = s.step
      group by s.step
      order by s.step)
  into v_targets, v_first
  from unnest(p_from, p_to) e (step, target);

  -- Steps by the lengths of the walks that lead to them. Distinct pairs, cut off at the number of steps, so that the
  -- work is bounded by steps times edges however many paths there are.
  with recursive reached (step, depth) as (
    select s.step, 0
    from unnest(p_starts) s (step)
    union
    select t.step, r.depth + 1
    from reached r
    cross join lateral unnest(v_targets[v_first[r.step] : v_first[r.step + 1] - 1]) t (step)
    where r.depth < p_steps
  )
  select
    array_agg(r.step order by r.depth, r.step) filter (where d.deepest = p_steps),
    array_agg(r.depth order by r.depth, r.step) filter (where d.deepest = p_steps),
    (select min(s.step) from generate_series(1, p_steps) s (step) where s.step not in (select r.step from reached r)),
    min(d.deepest)
  into v_reached, v_level, unreached, deepest
  from reached r
  cross join (select max(r.depth) as deepest from reached r) d;

  -- A walk as long as there are steps has met one twice. Follow it back until it does.
  if v_reached is not null then
    v_path := v_reached[cardinality(v_reached) : cardinality(v_reached)];

    for i in reverse cardinality(v_reached) - 1 .. 1 loop
      if v_level[i] = p_steps - cardinality(v_path)
        and v_path[1] = any (v_targets[v_first[v_reached[i]] : v_first[v_reached[i] + 1] - 1])
      then
        v_place := array_position(v_path, v_reached[i]);
        v_path := v_reached[i] || v_path;

        if v_place is not null then
          cycle := v_path[1 : v_place + 1];
          return;
        end if;
      end if;
    end loop;
  end if;
end
$_walk$;

comment on function quantumflow._walk(int, int[], int[], int[]) is
'Walks a graph of steps 1 to p_steps from p_starts along the edges p_from[i] -> p_to[i], by recursive CTE.

cycle: one cycle that a walk runs into, its first step again at the end, or null. deepest: how many edges the longest walk has.
unreached: a step that no walk leads to, or null.';

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
