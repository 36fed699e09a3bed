begin;
select plan(3);

create function pg_temp.seconds(p_layers int) returns double precision
language plpgsql
as $$
declare
  v_steps      text[];
  v_depends_on text[];
  v_start      timestamptz;
  v_best       double precision := 'infinity';
begin
  select array_agg(a || layer), array_agg(b || layer - 1)
  into v_steps, v_depends_on
  from generate_series(1, p_layers - 1) layer, unnest('{a,b}'::text[]) a, unnest('{a,b}'::text[]) b;

  for i in 1 .. 5 loop
    v_start := clock_timestamp();
    if quantumflow._find_cycle(v_steps, v_depends_on) is not null then
      raise 'a ladder has no cycle';
    end if;
    v_best := least(v_best, extract(epoch from clock_timestamp() - v_start));
  end loop;

  return v_best;
end
$$;

-- 40 layers of two steps have 2^40 paths.
set local statement_timeout = '60 s';
select ok(pg_temp.seconds(40) is not null, 'a ladder of 40 layers is checked at all');
select cmp_ok(pg_temp.seconds(2000), '<', 8 * pg_temp.seconds(1000), 'twice the layers take about twice the time');

select is_empty(
  $$
  select *
  from quantumflow.validate_flow((
    select jsonb_build_object('slug', 'dense', 'steps', jsonb_agg(jsonb_build_object(
      'name', 's' || i, 'dependencies', to_jsonb(array(select 's' || j from generate_series(1, i - 1) j)))))
    from generate_series(1, 200) i
  ))
  $$,
  'a graph where each step depends on all before it is checked as well');

select * from finish();
rollback;
