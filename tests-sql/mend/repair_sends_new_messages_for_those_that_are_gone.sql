begin;
select plan(7);

select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "a"}, {"name": "m", "type": "map", "dependencies": ["a"]}, {"name": "z", "dependencies": ["m"]}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000002');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'a', output => '[1, 2]');

select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000003', priority => 60);
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000004', start_at => now() + interval '1 h');
select quantumflow.pause_run('10000000-0000-0000-0000-000000000002');
update quantumflow.step_tasks set attempts = 9 where run_id = '10000000-0000-0000-0000-000000000004';
create temporary table before as
select message ->> 'workflow_run_id' as run_id, message ->> 'task_index' as task_index, vt, message, headers
from pgmq.q_quantum_flow_queue;
delete from pgmq.q_quantum_flow_queue;

select set_eq(
  'select run_id, step_slug, task_index, action from quantumflow.repair(false)',
  $$values
    ('10000000-0000-0000-0000-000000000001'::uuid, 'm', 0, 'done: send it a new message'),
    ('10000000-0000-0000-0000-000000000001', 'm', 1, 'done: send it a new message'),
    ('10000000-0000-0000-0000-000000000002', 'a', 0, 'done: send it a new message'),
    ('10000000-0000-0000-0000-000000000003', 'a', 0, 'done: send it a new message'),
    ('10000000-0000-0000-0000-000000000004', 'a', 0, 'done: send it a new message'),
    ('10000000-0000-0000-0000-000000000004', 'a', 0, 'none')$$,
  'each task gets one, whatever else is wrong with it');
select is(
  (select problem from quantumflow.check_state()), '9 failures of 3 and 0 losses of 3', 'which is still so');
update quantumflow.step_tasks set attempts = 0;
select results_eq(
  $$select m.message, m.headers
    from pgmq.q_quantum_flow_queue m order by m.message ->> 'workflow_run_id', m.message ->> 'task_index'$$,
  'select message, headers from before order by run_id, task_index',
  'that is as the old one was');
select is_empty(
  $$select b.run_id, b.vt, m.vt
    from before b
    join pgmq.q_quantum_flow_queue m using (message)
    where case when isfinite(b.vt) then abs(extract(epoch from b.vt - m.vt)) > 1 else isfinite(m.vt) end$$,
  'and visible when the old one was: by its priority, after its delay, asleep while the run is paused');
select is_empty('select * from quantumflow.check_state()', 'every rule holds again');

select quantumflow.resume_run('10000000-0000-0000-0000-000000000002');
select is((select count(*)::int from quantumflow.claim_tasks(gen_random_uuid(), 10)), 4, 'the tasks are handed out');
select is_empty('select * from quantumflow.check_state()', 'as ever');

select * from finish();
rollback;
