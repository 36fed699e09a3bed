begin;
select plan(3);

select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}]}');
select quantumflow.start_flow('w', run_id => ('10000000-0000-0000-0000-00000000000' || n)::uuid, priority => n * 100) from generate_series(1, 3) n;
select right(run_id::text, 1) from quantumflow.claim_tasks(gen_random_uuid(), 1);

select is(
  (select right(run_id::text, 1) from quantumflow.pause_runs('{"all": true}', 1, false)), '3', 'of few the newest comes first');
select quantumflow.resume_runs('{"all": true}', 1, false);
select results_eq(
  $$select right(run_id::text, 1) from quantumflow.cancel_runs('{"all": true}', 101, false) offset 2$$,
  $$values ('3')$$, 'of many the one that a worker has comes last, so that its report waits for nothing but the end');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
