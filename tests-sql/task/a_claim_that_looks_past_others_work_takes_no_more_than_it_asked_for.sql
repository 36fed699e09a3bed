begin;
select plan(5);

select quantumflow.define_flow('{"slug": "others", "steps": [{"name": "a", "type": "map", "command": "theirs"}]}');
select quantumflow.define_flow('{"slug": "ours", "steps": [{"name": "a", "type": "map", "command": "ours"}]}');
select quantumflow.start_flow('others', (select jsonb_agg(n) from generate_series(1, 30) n));
select quantumflow.start_flow('ours', (select jsonb_agg(n) from generate_series(1, 10) n));

select is(
  (select array_agg(task_index) from quantumflow.claim_tasks(gen_random_uuid(), 4, commands => '{ours}')),
  '{0,1,2,3}'::int[],
  'it finds its own behind 30 of others, those that have waited longest');
select results_eq(
  $$select command, t.status, count(*)
    from quantumflow.step_tasks t
    join quantumflow.workflow_runs r on r.id = t.run_id
    join quantumflow.workflow_steps w on (w.workflow_slug, w.version, w.step_slug) = (r.workflow_slug, r.version, t.step_slug)
    group by 1, 2 order by 1, 2$$,
  $$values ('ours', 'queued', 6::bigint), ('ours', 'started', 4), ('theirs', 'queued', 30)$$,
  'and takes four');

-- First comes what is no task's: having found nothing but that, the claim looks at ten times as much.
select pgmq.send('quantum_flow_queue', '{"command": "ours"}');
update pgmq.q_quantum_flow_queue set vt = vt - interval '1 hour' where message = '{"command": "ours"}';
select is(
  (select array_agg(task_index) from quantumflow.claim_tasks(gen_random_uuid(), 1, commands => '{ours}')),
  '{4}'::int[],
  'nor does it take more when it looks at more');
select is(
  (select array_agg(task_index) from quantumflow.claim_tasks(gen_random_uuid(), 10, commands => '{ours}')),
  '{5,6,7,8,9}'::int[],
  'the others of its own are there at once');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
