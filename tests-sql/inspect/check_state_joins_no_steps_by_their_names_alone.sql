-- Whatever the statistics say, of which a new database has none: many workflows have steps of the same names.
begin;
select plan(2);

do $rows$
begin
  for n in 1 .. 40 loop
    perform quantumflow.define_flow(format(
      '{"slug": "w%s", "steps": [{"name": "a"}, {"name": "b", "dependencies": ["a"]}, {"name": "c", "dependencies": ["b"]}]}', n)::jsonb);
    perform quantumflow.start_flow('w' || n);
  end loop;
end
$rows$;

create function pg_temp.most_rows(p_nodes jsonb) returns bigint language sql as $$
  select max((n.node ->> 'Actual Rows')::numeric * (n.node ->> 'Actual Loops')::numeric)::bigint
  from jsonb_path_query(p_nodes, '$.** ? (exists (@."Actual Rows"))') n (node)
$$;
create function pg_temp.explained() returns jsonb language plpgsql as $$
declare
  v_plan jsonb;
begin
  execute 'explain (analyze, format json) select * from quantumflow._step_facts(null)' into v_plan;
  return v_plan;
end
$$;

set local enable_nestloop = off;
set local jit = off;
-- A merge join may read a side twice. By names alone there would be 4,800.
select cmp_ok(pg_temp.most_rows(pg_temp.explained()), '<=', 240::bigint, 'about as many rows as there are steps');
select is_empty('select * from quantumflow.check_state()', 'and all is well with them');

select * from finish();
rollback;
