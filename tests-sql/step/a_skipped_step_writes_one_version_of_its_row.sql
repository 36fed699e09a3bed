begin;
select plan(4);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow(jsonb_build_object('slug', 'w', 'steps', (
  select jsonb_agg(jsonb_build_object('name', 's' || n) || case n
    when 0 then '{}' when 1 then '{"dependencies": ["s0"], "if": "1 == 2"}'
    else jsonb_build_object('dependencies', jsonb_build_array('s' || n - 1)) end)
  from generate_series(0, 999) n)));
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
create temporary table before as select pg_stat_get_xact_tuples_updated('quantumflow.step_states'::regclass) as steps,
  pg_stat_get_xact_tuples_updated('quantumflow.workflow_runs'::regclass) as runs;
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 's0');

select results_eq(
  $$select pg_stat_get_xact_tuples_updated('quantumflow.step_states'::regclass) - steps,
    pg_stat_get_xact_tuples_updated('quantumflow.workflow_runs'::regclass) - runs from before$$,
  $$values (1000::bigint, 1::bigint)$$,
  'a thousand levels in one call are a thousand versions, and one of the run');
select is((select count(*) from quantumflow.step_states where status = 'skipped'), 999::bigint, 'and all are skipped');
select is((select status from quantumflow.workflow_runs), 'completed', 'the run ends');

select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
