begin;
select plan(5);

create temporary table graphs (name text, steps text[], depends_on text[]) on commit drop;

-- Layers of two steps, each of which depends on both of the layer before: 40 layers have 2^40 paths.
insert into graphs
select 'ladder of ' || k.layers, array_agg(a || layer), array_agg(b || layer - 1)
from unnest('{40,1000,2000,20000}'::int[]) k (layers)
cross join generate_series(1, k.layers - 1) layer
cross join unnest('{a,b}'::text[]) a
cross join unnest('{a,b}'::text[]) b
group by k.layers;

-- Each step depends on all before it: as many edges as the longest of these ladders.
insert into graphs
select 'dense', array_agg('s' || step), array_agg('s' || before)
from generate_series(1, 400) step
cross join generate_series(1, step - 1) before;

create function pg_temp.seconds(p_name text) returns double precision
language plpgsql
as $$
declare
  v_graph graphs;
  v_start timestamptz;
  v_best  double precision := 'infinity';
begin
  select * into v_graph from graphs g where g.name = p_name;

  for i in 1 .. 5 loop
    v_start := clock_timestamp();
    if quantumflow._find_cycle(v_graph.steps, v_graph.depends_on) is not null then
      raise 'there is no cycle';
    end if;
    v_best := least(v_best, extract(epoch from clock_timestamp() - v_start));
  end loop;

  return v_best;
end
$$;

create function pg_temp.dense(p_steps int) returns jsonb language sql as $$
select jsonb_build_object('slug', 'dense', 'version', '1.0', 'steps', jsonb_agg(jsonb_build_object(
  'name', 's' || i, 'type', 'single', 'dependencies', to_jsonb(array(select 's' || j from generate_series(1, i - 1) j)))))
from generate_series(1, p_steps) i
$$;

set local statement_timeout = '60 s';
select ok(pg_temp.seconds('ladder of 40') is not null, 'a ladder of 40 layers is checked at all');
select cmp_ok(pg_temp.seconds('ladder of 2000'), '<', 8 * pg_temp.seconds('ladder of 1000'), 'twice the layers take about twice the time');
select cmp_ok(pg_temp.seconds('dense'), '<', 4 * pg_temp.seconds('ladder of 20000'), 'so many edges take so long, wherever they are');

select is_empty(
  'select * from quantumflow.validate_flow(pg_temp.dense(200))', 'a graph where each step depends on all before it is checked as well');

-- When each edge carried its step, with its dependencies, to where edges are sorted, this took several times as long.
create function pg_temp.seconds_of(p_call text, p_definition jsonb) returns double precision
language plpgsql
as $$
declare
  v_start timestamptz := clock_timestamp();
begin
  execute 'select count(*) from ' || p_call using p_definition;
  return extract(epoch from clock_timestamp() - v_start);
end
$$;

select cmp_ok(
  pg_temp.seconds_of($$quantumflow._compiled_steps('dense', 1, $1)$$, d.definition),
  '<',
  pg_temp.seconds_of('quantumflow.validate_flow($1)', d.definition),
  'to compile a dense graph takes less than to check it')
from (select pg_temp.dense(400) as definition offset 0) d;

select * from finish();
rollback;
