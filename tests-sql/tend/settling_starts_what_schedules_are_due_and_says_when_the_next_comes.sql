begin;
select plan(9);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}]}');
create function pg_temp.looks()
returns bigint
language sql
as $$
  select idx_scan + coalesce(seq_scan, 0) from pg_stat_xact_user_tables where relid = 'quantumflow.schedules'::regclass
$$;

-- What nobody uses costs nobody more than a look at an index that is empty.
create temporary table before on commit drop as select pg_temp.looks() as looks;
select quantumflow.start_flow('w');
select count(*) from quantumflow.claim_tasks(gen_random_uuid(), 1);
select is(pg_temp.looks() - looks, 0::bigint, 'starts and claims do not look for schedules') from before;
select quantumflow.sweep();
select is(pg_temp.looks() - looks, 1::bigint, 'a sweep looks once') from before;
select results_eq('select * from quantumflow.settle()', 'values (0, null::timestamptz)', 'nothing is due, nor comes');
select is(pg_temp.looks() - looks, 2::bigint, 'settling looks once, too') from before;

select quantumflow.schedule_flow('hourly', 'w', '0 * * * *', overlap => 'allow');
select quantumflow.schedule_flow('half', 'w', '30 * * * *');
select results_eq(
  'select * from quantumflow.settle()', $$values (0, '2030-01-01 00:30+00'::timestamptz)$$, 'the soonest schedule is what comes next');
set local quantumflow.now = '2030-01-01 00:30:00+00';
select results_eq(
  'select * from quantumflow.settle()', $$values (1, '2030-01-01 01:00+00'::timestamptz)$$, 'it starts, and the next comes');
select quantumflow.schedule_flow('s' || g, 'w', '0 * * * *') from generate_series(1, 120) g;
set local quantumflow.now = '2030-01-01 01:00:00+00';
select results_eq(
  'select * from quantumflow.settle()', $$values (100, '2030-01-01 01:00+00'::timestamptz)$$, 'a hundred at once, and there are more');
select results_eq(
  'select * from quantumflow.settle()', $$values (21, '2030-01-01 01:30+00'::timestamptz)$$, 'then the rest');
update quantumflow.settings set value = 'another' where name = 'identity';
set local client_min_messages = error;
select results_eq('select * from quantumflow.settle()', 'values (0, null::timestamptz)', 'in a copy nothing comes');

select * from finish();
rollback;
