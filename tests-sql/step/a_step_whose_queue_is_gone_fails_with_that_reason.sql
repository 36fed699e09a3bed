begin;
select plan(14);

select quantumflow.define_flow('{"slug": "w", "on_failure": "tell", "steps": [
  {"name": "a"}, {"name": "b", "queue": "lost", "dependencies": ["a"]}, {"name": "c", "dependencies": ["a"]},
  {"name": "m", "type": "map", "queue": "lost", "dependencies": ["a"]}]}');
select quantumflow.define_flow('{"slug": "v", "steps": [{"name": "a"}, {"name": "b", "dependencies": ["a"]}]}');
select quantumflow.define_flow('{"slug": "ends", "queue": "lost", "on_complete": "tell", "steps": [{"name": "a", "queue": "ours"}]}');
select quantumflow.define_flow('{"slug": "root", "steps": [{"name": "a", "queue": "lost"}]}');
select quantumflow.define_flow('{"slug": "mapped", "steps": [{"name": "a", "queue": "lost", "type": "map"}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.start_flow('v', run_id => '10000000-0000-0000-0000-000000000002');
select quantumflow.start_flow('ends', run_id => '10000000-0000-0000-0000-000000000003');
create temporary table claimed on commit drop as
select * from quantumflow.claim_tasks(gen_random_uuid(), 10, '{quantum_flow_queue,ours}');
select pgmq.drop_queue('lost');

select results_eq(
  $$
  select o.outcome, o.run_id, o.step_slug
  from quantumflow.complete_and_claim(
    gen_random_uuid(), (select jsonb_agg(to_jsonb(c) || '{"output": [1, 2]}' order by c.run_id) from claimed c), 10) o
  order by o.outcome, o.run_id, o.step_slug
  $$,
  $$
  values
    ('completed', '10000000-0000-0000-0000-000000000001'::uuid, 'a'),
    ('completed', '10000000-0000-0000-0000-000000000002', 'a'),
    ('completed', '10000000-0000-0000-0000-000000000003', 'a'),
    (null, '10000000-0000-0000-0000-000000000002', 'b')
  $$,
  'each result is recorded, what other runs lead to is handed over, and nothing of the run that failed');
select results_eq(
  $$select status, error_message from quantumflow.workflow_runs order by id$$,
  $$values ('failed', 'step b: queue "lost" does not exist (QF401)'), ('started', null), ('completed', null)$$,
  'the run fails, and says why; another ends, though nobody can be told');
select results_eq(
  $$select format('%s %s %s', step_slug, status, error_message) collate "default" from quantumflow.step_states where run_id::text like '%1' order by 1$$,
  $$values ('a completed '), ('b failed queue "lost" does not exist (QF401)'), ('c cancelled '),
    ('m cancelled ')$$,
  'its steps too');
select results_eq(
  $$select format('%s %s %s', step_slug, status, error_message) collate "default" from quantumflow.step_tasks where run_id::text like '%3' order by step_slug$$,
  $$values ('_on_complete failed queue "lost" does not exist (QF401)'), ('a completed ')$$,
  'the callback that could not be made has failed');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select throws_ok(
  $$select quantumflow.start_flow('root')$$, 'QF401', 'queue "lost" does not exist', 'a start is refused');
select throws_ok(
  $$select quantumflow.start_flows('root', '{1,2}')$$, 'QF401', 'queue "lost" does not exist', 'so are many');
select throws_ok(
  $$select quantumflow.start_flow('mapped', '[1]')$$, 'QF401', 'queue "lost" does not exist', 'and one that maps over its input');
select is((select count(*)::int from quantumflow.workflow_runs where workflow_slug in ('root', 'mapped')), 0, 'and leaves nothing');
select throws_ok(
  $$select quantumflow.retry_run('10000000-0000-0000-0000-000000000001')$$, 'QF401', 'queue "lost" does not exist',
  'so is a retry');

select quantumflow.setup();
select is((quantumflow.retry_run('10000000-0000-0000-0000-000000000001')).status, 'started', 'once there is a queue again the run goes on');
select is(
  (
    select count(*)::int
    from quantumflow.complete_tasks((
      select jsonb_agg(to_jsonb(c) || '{"output": 1}')
      from quantumflow.claim_tasks(gen_random_uuid(), 10, '{lost,quantum_flow_queue}') c)) o
    where o.outcome = 'completed'
  ),
  4, 'with all that it had left to do');
select is((select status from quantumflow.workflow_runs where id::text like '%1'), 'completed', 'to its end');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
