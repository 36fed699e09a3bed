-- How PostgreSQL plans what the calls do that start, move and end runs: always alike, whatever it believes of the tables at that moment.
-- A call's settings hold for all that it calls. What reads or mends everything has settings of its own, or none.
do $planner$
declare
  v_call regprocedure;
begin
  for v_call in
    select p.oid
    from pg_catalog.pg_proc p
    where p.pronamespace operator(pg_catalog.=) 'quantumflow'::pg_catalog.regnamespace
      and p.proname operator(pg_catalog.=) any (array[
        'claim_tasks', 'complete_and_claim', 'complete_task', 'complete_tasks', 'extend_leases', 'fail_task', 'fail_tasks',
        'hold_task', 'left_work', 'register_worker', 'release_tasks', 'remove_limit', 'report_progress', 'set_limit',
        'announce_end', 'cancel_goal', 'cancel_run', 'cancel_runs', 'decompose_goal', 'delete_run', 'delete_runs', 'execute_goal', 'execute_goals', 'pause_command', 'pause_flow', 'pause_queue', 'pause_run', 'pause_runs', 'prune',
        'resume_command', 'resume_flow', 'resume_queue', 'resume_run', 'resume_runs', 'retry_run', 'retry_runs', 'run_now', 'send_signal', 'send_signal_by_key', 'settle',
        'start_flow', 'start_flows', 'start_ready_steps', 'sweep'
      ]::pg_catalog.name[])
    order by p.proname
  loop
    execute pg_catalog.format($alter$
      alter function %s
        -- One plan for all calls: for an array of one element, a plan of its own looks cheaper than it is to make.
        set plan_cache_mode = force_generic_plan
        -- While a table is small, all of it is read sooner than its index; the plan stays when it has grown.
        set enable_seqscan = off
        -- Both of these read a table from one end to the other. What is left is a loop over the array that drives a statement.
        set enable_hashjoin = off
        set enable_mergejoin = off
        -- It keeps what an inner side gave for each key. Here keys come once, and to keep it takes longer than the look at the index;
        -- and it is kept by all that the look-up was given, as the input of a run, hashed for each of its tasks.
        set enable_memoize = off
        -- A bitmap has no order: of a backlog, a claim would read and sort all to take the first few.
        set enable_bitmapscan = off
        -- What is off counts as very expensive where it is used all the same, and would be compiled, which takes longer than to run it.
        set jit = off
    $alter$, v_call);
  end loop;
end
$planner$;
