begin;
select plan(5);

select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}, {"name": "b", "queue": "lost", "dependencies": ["a"]}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select pgmq.drop_queue('lost');
prepare claim(text[]) as select step_slug::text collate "default" from quantumflow.claim_tasks(gen_random_uuid(), queues => $1);

select throws_ok($$execute claim('{lost}')$$, 'QF401', 'queue "lost" does not exist', 'a claim from it alone is refused');
select results_eq($$execute claim('{lost,quantum_flow_queue}')$$, $$values ('a')$$, 'one from others too is not');
select is(
  (
    select r.outcome
    from quantumflow.complete_and_claim(
      gen_random_uuid(),
      (select jsonb_agg(to_jsonb(t)) from quantumflow.step_tasks t where t.status = 'started'),
      queues => '{lost,quantum_flow_queue}') r
  ),
  'completed', 'nor a report with it');
select throws_ok(
  $$select quantumflow.register_worker(gen_random_uuid(), 'w', null, '{quantum_flow_queue,lost}')$$,
  'QF401', 'queue "lost" does not exist', 'a worker that says what it will serve is told');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
