begin;
select plan(2);

-- What stores definitions and schedules, gives access, mends everything, or is for tests looks at each table as PostgreSQL finds best.
select results_eq(
  $$
  select p.proname::text collate "default"
  from pg_proc p
  where p.pronamespace = 'quantumflow'::regnamespace
    and p.proname not like '\_%'
    and p.provolatile = 'v'
    and 'plan_cache_mode=force_generic_plan' <> all (p.proconfig)
  order by 1
  $$,
  $$
  values
    ('add_method'), ('add_step'), ('adopt'), ('advance_clock'), ('advance_trials'), ('configure'), ('configure_orchestrator'), ('create_flow'), ('create_flow_from_graph'),
    ('decompose'), ('define_flow'), ('delete_flow'), ('describe_command'), ('doctor'), ('grant_access'), ('optimize_flow'),
    ('pause_schedule'), ('rebuild_queues'), ('register_decomposer'), ('repair'), ('resume_schedule'), ('revoke_access'), ('rollback_policy'), ('schedule_flow'), ('setup'),
    ('stop_worker'), ('unschedule_flow')
  $$,
  'every other call that changes something has a plan that depends on no value');

select is_empty(
  $$
  select p.oid::regprocedure, p.proconfig
  from pg_proc p
  where p.pronamespace = 'quantumflow'::regnamespace
    and p.proname not like '\_%'
    and 'plan_cache_mode=force_generic_plan' = any (p.proconfig)
    and not p.proconfig @> array[
      'enable_seqscan=off', 'enable_hashjoin=off', 'enable_mergejoin=off', 'enable_bitmapscan=off', 'enable_memoize=off', 'jit=off'
    ]
  $$,
  'and is planned as access/planner.sql says');

select * from finish();
rollback;
