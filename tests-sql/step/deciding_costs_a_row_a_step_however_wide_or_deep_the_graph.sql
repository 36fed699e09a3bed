begin;
select plan(7);

create temporary table counted (steps bigint, tasks bigint, runs bigint);
create function pg_temp.note()
returns void
language sql
as $note$
  insert into counted values (
    pg_stat_get_xact_tuples_updated('quantumflow.step_states'::regclass), pg_stat_get_xact_tuples_inserted('quantumflow.step_tasks'::regclass),
    pg_stat_get_xact_tuples_updated('quantumflow.workflow_runs'::regclass));
$note$;
create function pg_temp.written()
returns setof record
language sql
as $written$
  select max(steps) - min(steps), max(tasks) - min(tasks), max(runs) - min(runs) from counted;
$written$;

-- 2,000 conditional siblings, of which half start.
select version from quantumflow.define_flow(jsonb_build_object('slug', 'wide', 'steps', '[{"name": "r"}]'::jsonb || (
  select jsonb_agg(jsonb_build_object('name', 'w' || n, 'dependencies', '["r"]'::jsonb, 'if', format('$.r.v > %s', n)))
  from generate_series(0, 1999) n)));
select quantumflow.start_flow('wide', run_id => '10000000-0000-0000-0000-000000000001');
select pg_temp.note();
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'r', output => '{"v": 1000}');
select pg_temp.note();
select results_eq(
  'select * from pg_temp.written() as (a bigint, b bigint, c bigint)', $$values (2001::bigint, 1000::bigint, 1::bigint)$$,
  'each step is written once, the run once, and those that start have a task');
select is((select count(*) from quantumflow.step_states where status = 'skipped'), 1000::bigint, 'half are skipped');

-- 18 stacked diamonds: to go through each path would take 2^18 looks.
select version from quantumflow.define_flow(jsonb_build_object('slug', 'diamonds', 'steps', '[{"name": "j0"}]'::jsonb || (
  select jsonb_agg(s)
  from generate_series(0, 17) n
  cross join lateral (values
    (jsonb_build_object('name', 'a' || n, 'dependencies', jsonb_build_array('j' || n)) || case n when 0 then '{"if": "1 == 2"}' else '{}' end::jsonb),
    (jsonb_build_object('name', 'b' || n, 'dependencies', jsonb_build_array('j' || n)) || case n when 0 then '{"if": "1 == 2"}' else '{}' end::jsonb),
    (jsonb_build_object('name', 'j' || n + 1, 'dependencies', jsonb_build_array('a' || n, 'b' || n)))) d (s))));
select quantumflow.start_flow('diamonds', run_id => '10000000-0000-0000-0000-000000000002');
truncate counted;
select pg_temp.note();
select quantumflow.complete_task('10000000-0000-0000-0000-000000000002', 'j0');
select pg_temp.note();
select results_eq(
  'select * from pg_temp.written() as (a bigint, b bigint, c bigint)', $$values (55::bigint, 0::bigint, 1::bigint)$$,
  'a step behind two is written once as well');
select is((select status from quantumflow.workflow_runs where id = '10000000-0000-0000-0000-000000000002'), 'completed', 'and the run ends');

-- What a tolerated failure reads and writes, in a small map and in one a hundred times as large.
create temporary table looked (items int, n bigint, written bigint, read bigint);
create function pg_temp.fail_in_a_map(p_items int, p_run_id uuid)
returns void
language plpgsql
as $fail_in_a_map$
declare
  v_reports jsonb;
begin
  perform quantumflow.start_flow('mapped', to_jsonb(array_fill(0, array[p_items])), run_id => p_run_id);
  select jsonb_agg(to_jsonb(c) || '{"retryable": false}') into v_reports from quantumflow.claim_tasks(gen_random_uuid(), 10, commands => '{m}') c;

  for n in 0 .. 1 loop
    insert into looked values (
      p_items, n,
      pg_stat_get_xact_tuples_updated('quantumflow.step_states'::regclass) + pg_stat_get_xact_tuples_updated('quantumflow.workflow_runs'::regclass)
        + pg_stat_get_xact_tuples_updated('quantumflow.step_tasks'::regclass),
      pg_stat_get_xact_tuples_fetched('quantumflow.step_tasks'::regclass) + pg_stat_get_xact_tuples_returned('quantumflow.step_tasks'::regclass));
    if n = 0 then
      perform from quantumflow.fail_tasks(v_reports);
    end if;
  end loop;
end
$fail_in_a_map$;
select version from quantumflow.define_flow('{"slug": "mapped", "steps": [{"name": "m", "type": "map", "tolerate": "50%"}]}');
select pg_temp.fail_in_a_map(50, '10000000-0000-0000-0000-000000000003');
select quantumflow.cancel_run('10000000-0000-0000-0000-000000000003');
select pg_temp.fail_in_a_map(5000, '10000000-0000-0000-0000-000000000004');

select is(
  (select max(written) - min(written) from looked where items = 5000), (select max(written) - min(written) from looked where items = 50),
  'as much is written');
select cmp_ok((select max(written) - min(written) from looked where items = 50), '>', 10::bigint, 'tasks, step and run');
select cmp_ok(
  (select max(read) - min(read) from looked where items = 5000), '<=', (select 2 * (max(read) - min(read)) from looked where items = 50),
  'and no more is read');

select * from finish();
rollback;
