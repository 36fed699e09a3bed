begin;
select plan(10);

select quantumflow.define_flow('{"slug": "w", "queue": "special", "on_complete": "tell", "steps": [
  {"name": "a"}, {"name": "m", "type": "map", "dependencies": ["a"]}, {"name": "z", "dependencies": ["m"]}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001', headers => '{"h": 1}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000002', priority => 60);
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000003', start_at => now() + interval '1 h');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000004');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000005');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'a', output => '[1, 2, 3]');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000005', 'a', output => '[]');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000005', 'z');
select quantumflow.pause_run('10000000-0000-0000-0000-000000000004');
create temporary table claimed as
select * from quantumflow.claim_tasks(gen_random_uuid(), 10, '{special}') where step_slug = 'm' and task_index = 2;
select quantumflow.release_tasks(jsonb_agg(to_jsonb(t) - 'headers')) from quantumflow.step_tasks t
where status = 'started' and not exists (select from claimed c where (c.step_slug, c.task_index) = (t.step_slug, t.task_index));
create temporary table before as select message, headers, vt from pgmq.q_special;

select pgmq.send('special', '{"not": "ours"}');
delete from pgmq.q_special where message ->> 'task_index' = '1';
select results_eq(
  'select * from quantumflow.rebuild_queues()',
  $$values ('quantum_flow_queue', 0::bigint), ('special', 7)$$,
  'each queue, with its messages');
select is_empty('select * from quantumflow.check_state()', 'every rule holds');
select set_eq('select message, headers from pgmq.q_special', 'select message, headers from before', 'messages are as they were');
select is_empty(
  $$select b.message, b.vt, m.vt
    from before b
    join pgmq.q_special m using (message)
    where m.message ->> 'task_index' <> '2'
      and case when isfinite(b.vt) then abs(extract(epoch from b.vt - m.vt)) > 1 else isfinite(m.vt) end$$,
  'visible when the old ones were: by priority, after a delay, asleep while the run is paused');
select is((select message from pgmq.a_special), '{"not": "ours"}', 'what was not ours is in the archive');

select results_eq(
  'select * from quantumflow.rebuild_queues()',
  $$values ('quantum_flow_queue', 0::bigint), ('special', 7)$$,
  'it can be repeated');
select is(
  (select quantumflow.complete_task(run_id, step_slug, task_index, '9', lease_token) from claimed), 'completed',
  'what was started may still be reported');
update quantumflow.step_tasks set status = 'started', lease_token = 1, started_at = now() - interval '1 h', attempts = 1
where step_slug = 'm' and task_index = 1;
select quantumflow.rebuild_queues();
select is((select tasks from quantumflow.sweep() where action = 'lapsed leases'), 1, 'else it was lost');
select results_eq('select kind from quantumflow.task_failures', array['lost'], 'and has not timed out, however long ago');
select is((select count(*)::int from pgmq.list_queues()), 2, 'no other queue is left behind');

select * from finish();
rollback;
